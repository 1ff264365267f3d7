"""Accept: one request becomes one stored event and the work that it opens, durably, before it is acknowledged.

Reads CallSid and kind only (the caller waits on the line); the stored request is parsed when its call is folded, so a
mended parser mends old calls on replay.
"""

import asyncio
import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from connector.adapter.options import DigitsRule
from connector.errors import StoreBusy
from connector.exotel.details import NO_RECORDING, RECORD
from connector.exotel.model import ORDERS
from connector.pipeline.calls.times import LAST_INPUT_S, QUIET_S
from connector.store.engine.database import Database
from connector.store.queries import events
from connector.tenants.model import Connection, Tenant

#: A busy store is waited for this long; Exotel does not send a popup or passthru again.
WAIT_S: Final = 4.0

#: Words of the URL that tell of agents being rung: nothing can be planned from them alone before the call is quiet.
_POPUPS: Final = frozenset({"popup", "pop", "createpopup"})
#: Kinds that nothing is written in a CRM for: they are kept with their call.
_KEPT_ALONE: Final = frozenset({"callback/leg", "callback/recording"})
_INPUTS: Final = frozenset({"ivr", "gather"})
#: What was asked for because it did not come by itself.
_LATE_LOOKS: Final = frozenset({RECORD, NO_RECORDING})
_URGENT: Final = frozenset({"missed", "callmissed", "voicemail"})


@dataclass(frozen=True, slots=True)
class Received:
    """A request whose origin is right. `kind` is the URL's word; `params` are decoded, query and body merged."""

    tenant_id: int
    call_sid: str
    kind: str
    method: str
    query: str
    content_type: str | None
    body: bytes | None
    params: Sequence[tuple[str, str]]
    connection_id: str | None
    received_at: float
    source: str = "exotel"


def event_of(received: Received, tenant: Tenant, paused: Set[str]) -> events.NewEvent:
    """What is stored for a request. `paused`: accounts whose deliveries wait for a person."""
    received = _without_secrets_of_callers(received, tenant)
    at = received.received_at
    targets = [
        c
        for c in tenant.connections
        if c.enabled
        and (received.connection_id is None or c.id == received.connection_id)
        and received.kind not in _KEPT_ALONE
    ]
    priority, due_at, reopen_at = _when(received.kind, at)
    return events.NewEvent(
        tenant_id=received.tenant_id,
        call_sid=received.call_sid,
        kind=received.kind,
        source=received.source,
        connection_id=received.connection_id,
        dedup=_dedup(received),
        method=received.method,
        query=received.query,
        content_type=received.content_type,
        body=received.body,
        received_at=at,
        deliveries=tuple(
            (c.id, priority, due_at, reopen_at, "paused" if c.account in paused else "waiting") for c in targets
        ),
    )


def _when(kind: str, at: float) -> tuple[int, float, float]:
    """Priority class, when it is due, and when it is due if the delivery had been finished."""
    if kind in _LATE_LOOKS:
        return 3, at, at
    if kind in _POPUPS or kind in ORDERS:
        return 3, at + QUIET_S, at
    if kind in _INPUTS:
        return 2, at + QUIET_S, at
    if kind == "end":
        return 2, at + LAST_INPUT_S, at + LAST_INPUT_S
    return (1 if kind in _URGENT else 2), at, at


def _dedup(received: Received) -> str:
    digest = hashlib.blake2b(digest_size=20)
    digest.update(f"{received.tenant_id}\0{received.source}\0{received.connection_id}\0{received.kind}".encode())
    for name, value in sorted(received.params):
        digest.update(f"\0{len(name)}:{name}={value}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _without_secrets_of_callers(received: Received, tenant: Tenant) -> Received:
    """The request with keyed digits masked or left out, as the strictest connection of the tenant asks."""
    rules = _digit_rules(tenant.connections)
    if not rules or received.source == "details":  # a record has no keyed digits
        return received
    labels = [value for name, value in received.params if name.startswith(("ivr_tag_", "gather_tag_"))]
    rule = _strictest([rule.get(label, rule.get("", "show")) for rule in rules for label in (labels or [""])])
    if rule == "show":
        return received
    params = []
    for name, value in received.params:
        if name == "passthru":
            continue  # echoes the whole URL of an earlier request, its digits included (docs/reference/exotel.md §3)
        if name == "digits":
            if rule == "drop":
                continue
            value = "*" * len(value.strip('"'))
        params.append((name, value))
    return replace(received, params=params, query=urlencode(params), content_type=None, body=None)


def _digit_rules(connections: Sequence[Connection]) -> list[dict[str, DigitsRule]]:
    rules: list[dict[str, DigitsRule]] = []
    for connection in connections:
        rule = connection.options.digits
        if isinstance(rule, str):
            if rule != "show":
                rules.append({"": rule})
        else:
            rules.append(rule)
    return rules


def _strictest(rules: Sequence[DigitsRule]) -> DigitsRule:
    return "drop" if "drop" in rules else "mask" if "mask" in rules else "show"


async def store(db: Database, event: events.NewEvent) -> bool:
    """Stores the event, waiting for a busy store. Returns whether it was new. Raises `StoreBusy` after four seconds."""
    try:
        async with asyncio.timeout(WAIT_S):
            return await db.write_patiently(events.accept, event, for_s=WAIT_S)
    except TimeoutError as error:
        raise StoreBusy("The store did not answer in time.") from error
