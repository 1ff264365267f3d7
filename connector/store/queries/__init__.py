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
from connector.store.queries.recordings import (
    Named,
    RecordingRow,
    count_links,
    named,
    recordings,
    revoke_recordings,
    saw_recordings,
)

__all__ = [
    "Claim",
    "ContactClaim",
    "ContactRow",
    "Finish",
    "JournalWrite",
    "Named",
    "NewEvent",
    "RecordingRow",
    "StepRow",
    "StoredEvent",
    "Work",
    "accept",
    "claim",
    "claim_contact",
    "count_links",
    "due",
    "forget_contacts",
    "gates",
    "load",
    "mark",
    "named",
    "promote",
    "recordings",
    "release_all",
    "restored_at",
    "revision_options",
    "revoke_recordings",
    "saw_recordings",
    "write_gates",
    "write_journal",
]
