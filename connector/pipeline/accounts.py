"""Accounts: the adapters that are made for connections, and the gate that connections of one CRM account share."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp

from connector import registry
from connector.adapter import Adapter, Checked, Home
from connector.clock import Clock
from connector.crm_http import CrmHttp, Unlimited
from connector.errors import AuthFailed, ConfigError, CrmError
from connector.pipeline.gate import Gate, GateState, Urgent
from connector.pipeline.tokens import SharedTokens
from connector.store import queries
from connector.store.database import Database
from connector.store.secrets import SecretBox
from connector.tenants import Connection, Directory

log = logging.getLogger(__name__)


class Accounts:
    """Adapters and gates, made when they are first needed. Implements `dispatch.Rooms`."""

    def __init__(
        self,
        db: Database,
        client: aiohttp.ClientSession,
        box: SecretBox,
        home_url: Callable[[], str],
        directory: Callable[[], Directory],
        clock: Clock,
    ) -> None:
        self._db = db
        self._client = client
        self._box = box
        self._home_url = home_url
        self._directory = directory
        self._clock = clock
        self._tokens = SharedTokens(db, box, client, clock)
        #: (connection, revision, whose budget it spends) -> what it was made of, and the adapter
        self._adapters: dict[tuple[str, int, type], tuple[Connection, Adapter[Any]]] = {}
        self.gates: dict[str, Gate] = {}
        self._stored: dict[str, GateState] = {}
        self._paused: frozenset[str] = frozenset()

    async def load(self) -> None:
        """Reads what was paused, or open, when the process ended."""
        for row in await self._db.read(queries.gates):
            self._stored[row["account"]] = GateState(
                bool(row["paused"]), row["reason"], row["probe_at"], row["open_until"], row["failures"]
            )
        self._count_paused()

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
        """Drops the adapters: connections may have changed, and older revisions are rarely asked for again."""
        self._adapters.clear()

    def make(self, connection: Connection, budget: Gate | Urgent | Unlimited) -> Adapter[Any]:
        """A new adapter that spends from `budget`."""
        tokens = self._tokens.of(connection.credential_id) if connection.credential_id is not None else None
        home = Home(self._home_url(), self._box.token(f"home:{connection.id}"))
        return registry.made_for(connection, CrmHttp(self._client, budget, tokens), home)

    def gate(self, connection: Connection) -> Gate:
        """The gate of the connection's account."""
        gate = self.gates.get(connection.account)
        if gate is None:
            adapter = registry.get(connection.adapter)
            gate = Gate(connection.account, adapter.limits, self._clock, in_flight=adapter.in_flight)
            # Headers are read by an adapter that never sends: two connections of one account may take turns.
            gate.reads_headers_with(self.make(connection, Unlimited()))
            gate.state = self._stored.get(connection.account, gate.state)
            self.gates[connection.account] = gate
        return gate

    def paused(self) -> frozenset[str]:
        """Accounts whose work waits for a person."""
        return self._paused

    def _count_paused(self) -> None:
        known = {account: gate.state for account, gate in self.gates.items()}
        self._paused = frozenset(account for account, state in {**self._stored, **known}.items() if state.paused)

    def room(self, connection_id: str) -> int:
        """How many more deliveries of the connection may start now."""
        connection = self._directory().connections.get(connection_id)
        if connection is None or not connection.enabled:
            return 0  # its work is kept until it is enabled again
        try:
            return self.gate(connection).room()
        except ConfigError:
            return 0

    def started(self, connection_id: str, change: int) -> None:
        """A delivery of the connection started (+1) or ended (-1)."""
        connection = self._directory().connections.get(connection_id)
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
            gate.pause(agreed.message)
            log.error("account paused", extra={"connection": connection.name, "error": str(agreed)})
            await self.store(gate)
            await self._rename("waiting", "paused", gate)
            raise AuthFailed(agreed.message) from agreed

    async def probe(self, wake: Callable[[Connection], None], *, due_only: bool = True) -> None:
        """Asks the paused accounts whose time has come (or all) whether their credentials work again."""
        now = self._clock.now()
        for account in self.paused():
            connection = self._one_of(account)
            if connection is None:
                continue
            gate = self.gate(connection)
            if due_only and (gate.state.probe_at or 0) > now:
                continue
            try:
                await self.check(connection)
            except (CrmError, ConfigError) as error:
                gate.pause(error.message)
                await self.store(gate)
                continue
            await self.resume(account, wake)

    async def resume(self, account: str, wake: Callable[[Connection], None]) -> None:
        """Lets the account's work through again."""
        connection = self._one_of(account)
        if connection is None:
            return
        gate = self.gate(connection)
        gate.resume()
        log.info("account resumed", extra={"connection": connection.name})
        await self.store(gate)
        await self._rename("paused", "waiting", gate)
        for one in self._all_of(account):
            wake(one)

    async def store(self, gate: Gate) -> None:
        """Writes a gate's state."""
        self._count_paused()
        state = gate.state
        row: Mapping[str, Any] = {
            "account": gate.account,
            "paused": state.paused,
            "reason": state.reason,
            "probe_at": state.probe_at,
            "open_until": state.open_until,
            "failures": state.failures,
            "now": self._clock.now(),
        }
        await self._db.write(queries.write_gates, row)

    async def _rename(self, was: str, reason: str, gate: Gate) -> None:
        renames: list[Awaitable[None]] = [
            self._db.write(queries.mark, {"was": was, "reason": reason, "connection_id": connection.id})
            for connection in self._all_of(gate.account)
        ]
        for rename in renames:
            await rename

    def _all_of(self, account: str) -> Iterable[Connection]:
        return [c for c in self._directory().connections.values() if c.account == account and c.enabled]

    def _one_of(self, account: str) -> Connection | None:
        return next(iter(self._all_of(account)), None)
