"""Recording on demand: passthrus `record_start` and `record_stop` become requests to Exotel's Recording API.

The event is accepted like any other and the caller does not wait for Exotel; then the order is carried out, once where
Exotel answers, again where it does not, for as long as the call runs. A later order of the call overtakes those before
it: what is not recorded yet when the flow says stop is not started any more.
"""

import asyncio
import contextlib
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from connector.backoff import Backoff
from connector.clock import Clock
from connector.errors import ConfigError, ConnectorError, CrmError, CrmUnavailable, ExotelRefused, NotFound
from connector.exotel.api import Exotel
from connector.pipeline.calls.events import read
from connector.pipeline.calls.fold import Known, fold
from connector.rounds import every
from connector.store.engine.database import Database
from connector.store.queries.orders import (
    Order,
    OrderClaim,
    OrderFinish,
    claim_orders,
    events_of,
    finish_orders,
    open_orders,
)
from connector.tenants.directory import Directories
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

#: A request takes 25 s at most (exotel.api.http).
_LEASE_S: Final = 60.0
_LOOK_EVERY_S: Final = 4.0
#: Exotel's longest call: no order is of use any more.
_GIVE_UP_AFTER_S: Final = 4 * 3600.0
_MOST: Final = 200
_RETRY: Final = Backoff(1.0, 30.0)


class Recorder:
    """Carries out the open orders of all tenants. Several may run beside each other, one per replica."""

    def __init__(
        self,
        db: Database,
        client: Callable[[Tenant], Exotel],
        directories: Directories,
        clock: Clock,
        public_url: str | None,
    ) -> None:
        """`public_url`: where Exotel reaches us, for the recording's callback; None: it is not asked for."""
        self._db = db
        self._client = client
        self._directories = directories
        self._clock = clock
        self._public_url = public_url
        self._holder = uuid.uuid4().hex[:12]
        self._woken = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Recorder"]:
        """Works until this ends."""
        async with every(_LOOK_EVERY_S, self.look, name="recorder", spread=0.25, woken=self._woken):
            yield self

    def wake(self) -> None:
        """An order came in."""
        self._woken.set()

    async def look(self) -> None:
        """Carries out what is due now. Raises `StoreBusy`."""
        now = self._clock.now()
        orders = await self._db.read(open_orders, now - 2 * _GIVE_UP_AFTER_S, _MOST)
        by_call: dict[int, list[Order]] = defaultdict(list)
        for order in orders:
            by_call[order.call_id].append(order)
        due = [of_call for of_call in by_call.values() if _is_due(of_call, now)]
        await asyncio.gather(*(self._carry_out(of_call) for of_call in due))

    async def _carry_out(self, orders: Sequence[Order]) -> None:
        """The newest order of a call; those before it are overtaken."""
        now = self._clock.now()
        claim = OrderClaim(tuple(order.event_id for order in orders), self._holder, now, now + _LEASE_S)
        if not await self._db.write(claim_orders, claim):
            return  # another replica is at it; what is left is seen when it has finished
        *overtaken, order = orders
        state, reason, due_at = await self._result(order)
        finishes = [(one.event_id, "failed", f"overtaken by {order.kind}", now) for one in overtaken]
        for event_id, is_now, why, at in [*finishes, (order.event_id, state, reason, due_at)]:
            finish = OrderFinish(event_id, self._holder, is_now, why, self._clock.now(), at)
            await self._db.write(finish_orders, finish)

    async def _result(self, order: Order) -> tuple[str, str | None, float]:
        """State, reason, and when the order is due again if it is pending."""
        now = self._clock.now()
        tenant = self._directories.current.tenants_by_id.get(order.tenant_id)
        if tenant is None:
            return "failed", "The tenant is gone.", now
        if now - order.received_at > _GIVE_UP_AFTER_S or (order.attempts and await self._is_over(tenant, order)):
            return "failed", "The call was over before Exotel took it.", now
        fields = {"tenant": tenant.sid, "call_sid": order.call_sid, "attempt": order.attempts + 1}
        try:
            await self._ask(tenant, order)
        except (ExotelRefused, NotFound) as error:
            log.warning("a recording order was refused", extra={**fields, "reason": str(error)})
            return "failed", error.message, now
        except (CrmError, ConfigError) as error:
            # an order that is repeated after an unsure outcome changes nothing: the recording is on, or off, already
            log.warning("a recording order will be tried again", extra={**fields, "reason": str(error)})
            return "pending", error.message, now + _retry_s(order, error)
        log.info("recording order carried out", extra=fields)
        return "done", None, now

    async def _ask(self, tenant: Tenant, order: Order) -> None:
        calls = self._client(tenant).calls
        if order.kind == "record_stop":
            await calls.stop_recording(order.call_sid)
            return
        root = self._public_url and f"{self._public_url}/h/{tenant.hook_token.get_secret_value()}"
        await calls.start_recording(order.call_sid, status_callback=root and f"{root}/callback/recording")

    async def _is_over(self, tenant: Tenant, order: Order) -> bool:
        """Whether events told the call's end since the order came."""
        later = [one for one in await self._db.read(events_of, order.call_id) if one.id > order.event_id]
        return fold(read(later, tenant.country), Known()).over


def _is_due(orders: Sequence[Order], now: float) -> bool:
    is_held = any(order.lease_until is not None and order.lease_until > now for order in orders)
    return not is_held and orders[-1].due_at <= now


def _retry_s(order: Order, error: ConnectorError) -> float:
    """The account's quota says itself when it is free again."""
    told_s = error.retry_after_s if isinstance(error, CrmUnavailable) else None
    return max(told_s or 0.0, _RETRY.wait_s(order.attempts + 1))
