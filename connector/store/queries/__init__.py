"""The pipeline's statements: accept, claim, journal, contacts, gates. Constant texts, many rows each.

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

__all__ = [
    "Claim",
    "ContactClaim",
    "ContactRow",
    "Finish",
    "JournalWrite",
    "Lack",
    "Look",
    "NewEvent",
    "StepRow",
    "StoredEvent",
    "Work",
    "accept",
    "all_looks",
    "claim",
    "claim_contact",
    "due",
    "due_looks",
    "forget_contacts",
    "gates",
    "load",
    "looked",
    "mark",
    "promote",
    "release_all",
    "restored_at",
    "revision_options",
    "stage_at",
    "write_gates",
    "write_journal",
]
