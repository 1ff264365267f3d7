"""Click to call: an agent's phone is rung, then the customer's; never twice for one wish.

The row is durable before Exotel hears of the call, and Connect is never repeated: it has no idempotency key, and a
request that was given up may still ring the agent (docs/reference/exotel.md §6.1). What came of an unsure one is
learned from its callback, which carries the row's token as CustomField, or looked for at Exotel (`unsure`).
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from connector.clock import Clock
from connector.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    CrmUnavailable,
    Declined,
    OutcomeUnknown,
    RateLimited,
    StoreBusy,
)
from connector.exotel.api import Exotel
from connector.exotel.token import is_token, new_token
from connector.exotel.wire import IST
from connector.pipeline.calls.accept import Received
from connector.pipeline.click_to_call.wish import DialWish, dial_of
from connector.store.engine.database import Database
from connector.store.queries import placements
from connector.store.queries.placements import Binding, NewPlacement, Placement, Verdict
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

#: An unsure call is looked for so long after it was asked for: by then most have rung out.
FIRST_LOOK_S: Final = 60.0
#: A row whose process says nothing for so long is unsure: Connect takes half a minute at worst.
_ABANDONED_S: Final = 120.0
#: A busy store is waited for this long before and after Connect.
_PATIENCE_S: Final = 4.0
_RETRY_S: Final = 5.0


class Placing:
    """Places calls of all tenants."""

    def __init__(
        self,
        db: Database,
        client: Callable[[Tenant], Exotel],
        accept: Callable[[Received], Awaitable[None]],
        public_url: str | None,
        clock: Clock,
    ) -> None:
        """`accept` stores an event and opens the deliveries of its call; `public_url` is where Exotel reaches us."""
        self._db = db
        self._client = client
        self._accept = accept
        self._public_url = public_url
        self._clock = clock
        self._under_way: set[asyncio.Task[Placement]] = set()

    async def place(self, tenant: Tenant, wish: DialWish, who: str) -> Placement:
        """Places a call, or gives the one that was placed under the same idempotency key.

        Its state is `placed`, or `unknown` where nobody can tell yet. Raises `Declined`, and `StoreBusy` before
        anybody was rung. A caller that is cancelled does not stop what it began.
        """
        asked = _digest(wish)
        if wish.idempotency_key is not None:
            earlier = await self._db.read(placements.placement_of_key, tenant.id, wish.idempotency_key)
            if earlier is not None:
                return _again(earlier, asked)
        now = self._clock.now()
        dial = dial_of(tenant, wish, now)
        callback = self._callback(tenant)
        new = NewPlacement(
            tenant_id=tenant.id,
            token=new_token(),
            connection_id=dial.connection.id,
            agent=dial.agent.id,
            agent_number=dial.agent_number,
            customer=dial.customer,
            caller_id=dial.caller_id,
            custom_field=wish.custom_field,
            idempotency_key=wish.idempotency_key,
            asked=asked,
            look_at=now + _ABANDONED_S,
            created_at=now,
            who=who,
        )
        row, is_new = await self._db.write_patiently(placements.create_placement, new, for_s=_PATIENCE_S)
        if not is_new:
            return _again(row, asked)
        task = asyncio.create_task(self._connect(tenant, row, callback), name=f"connect {row.token}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Gives up what is under way; it is unsure from now on, and looked for by whoever starts next."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def recognise(self, tenant: Tenant, received: Received) -> None:
        """Binds a placement whose token a callback carries, whatever became of Connect's answer. Raises `StoreBusy`."""
        token = next((value for name, value in received.params if name == "CustomField"), None)
        if token is None or not is_token(token):
            return
        row = await self._db.read(placements.find_placement, token)
        if row is not None and row.tenant_id == tenant.id and row.call_sid != received.call_sid:
            await self.bind(row, received.call_sid, by_token=True)

    async def bind(self, row: Placement, call_sid: str, *, by_token: bool = False) -> Placement:
        """Says that the placement became this call. Repeatable. Raises `StoreBusy`.

        The event comes first: a process that ends in between leaves a placement that is looked for, and found again.
        """
        await self._accept(connect_event(row, call_sid, self._clock.now()))
        now = self._clock.now()
        binding = Binding(row.id, row.tenant_id, call_sid, now, now + FIRST_LOOK_S, by_token)
        return await self._db.write_patiently(placements.bind_placement, binding, for_s=_PATIENCE_S)

    def _callback(self, tenant: Tenant) -> str:
        if self._public_url is None:
            raise Declined(
                "no_public_url",
                "Exotel must be able to tell how the call went: set CONNECTOR_PUBLIC_URL to this service's address.",
            )
        return f"{self._public_url}/h/{tenant.hook_token.get_secret_value()}/status"

    async def _connect(self, tenant: Tenant, row: Placement, callback: str) -> Placement:
        rules = tenant.calls
        try:
            record = await self._client(tenant).calls.connect(
                row.agent_number,
                row.customer,
                row.caller_id,
                custom_field=row.token,
                status_callback=callback,
                record=rules.record,
                dual_channel=rules.channels == "dual",
                time_limit_s=rules.time_limit_s,
                ring_s=rules.ring_s,
                max_retries=rules.retries,
            )
        except OutcomeUnknown as error:
            log.warning("a call may have been placed", extra={"placement": row.token, "error": str(error)})
            return await self._unsure(row)
        except CrmUnavailable as error:  # and RateLimited: nobody was rung, and it may be asked again
            wait_s = error.retry_after_s or _RETRY_S
            code = "rate_limited" if isinstance(error, RateLimited) else "exotel_unavailable"
            refused = Declined(code, error.message, retry_at=self._clock.now() + wait_s)
            return await self._refused(row, refused, frees_key=True)
        except AuthFailed as error:
            return await self._refused(row, Declined("exotel_credentials", error.message))
        except (CrmError, ConfigError, ValueError) as error:
            words = str(error) if isinstance(error, ValueError) else error.message
            return await self._refused(row, Declined("refused", words))
        except Exception:
            await self._unsure(row)
            raise
        try:
            return await self.bind(row, record.sid)
        except StoreBusy as error:
            # The row stays as it was and is looked for later; whoever asked is told what is known.
            log.error("a placed call was not stored", extra={"placement": row.token, "error": str(error)})
            return replace(row, state="placed", call_sid=record.sid)

    async def _unsure(self, row: Placement) -> Placement:
        now = self._clock.now()
        return await self._settle(row, Verdict(row.id, "unknown", now, look_at=row.created_at + FIRST_LOOK_S))

    async def _refused(self, row: Placement, refused: Declined, *, frees_key: bool = False) -> Placement:
        words = json.dumps({"code": refused.code, "message": refused.message, "field": refused.field})
        verdict = Verdict(row.id, "refused", self._clock.now(), refusal=words, frees_key=frees_key)
        row = await self._settle(row, verdict)
        if row.state != "refused":
            return row  # its callback came: it was placed after all
        raise refused

    async def _settle(self, row: Placement, verdict: Verdict) -> Placement:
        try:
            return await self._db.write_patiently(placements.settle_placement, verdict, for_s=_PATIENCE_S)
        except StoreBusy as error:
            log.error("a verdict was not stored", extra={"placement": row.token, "error": str(error)})
            return replace(row, state=verdict.state, refusal=verdict.refusal)

    def _ended(self, task: "asyncio.Task[Placement]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and isinstance(task.exception(), Exception):
            # Whoever asked may be gone; a refusal is an answer and no fault.
            level = logging.DEBUG if isinstance(task.exception(), Declined) else logging.ERROR
            log.log(level, "a call was not placed", extra={"error": str(task.exception())})


def connect_event(row: Placement, call_sid: str, now: float) -> Received:
    """The answer to Connect as an event of the call, in a StatusCallback's words; the same each time it is told."""
    asked_at = datetime.fromtimestamp(row.created_at, IST).strftime("%Y-%m-%d %H:%M:%S")
    params = [
        ("CallSid", call_sid),
        ("Status", "in-progress"),
        ("Direction", "outbound-api"),
        ("From", row.agent_number),
        ("To", row.customer),
        ("PhoneNumberSid", row.caller_id),
        ("CurrentTime", asked_at),
    ]
    if row.custom_field is not None:
        params.append(("CustomField", row.custom_field))
    return Received(
        tenant_id=row.tenant_id,
        call_sid=call_sid,
        kind="status",
        method="GET",
        query=urlencode(params),
        content_type=None,
        body=None,
        params=params,
        connection_id=None,
        received_at=now,
        source="connect",
    )


def refusal_of(row: Placement) -> Declined | None:
    """Why a placement was refused, as it was told; None where it was not."""
    if row.refusal is None:
        return None
    return Declined(**json.loads(row.refusal))


def _again(earlier: Placement, asked: str) -> Placement:
    """The answer to a wish whose idempotency key was used before."""
    if earlier.asked != asked:
        raise Declined(
            "idempotency_key_reused", "This key was used for another call: take a new one.", "Idempotency-Key"
        )
    refused = refusal_of(earlier)
    if refused is not None:
        raise refused
    return earlier


def _digest(wish: DialWish) -> str:
    asked = [wish.connection, wish.agent, wish.number, wish.custom_field]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
