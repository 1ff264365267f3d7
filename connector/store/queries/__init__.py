"""The pipeline's statements: accept, claim, journal, contacts, gates, retention. Constant texts, many rows each.

Every function here runs inside a transaction of `Database`. Those that change something take many rows and answer one
result per row, so that the writer can put what is asked for at the same time into one commit.
"""

from connector.store.queries.accepting import NewEvent, accept
from connector.store.queries.claiming import (
    Claim,
    StepRow,
    StoredEvent,
    Work,
    claim,
    due,
    load,
    mark,
    promote,
    release_all,
    restored_at,
    revision_options,
)
from connector.store.queries.contacts import ContactClaim, ContactRow, claim_contact, forget_contacts
from connector.store.queries.gates import gates, write_gates
from connector.store.queries.journal import Finish, JournalWrite, write_journal
from connector.store.queries.looking import Lack, Look, all_looks, due_looks, looked, stage_at
from connector.store.queries.retention import (
    Place,
    Prune,
    Unseen,
    closed,
    empty_audit,
    expire_tombstones,
    forget_unseen,
    old_calls,
    prune,
    unseen_contacts,
)

__all__ = [
    "Claim",
    "ContactClaim",
    "ContactRow",
    "Finish",
    "JournalWrite",
    "Lack",
    "Look",
    "NewEvent",
    "Place",
    "Prune",
    "StepRow",
    "StoredEvent",
    "Unseen",
    "Work",
    "accept",
    "all_looks",
    "claim",
    "claim_contact",
    "closed",
    "due",
    "due_looks",
    "empty_audit",
    "expire_tombstones",
    "forget_contacts",
    "forget_unseen",
    "gates",
    "load",
    "looked",
    "mark",
    "old_calls",
    "promote",
    "prune",
    "release_all",
    "restored_at",
    "revision_options",
    "stage_at",
    "unseen_contacts",
    "write_gates",
    "write_journal",
]
