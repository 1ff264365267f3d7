"""The pipeline's statements: accept, claim, journal, contacts, gates, quotas. Constant texts, many rows each.

Every function here runs inside a transaction of `Database`. Those that change something take many rows and answer one
result per row, so that the writer can put what is asked for at the same time into one commit.
"""

from connector.store.queries.accepting import NewEvent, accept
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
from connector.store.queries.quota import CHUNK_S, Draw, Drawn, draw
from connector.store.queries.replicas import beat, leave

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
    "NewEvent",
    "ProbeClaim",
    "Renewal",
    "StepRow",
    "StoredEvent",
    "Work",
    "accept",
    "beat",
    "claim",
    "claim_contact",
    "claim_probes",
    "draw",
    "due",
    "forget_contacts",
    "gates",
    "give_back",
    "leave",
    "load",
    "mark",
    "promote",
    "release_all",
    "renew",
    "restored_at",
    "revision_options",
    "write_gates",
    "write_journal",
]
