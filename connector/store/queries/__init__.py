"""The pipeline's statements: accept, claim, journal, contacts, gates, quotas, retention. Constant texts,
many rows each.

Every function here runs inside a transaction of `Database`. Those that change something take many rows and answer one
result per row, so that the writer can put what is asked for at the same time into one commit.
"""

from connector.store.queries.accepting import NewEvent, accept
from connector.store.queries.callers import known_contact, last_agents, learn_contacts
from connector.store.queries.claiming import (
    Claim,
    Renewal,
    StepRow,
    StoredEvent,
    Work,
    claim,
    due,
    give_back,
    load,
    mark,
    promote,
    release_all,
    renew,
    restored_at,
    revision_options,
)
from connector.store.queries.contacts import ContactClaim, ContactRow, claim_contact, forget_contacts
from connector.store.queries.gates import GateRow, ProbeClaim, claim_probes, gates, write_gates
from connector.store.queries.journal import Finish, JournalWrite, write_journal
from connector.store.queries.looking import Lack, Look, all_looks, due_looks, looked, stage_at
from connector.store.queries.quota import CHUNK_S, Draw, Drawn, draw
from connector.store.queries.recordings import (
    Named,
    RecordingRow,
    count_links,
    named,
    recordings,
    revoke_recordings,
    saw_recordings,
)
from connector.store.queries.replicas import beat, leave
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
    "CHUNK_S",
    "Claim",
    "ContactClaim",
    "ContactRow",
    "Draw",
    "Drawn",
    "Finish",
    "GateRow",
    "JournalWrite",
    "Lack",
    "Look",
    "Named",
    "NewEvent",
    "Place",
    "ProbeClaim",
    "Prune",
    "RecordingRow",
    "Renewal",
    "StepRow",
    "StoredEvent",
    "Unseen",
    "Work",
    "accept",
    "all_looks",
    "beat",
    "claim",
    "claim_contact",
    "claim_probes",
    "closed",
    "count_links",
    "draw",
    "due",
    "due_looks",
    "empty_audit",
    "expire_tombstones",
    "forget_contacts",
    "forget_unseen",
    "gates",
    "give_back",
    "known_contact",
    "last_agents",
    "learn_contacts",
    "leave",
    "load",
    "looked",
    "mark",
    "named",
    "old_calls",
    "promote",
    "prune",
    "recordings",
    "release_all",
    "renew",
    "restored_at",
    "revision_options",
    "revoke_recordings",
    "saw_recordings",
    "stage_at",
    "unseen_contacts",
    "write_gates",
    "write_journal",
]
