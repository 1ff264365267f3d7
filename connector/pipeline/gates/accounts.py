"""Accounts: the adapters that are made for connections, and the gate that connections of one CRM account share.

A gate's state is a row that replicas share: it is written by compare-and-set, and `look` learns what others wrote. What
is written here was seen by all others by the time of their next look.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import asdict
from typing import Any, Final

import aiohttp

from connector.adapter import Adapter, Checked, Home, registry
from connector.adapter.http import CrmHttp, Unlimited
from connector.clock import Clock
from connector.errors import AuthFailed, ConfigError, CrmError
from connector.pipeline.gates.gate import Gate, GateState, Urgent
from connector.pipeline.gates.quota import Buckets, SharedQuota, in_memory
from connector.pipeline.gates.replicas import Replicas
from connector.pipeline.gates.tokens import SharedTokens
from connector.store.engine.database import Database
from connector.store.queries import deliveries, gates
from connector.store.queries.gates import GateRow, ProbeClaim
from connector.store.secrets import SecretBox
from connector.tenants.directory import Directories
from connector.tenants.model import Connection

log = logging.getLogger(__name__)

#: Rows that were committed later than others with a later time are found within so long.
_OVERLAP_S: Final = 10.0
#: Longer than a probe may take: after that its replica is dead, and another one probes.
_PROBE_LEASE_S: Final = 60.0


class Accounts:
    """Adapters and gates, made when they are first needed. Implements `dispatch.Rooms`."""

    def __init__(
        self,
        db: Database,
        client: aiohttp.ClientSession,
        box: SecretBox,
        home_url: Callable[[], str],
        directories: Directories,
        clock: Clock,
        replicas: Replicas,
        wake: Callable[[str, float], None],
    ) -> None:
        """`wake`: called with an account that lets more work through, in so many seconds."""
        self._db = db
        self._client = client
        self._box = box
        self._home_url = home_url
        self._directories = directories
        self._clock = clock
        self._replicas = replicas
        self._wake = wake
        self._tokens = SharedTokens(db, box, client, clock)
        self._quota = None if db.single_process else SharedQuota(db, replicas.id, lambda: replicas.count, clock)
        #: For gates of others than connections: what their requests spend is shared by replicas.
        self.buckets: Buckets = self._quota or in_memory(clock)
        #: (connection, revision, whose budget it spends) -> what it was made of, and the adapter
        self._adapters: dict[tuple[str, int, type], tuple[Connection, Adapter[Any]]] = {}
        self.gates: dict[str, Gate] = {}
        self._writing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: What is stored of gates that nobody asked for yet.
        self._stored: dict[str, GateState] = {}
        self._paused: set[str] = set()
        #: When the newest of the rows that were seen was written.
        self._newest_at = 0.0

    async def look(self) -> None:
        """Learns what other replicas wrote of their gates since the last look. Raises `StoreBusy`."""
        for row in await self._db.read(gates.gates, self._newest_at - _OVERLAP_S):
            self._newest_at = max(self._newest_at, row.updated_at)
            gate = self.gates.get(row.account)
            known = gate.state if gate is not None else self._stored.get(row.account)
            # What is being written here meets the row by itself.
            if (known is None or known.version < row.version) and not self._writing[row.account].locked():
                self._adopt(row)

    async def ended(self) -> None:
        """Returns once what was learned is passed on to other replicas."""
        if self._quota is not None:
            await self._quota.ended()

    def adapter(self, connection: Connection) -> Adapter[Any]:
        """The connection's adapter, made anew when its settings changed. Raises `ConfigError`."""
        return self._kept(connection, self.gate(connection))

    def urgent(self, connection: Connection) -> Adapter[Any] | None:
        """The connection's adapter for somebody who waits on the line; None where nothing may be sent now."""
        gate = self.gate(connection)
        if gate.state.paused or gate.waits_s() > 0:
            return None
        return self._kept(connection, Urgent(gate))

    def _kept(self, connection: Connection, budget: Gate | Urgent) -> Adapter[Any]:
        place = (connection.id, connection.revision, type(budget))
        made = self._adapters.get(place)
        if made is not None and made[0].settings is connection.settings and made[0].options is connection.options:
            return made[1]
        adapter = self.make(connection, budget)
        self._adapters[place] = (connection, adapter)
        return adapter

    def forget_adapters(self) -> None:
        """Drops adapters of connections that changed, and of older revisions, which are rarely asked for again."""
        connections = self._directories.current.connections
        self._adapters = {place: made for place, made in self._adapters.items() if connections.get(place[0]) is made[0]}

    def make(self, connection: Connection, budget: Gate | Urgent | Unlimited) -> Adapter[Any]:
        """A new adapter that spends from `budget`."""
        tokens = self._tokens.of(connection.credential_id) if connection.credential_id is not None else None
        home = Home(self._home_url(), self._box.token(f"home:{connection.id}"))
        return registry.made_for(
            connection.adapter, connection.settings, connection.options, CrmHttp(self._client, budget, tokens), home
        )

    def gate(self, connection: Connection) -> Gate:
        """The gate of the connection's account."""
        gate = self.gates.get(connection.account)
        if gate is None:
            adapter = registry.get(connection.adapter)
            gate = Gate(
                connection.account,
                adapter.limits,
                self._clock,
                in_flight=adapter.in_flight,
                buckets=self.buckets,
                part=self._replicas.part,
            )
            # Headers are read by an adapter that never sends: two connections of one account may take turns.
            gate.reads_headers_with(self.make(connection, Unlimited()))
            gate.state = self._stored.pop(connection.account, gate.state)
            self.gates[connection.account] = gate
        return gate

    def paused(self) -> Set[str]:
        """Accounts whose work waits for a person."""
        return self._paused

    def room(self, connection_id: str) -> int:
        """How many more deliveries of the connection may start now in this process."""
        gate = self._enabled_gate(connection_id)
        return gate.room() if gate is not None else 0

    def is_open(self, connection_id: str) -> bool:
        """Whether deliveries of the connection may start now, here or in another process."""
        gate = self._enabled_gate(connection_id)
        return gate is not None and gate.is_open()

    def _enabled_gate(self, connection_id: str) -> Gate | None:
        connection = self._directories.current.connections.get(connection_id)
        if connection is None or not connection.enabled:
            return None  # its work is kept until it is enabled again
        try:
            return self.gate(connection)
        except ConfigError:
            return None

    def started(self, connection_id: str, change: int) -> None:
        """A delivery of the connection started (+1) or ended (-1)."""
        connection = self._directories.current.connections.get(connection_id)
        if connection is not None and connection.account in self.gates:
            self.gates[connection.account].running += change

    async def check(self, connection: Connection) -> Checked:
        """Proves the connection's credentials, outside of quota and pause. Raises as `Adapter.check`."""
        return await self.make(connection, Unlimited()).check()

    async def auth_failed(self, connection: Connection) -> None:
        """Pauses the account if `check` agrees that its credentials are bad.

        Returns where they are good; raises `AuthFailed` where the account is paused, other CRM errors where the check
        could not be made.
        """
        gate = self.gate(connection)
        if gate.state.paused:
            raise AuthFailed(gate.state.reason or "The account is paused.")
        try:
            await self.check(connection)
        except (AuthFailed, ConfigError) as agreed:
            log.error("account paused", extra={"connection": connection.name, "error": str(agreed)})
            await self._change(gate, Gate.pause, agreed.message)
            await self._rename("waiting", "paused", gate)
            raise AuthFailed(agreed.message) from agreed

    async def probe(self, *, due_only: bool = True) -> None:
        """Asks the paused accounts whose time has come (or all) whether their credentials work again.

        Of several replicas one at a time asks for an account.
        """
        for account in list(self._paused):
            connection = self._one_of(account)
            if connection is None:
                continue
            gate = self.gate(connection)
            now = self._clock.now()
            due_before = now if due_only else float("inf")
            if (gate.state.probe_at or 0) > due_before:
                continue
            claim = ProbeClaim(account, due_before, now, now + _PROBE_LEASE_S)
            if not await self._db.write(gates.claim_probes, claim):
                continue
            try:
                await self.check(connection)
            except (CrmError, ConfigError) as error:
                await self._change(gate, Gate.pause, error.message)
                continue
            await self.resume(account)

    async def resume(self, account: str) -> None:
        """Lets the account's work through again."""
        connection = self._one_of(account)
        if connection is None:
            return
        gate = self.gate(connection)
        log.info("account resumed", extra={"connection": connection.name})
        await self._change(gate, Gate.resume)
        await self._rename("paused", "waiting", gate)
        self._wake(account, 0.0)

    async def store(self, gate: Gate) -> bool:
        """Writes a gate's state. False where another replica wrote it meanwhile: that one's is in force here now."""
        async with self._writing[gate.account]:
            return await self._write(gate)

    async def _change(self, gate: Gate, change: Callable[..., None], *args: str) -> None:
        """Does `change(gate, *args)` and writes it, on top of what others wrote meanwhile."""
        async with self._writing[gate.account]:
            change(gate, *args)
            while not await self._write(gate):
                change(gate, *args)

    async def _write(self, gate: Gate) -> bool:
        self._note_pause(gate.account, gate.state.paused)
        written = await self._db.write(
            gates.write_gates, (GateRow(gate.account, **asdict(gate.state)), self._clock.now())
        )
        if written is None:
            gate.state.version += 1
            return True
        self._adopt(written)
        return False

    def _adopt(self, row: GateRow) -> None:
        state = GateState(row.paused, row.reason, row.probe_at, row.open_until, row.failures, row.ramp, row.version)
        if row.account in self.gates:
            self.gates[row.account].state = state
        else:
            self._stored[row.account] = state
        self._note_pause(row.account, state.paused)
        if not state.paused:
            self._wake(row.account, max(0.0, (state.open_until or 0.0) - self._clock.now()))

    def _note_pause(self, account: str, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(account)

    async def _rename(self, was: str, reason: str, gate: Gate) -> None:
        renames: list[Awaitable[None]] = [
            self._db.write(deliveries.mark, {"was": was, "reason": reason, "connection_id": connection.id})
            for connection in self._all_of(gate.account)
        ]
        for rename in renames:
            await rename

    def _all_of(self, account: str) -> Sequence[Connection]:
        return [c for c in self._directories.current.accounts.get(account, ()) if c.enabled]

    def _one_of(self, account: str) -> Connection | None:
        return next(iter(self._all_of(account)), None)
