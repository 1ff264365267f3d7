"""Contacts: who the caller is in a connection's CRM, found or made once per number, however many calls wait for it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from connector.adapter import Adapter, Caller, Leads, Ref
from connector.clock import Clock
from connector.errors import CannotTell, LeaseLost, OutcomeUnknown, StoreBusy
from connector.phone import caller_of
from connector.pipeline.delivery.journal import LEASE_S, NOTHING_WRITTEN, Journal
from connector.pipeline.delivery.outcome import Waiting
from connector.store.engine.database import Database
from connector.store.queries import callers, contacts
from connector.store.queries.contacts import ContactClaim, ContactRow
from connector.tenants.model import Connection, Tenant

_REMEMBERED: Final = 20_000
_BUSY_S: Final = 1.0
#: A busy store is waited for this long: an attempt that ends here holds its claim, unused, until the lease runs out.
_PATIENCE_S: Final = LEASE_S / 2
#: What a contact is called whose name nobody knows (docs/reference/exotel-flows.md §4.2.1).
UNKNOWN: Final = "Unknown"


def contact_key(connection: Connection, caller: Caller) -> str:
    """The key left on a contact: the number's own, so that two connections of one account share it."""
    return (
        f"exotel:{caller.key}"
        if caller.e164 or caller.key.startswith("sip:")
        else f"exotel:{connection.id}:{caller.key}"
    )


def caller_for(number: str | None, tenant: Tenant, connection: Connection, adapter: Adapter[Any]) -> Caller:
    """A customer's number in the spellings that this connection's CRM is searched by, and is to store."""
    options = connection.options
    caller = caller_of(number, tenant.country, options.find_by or adapter.find_by, options.save_as or adapter.save_as)
    if tenant.mask is None or caller.e164 is None:
        return caller  # what is no number is a name, by which such a caller is found again
    return replace(caller, text=tenant.mask.number(number, tenant.country), masked=True)


class Contacts:
    """All callers, remembered for a while; the store has them for good."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], ContactRow] = OrderedDict()
        self._locks: dict[tuple[str, str], _Lock] = {}

    async def ensure(
        self, connection: Connection, adapter: Adapter[Any], caller: Caller, journal: Journal
    ) -> tuple[Ref | None, str | None]:
        """The caller's record, found or made, and how it was chosen. None where options say to make none.

        Raises `Waiting` while another process finds out, or while an unsure write settles; CRM errors as they are.
        """
        place = (connection.id, caller.key)
        known = self._recall(place)
        if known is None:
            async with self._alone(place):
                known = self._recall(place) or await self._claim_and_find(connection, adapter, caller, journal)
        if known is None or known.ref_id is None:
            return None, None
        return Ref(known.kind or "contact", known.ref_id, known.url), known.note  # type: ignore[arg-type]

    async def find(self, connection: Connection, adapter: Adapter[Any], caller: Caller) -> Ref | None:
        """The caller's record, where there is one; none is made, and nobody is waited for. Raises CRM errors.

        What the CRM told is kept for the deliveries of the call, unless one of them is finding out by itself.
        """
        known = self._recall((connection.id, caller.key))
        if known is not None and known.ref_id is not None:
            return Ref(known.kind or "contact", known.ref_id, known.url)  # type: ignore[arg-type]
        stored = await self._db.read(callers.known_contact, connection.id, caller.key)
        if stored is not None:
            return Ref(*stored)  # type: ignore[arg-type]
        refs = await adapter.find_contacts(caller) if caller.spellings else []
        chosen, note = _choose(refs, connection.options.match) if refs else (None, None)
        if chosen is not None:
            row = ContactRow(connection.id, caller.key, "done", chosen.kind, chosen.id, chosen.url, note=note)
            await self._db.write(callers.learn_contacts, (row, self._clock.now()))
        return chosen

    async def forget(self, connection: Connection, caller: Caller, ref: Ref) -> None:
        """The record is gone from the CRM: the next look finds or makes it anew."""
        self._known.pop((connection.id, caller.key), None)
        lost = (connection.id, caller.key, ref.id)
        await self._db.write_patiently(contacts.forget_contacts, lost, for_s=_PATIENCE_S)

    def _recall(self, place: tuple[str, str]) -> ContactRow | None:
        known = self._known.get(place)
        if known is not None:
            self._known.move_to_end(place)
        return known

    def _remember(self, row: ContactRow) -> ContactRow:
        self._known[(row.connection_id, row.number)] = row
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return row

    @asynccontextmanager
    async def _alone(self, place: tuple[str, str]) -> AsyncIterator[None]:
        # The row's lease keeps other processes away; within this one a lock is cheaper than polling the row.
        lock = self._locks.setdefault(place, _Lock())
        lock.waiting += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.waiting -= 1
            if not lock.waiting:
                self._locks.pop(place, None)

    async def _claim_and_find(
        self, connection: Connection, adapter: Adapter[Any], caller: Caller, journal: Journal
    ) -> ContactRow | None:
        now = self._clock.now()
        holder = journal.work.claimant
        wish = ContactClaim(connection.id, caller.key, holder, now, now + LEASE_S)
        row = await self._db.write_patiently(contacts.claim_contact, wish, for_s=_PATIENCE_S)
        if row.state == "done":
            return self._remember(row)
        if row.holder != holder:
            raise Waiting("another call of this number is looking the caller up", until=now + _BUSY_S)
        return await self._find_or_make(connection, adapter, caller, journal, row)

    async def _find_or_make(
        self, connection: Connection, adapter: Adapter[Any], caller: Caller, journal: Journal, row: ContactRow
    ) -> ContactRow | None:
        key = contact_key(connection, caller)
        options = connection.options
        note: str | None = None
        try:
            if row.state == "started":
                found = await self._settle(adapter, key, row)
                if found is not None:
                    return await self._keep(journal, row, found, None)
            refs = await adapter.find_contacts(caller) if caller.spellings else []
            if refs:
                chosen, note = _choose(refs, options.match)
                if chosen is not None:
                    return await self._keep(journal, row, chosen, note)
        except Exception:
            # Nothing was sent: whoever comes next, perhaps for another call, starts from the row as it was.
            await self._give_back(journal, row)
            raise
        if options.unknown_caller == "none":
            await self._give_back(journal, row)
            return None
        return await self._keep(journal, row, await self._make(connection, adapter, caller, journal, row), note)

    async def _make(
        self, connection: Connection, adapter: Adapter[Any], caller: Caller, journal: Journal, row: ContactRow
    ) -> Ref:
        key = contact_key(connection, caller)
        lead = connection.options.unknown_caller == "create_lead" and isinstance(adapter, Leads)
        settle_s = adapter.settle_s + (adapter.findable_after_s if adapter.lookup.get("contact") == "search" else 0.0)
        settle_at = self._clock.now() + LEASE_S + settle_s
        started = replace(row, state="started", kind="lead" if lead else "contact", settle_at=settle_at)
        await journal.renew(started)
        try:
            if lead:
                assert isinstance(adapter, Leads)
                return await adapter.create_lead(key, caller, UNKNOWN)
            return await adapter.create_contact(key, caller, UNKNOWN)
        except NOTHING_WRITTEN:
            await self._give_back(journal, row)
            raise
        except Exception as error:
            unsure = replace(started, settle_at=self._clock.now() + settle_s)
            found = await self._look(adapter, key, unsure) if isinstance(error, OutcomeUnknown) else None
            if found is not None:
                return found
            await self._give_back(journal, unsure)
            raise

    async def _settle(self, adapter: Adapter[Any], key: str, row: ContactRow) -> Ref | None:
        begun = self._clock.now()
        found = await self._look(adapter, key, row)
        if found is None and row.settle_at is not None and begun < row.settle_at:
            raise Waiting("a contact may have been made; it is looked for before it is made again", until=row.settle_at)
        return found

    async def _look(self, adapter: Adapter[Any], key: str, row: ContactRow) -> Ref | None:
        try:
            return await adapter.find_by_key("lead" if row.kind == "lead" else "contact", key, None)
        except CannotTell:
            return None

    async def _keep(self, journal: Journal, row: ContactRow, ref: Ref, note: str | None) -> ContactRow:
        done = ContactRow(row.connection_id, row.number, "done", ref.kind, ref.id, ref.url, note=note)
        await journal.keep_contact(done)
        return self._remember(done)

    async def _give_back(self, journal: Journal, row: ContactRow) -> None:
        with suppress(LeaseLost, StoreBusy):  # the lease of a row that cannot be given back runs out
            await journal.keep_contact(replace(row, holder=None, lease_until=None))


class _Lock:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


def _choose(refs: list[Ref], match: str) -> tuple[Ref | None, str | None]:
    if len(refs) == 1:
        return refs[0], None
    others = f"{len(refs)} contacts have this number"
    if match == "only":
        return None, f"{others}; the option `match: only` takes none of them"
    return (refs[0] if match == "newest" else refs[-1]), f"{others}; the {match} was taken"
