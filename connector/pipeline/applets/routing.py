"""Routing: whom a Connect applet rings next. The caller hears silence until it is answered.

Rung are the contact's owner, then who talked to the caller last, then the tenant's group; and the fallback where none
of these can be rung, or none answered. What a CRM, Exotel or the store does not tell in time is left out, and used by
the next answer. Nobody is named twice in one round: Exotel asks again after each attempt, and stops where two answers
name the same numbers (docs/reference/exotel-flows.md §5.6).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from connector.clock import Clock
from connector.errors import StoreBusy
from connector.exotel.model import CallEvent
from connector.phone import is_number, parse_number
from connector.pipeline.applets.lines import Lines, PhoneLine, target
from connector.pipeline.applets.owners import ContactOwners
from connector.store.engine.database import Database
from connector.store.queries import callers
from connector.tenants.applets import Connect
from connector.tenants.model import Tenant

log = logging.getLogger(__name__)

#: From the request's arrival on, what others know is waited for so long; with the rest it stays within two seconds.
WAIT_S: Final = 1.4
_CALLS: Final = 10_000
#: Answers of one call; more are nobody's call.
_ANSWERS: Final = 64
_DAY_S: Final = 24 * 3600.0

By = Literal["owner", "sticky", "group", "fallback", "again"]


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What a request of a Connect applet says of its call."""

    call_sid: str | None
    customer: str | None
    #: Numbers that an attempt of this call has dialled already, as far as the request tells.
    tried: frozenset[str]
    #: What tells one attempt's request from the next one's; the same for a request that is merely repeated.
    attempt: tuple[str, ...]

    @classmethod
    def of(cls, event: CallEvent | None, tenant: Tenant) -> "ConnectRequest":
        """What is known of a request; None: it could not be read, and nothing is."""
        if event is None:
            return cls(None, None, frozenset(), ())
        params = {name.replace(" ", "").lower(): str(value) for name, value in event.raw.items()}
        dialled = parse_number(params.get("dialwhomnumber"), tenant.country)
        legs = [leg.number for leg in event.legs if leg.number]
        status, spent = params.get("dialcallstatus", ""), params.get("dialcallduration", "")
        tried = frozenset(filter(None, [dialled, *legs])) if status.lower() != "completed" else frozenset[str]()
        return cls(event.call_sid, event.customer_number, tried, (status, spent, dialled or "", *legs))


@dataclass(frozen=True, slots=True)
class Ring:
    """Numbers to be rung, in order, whether there are more after them, and how the first was chosen."""

    numbers: tuple[str, ...]
    more: bool
    by: By


@dataclass(slots=True)
class _Round:
    """What a call was answered so far."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    answers: dict[tuple[str, ...], asyncio.Task[Ring]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    last: Ring | None = None


class Routing:
    """Whom to ring, per call."""

    def __init__(self, db: Database, owners: ContactOwners, lines: Lines, clock: Clock) -> None:
        self._db = db
        self._owners = owners
        self._lines = lines
        self._clock = clock
        self._rounds: OrderedDict[tuple[int, str, str], _Round] = OrderedDict()

    async def ring(self, tenant: Tenant, name: str, applet: Connect, asked: ConnectRequest, until: float) -> Ring:
        """Whom to ring next. Concurrent requests of one call share the answer; one that is repeated gets it again.

        `until`: time of the event loop until which is waited for others. Never raises, and always names a number.
        """
        if asked.call_sid is None:
            # Nothing would tell its next request from this one: one answer names everybody.
            applet = applet.model_copy(update={"fetch_after_attempt": False})
            return await self._guarded(tenant, applet, asked, _Round(), until)
        round_ = self._round((tenant.id, name, asked.call_sid))
        task = round_.answers.get(asked.attempt)
        if task is None:
            if len(round_.answers) >= _ANSWERS:
                round_.answers.clear()
            task = asyncio.get_running_loop().create_task(self._next(tenant, applet, asked, round_, until))
            round_.answers[asked.attempt] = task
        # A client that goes away takes nobody else's answer with it.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends what is still being asked of others."""
        answering = [task for round_ in self._rounds.values() for task in round_.answers.values()]
        await self._owners.close()
        await self._lines.close()
        await asyncio.gather(*answering, return_exceptions=True)

    def _round(self, key: tuple[int, str, str]) -> _Round:
        round_ = self._rounds.setdefault(key, _Round())
        self._rounds.move_to_end(key)
        while len(self._rounds) > _CALLS:
            self._rounds.popitem(last=False)
        return round_

    async def _next(self, tenant: Tenant, applet: Connect, asked: ConnectRequest, round_: _Round, until: float) -> Ring:
        async with round_.lock:
            if round_.last is not None and not round_.last.more:
                # Exotel asks no further after an answer that said so: the flow came by this applet once more.
                round_.named.clear()
                asked = ConnectRequest(asked.call_sid, asked.customer, frozenset(), asked.attempt)
            round_.named |= asked.tried
            ring = await self._guarded(tenant, applet, asked, round_, until)
            round_.named.update(ring.numbers)
            round_.last = ring
            return ring

    async def _guarded(
        self, tenant: Tenant, applet: Connect, asked: ConnectRequest, round_: _Round, until: float
    ) -> Ring:
        try:
            return await self._choose(tenant, applet, asked, round_, until)
        except Exception:
            log.exception("a caller is put through to the fallback", extra={"tenant": tenant.sid})
            return fallback(applet)

    async def _choose(
        self, tenant: Tenant, applet: Connect, asked: ConnectRequest, round_: _Round, until: float
    ) -> Ring:
        (owner, is_awaited), sticky, lines = await asyncio.gather(
            self._owner(tenant, applet, asked, until),
            self._sticky(tenant, applet, asked, until),
            self._lines.find(tenant, until),
        )
        firsts: list[tuple[By, str]] = [("owner", number) for number in owner] + [("sticky", n) for n in sticky]
        agents = _reachable([*firsts, *(("group", number) for number in applet.group)], lines, asked)
        last: list[tuple[By, str]] = [("fallback", number) for number in applet.fallback]
        agents, last = ([one for one in kind if one[1] not in round_.named] for kind in (agents, last))
        stages = _stages(applet, agents, last)
        if not stages:
            # The same numbers again: Exotel rings nobody more, and the flow goes on with "nobody answers".
            again = round_.last.numbers if round_.last is not None else applet.fallback
            return Ring(again, more=False, by="again")
        by, numbers = stages[0]
        return Ring(numbers, more=applet.fetch_after_attempt and (len(stages) > 1 or is_awaited), by=by)

    async def _owner(
        self, tenant: Tenant, applet: Connect, asked: ConnectRequest, until: float
    ) -> tuple[list[str], bool]:
        if not applet.owner or asked.customer is None:
            return [], False
        agent, is_awaited = await self._owners.find(tenant, asked.customer, until)
        return [agent.phone] if agent is not None and agent.phone else [], is_awaited

    async def _sticky(self, tenant: Tenant, applet: Connect, asked: ConnectRequest, until: float) -> list[str]:
        """Who talked to the caller last, among those who still are the tenant's agents."""
        if not applet.sticky_days or not is_number(asked.customer):
            return []
        since = self._clock.now() - applet.sticky_days * _DAY_S
        try:
            async with asyncio.timeout_at(until):
                agents = await self._db.read(callers.last_agents, tenant.id, asked.customer, since)
        except (TimeoutError, StoreBusy):
            return []
        known = {agent.phone for connection in tenant.connections for agent in connection.agents} | set(applet.group)
        return [number for number in agents if number in known][:1]


def fallback(applet: Connect) -> Ring:
    """What is answered where nothing else can be said."""
    return Ring(applet.fallback, more=False, by="fallback")


def _reachable(
    agents: Iterable[tuple[By, str]], lines: Mapping[str, PhoneLine], asked: ConnectRequest
) -> list[tuple[By, str]]:
    """What is dialled for each agent, once, without those who are away, on a call, or calling."""
    found: dict[str, By] = {}
    for by, number in agents:
        dialled = target(number, lines, asked.call_sid)
        if dialled is not None and asked.customer not in (number, dialled):
            found.setdefault(dialled, by)
    return [(by, number) for number, by in found.items()]


def _stages(
    applet: Connect, agents: list[tuple[By, str]], last: list[tuple[By, str]]
) -> list[tuple[By, tuple[str, ...]]]:
    """Whom one answer names, and whom the next ones: one after the other, or with parallel ringing all of a kind."""
    if not applet.fetch_after_attempt:
        # Nothing is asked again: one answer names everybody. At once are rung those who are meant, and no fallback.
        everybody = (agents or last) if applet.is_parallel else [*agents, *last]
        return [(everybody[0][0], tuple(number for _, number in everybody))] if everybody else []
    if not applet.is_parallel:
        return [(by, (number,)) for by, number in [*agents, *last]]
    stages: list[tuple[By, tuple[str, ...]]] = [(by, (number,)) for by, number in agents if by != "group"]
    group, others = [number for by, number in agents if by == "group"], [number for _, number in last]
    together: tuple[tuple[By, list[str]], ...] = (("group", group), ("fallback", others))
    return [*stages, *((by, tuple(numbers)) for by, numbers in together if numbers)]
