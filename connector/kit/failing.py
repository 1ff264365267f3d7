"""What an adapter does when its CRM refuses, breaks or keeps silent: a typed error, at once, that tells no secret."""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, ClassVar

import pytest

from connector.adapter import Adapter, Chat, Desk, Owners
from connector.errors import (
    AuthFailed,
    ConfigError,
    ConnectorError,
    CrmError,
    CrmUnavailable,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.kit.bench import NUMBER, WORDS, Bench, Connected, Refusal, writes_of
from connector.kit.wire import Trouble

#: Long enough for an answer on this machine, short enough to wait for silence.
_TIMEOUT_S = 0.4

#: Status -> error of a read; an entry of the adapter's own table for the status goes before, save for those below.
READS: dict[int, type[CrmError]] = {
    400: Rejected,
    401: AuthFailed,
    403: AuthFailed,
    429: RateLimited,
    500: CrmUnavailable,
    502: CrmUnavailable,
    503: CrmUnavailable,
    504: CrmUnavailable,
}
WRITES: dict[int, type[CrmError]] = {
    400: Rejected,
    401: AuthFailed,
    403: AuthFailed,
    404: NotFound,
    422: Rejected,
    429: RateLimited,
    500: OutcomeUnknown,
    502: OutcomeUnknown,
    503: OutcomeUnknown,
    504: OutcomeUnknown,
}
#: What these mean is nobody's to change: after a 5xx without a code of its own a write may have been done.
_FIXED = (401, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the contract, ready to be made."""

    name: str
    run: Callable[[], Awaitable[Any]]


class FailingChecks:
    """Checks of trouble: the wire answers, or keeps silent, in the CRM's place."""

    adapter: ClassVar[type[Adapter[Any]]]

    async def test_bad_credentials_are_refused(self, bench: Bench) -> None:
        crm = await bench.connect(wrong=True)
        with pytest.raises((AuthFailed, ConfigError)):
            await crm.adapter.check()

    async def test_read_statuses(self, bench: Bench, read_status: int) -> None:
        """Each status of a read becomes its error, from every method that reads."""
        crm = await bench.connect()
        operations = await _reads(crm)
        bench.wire.trouble = Trouble(status=read_status, headers={"Retry-After": "7"})
        wanted = self._expected(READS, read_status)
        for operation, error in zip(operations, await _all(operations), strict=True):
            assert isinstance(error, wanted), f"{operation.name} under {read_status}: {_said(error)}"

    async def test_write_statuses(self, bench: Bench, write_status: int) -> None:
        """Each status of a write becomes its error, from every method that writes."""
        crm = await bench.connect()
        operations = await _writes(crm, changes_only=write_status == 404)
        bench.wire.trouble = Trouble(status=write_status, headers={"Retry-After": "7"}, on="writes")
        wanted = self._expected(WRITES, write_status)
        for operation, error in zip(operations, await _all(operations), strict=True):
            assert isinstance(error, wanted), f"{operation.name} under {write_status}: {_said(error)}"

    async def test_refusals(self, bench: Bench, refusal: Refusal) -> None:
        """Each documented refusal becomes its error, which names the entry's parts."""
        crm = await bench.connect()
        operations = await _writes(crm)
        bench.wire.trouble = Trouble(refusal.status, refusal.body, refusal.headers, on="writes")
        for operation, error in zip(operations, await _all(operations), strict=True):
            assert isinstance(error, refusal.error), f"{operation.name}: {_said(error)}"
            if isinstance(error, Rejected):
                assert set(refusal.parts) <= set(error.parts), f"{operation.name} names the parts {error.parts}"

    async def test_retry_after_is_read(self, bench: Bench) -> None:
        """`Retry-After` is obeyed, in seconds and as a date, by reads and writes."""
        crm = await bench.connect()
        operations = [*await _reads(crm), *await _writes(crm)]
        for value in ("77", formatdate(time.time() + 77, usegmt=True)):
            bench.wire.trouble = Trouble(status=429, headers={"Retry-After": value})
            for operation, error in zip(operations, await _all(operations), strict=True):
                assert isinstance(error, RateLimited), f"{operation.name} under 429: {_said(error)}"
                assert error.retry_after_s is not None, f"{operation.name} lost Retry-After"
                assert 60 < error.retry_after_s <= 78, f"{operation.name} read Retry-After as {error.retry_after_s}"

    async def test_a_hung_write_is_unsure(self, bench: Bench) -> None:
        """A write that gets no answer may have been done."""
        crm = await bench.connect()
        operations = await _writes(crm)
        crm.give_up_after(_TIMEOUT_S)
        bench.wire.trouble = Trouble(on="writes")
        for operation, error in zip(operations, await _all(operations), strict=True):
            assert isinstance(error, OutcomeUnknown), f"{operation.name} without an answer: {_said(error)}"

    async def test_a_hung_read_is_not(self, bench: Bench) -> None:
        """A read that gets no answer has done nothing."""
        crm = await bench.connect()
        operations = await _reads(crm)
        crm.give_up_after(_TIMEOUT_S)
        bench.wire.trouble = Trouble()
        for operation, error in zip(operations, await _all(operations), strict=True):
            assert isinstance(error, CrmUnavailable), f"{operation.name} without an answer: {_said(error)}"

    async def test_a_write_is_sent_once(self, bench: Bench) -> None:
        """A failed write is neither repeated nor sent again in another form: that is the pipeline's to decide."""
        crm = await bench.connect()
        for operation in await _writes(crm):
            for status in (400, 500):
                bench.wire.exchanges.clear()
                bench.wire.trouble = Trouble(status=status, on="writes")
                await _all([operation])
                sent = [exchange for exchange in bench.wire.exchanges if exchange.troubled]
                assert len(sent) == 1, f"{operation.name} wrote {len(sent)} times under {status}"

    async def test_a_lost_answer_is_found(self, bench: Bench) -> None:
        """When the CRM did it and the answer was lost, the record is found by its key."""
        crm = await bench.connect()
        for write in writes_of(self.adapter):
            await crm.parent(write)
        for write in writes_of(self.adapter):
            if self.adapter.lookup.get(write.kind) == "none":
                continue
            key = crm.key(f"{write.kind}:lost")
            bench.wire.trouble = Trouble(on="writes", after_effect=True)
            with pytest.raises(OutcomeUnknown):
                await crm.make(write, key)
            bench.wire.trouble = None
            assert await crm.find_soon(write, key) is not None, f"the {write.kind} was done, and not found"

    async def test_tells_no_secret_and_no_number(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        """Neither logs, nor reprs, nor errors tell a secret or a number, whatever the CRM echoes."""
        secrets = [secret for secret in bench.secrets() if secret]
        echo = f"{NUMBER} is not known, nor is {' '.join(secrets)}"
        with caplog.at_level(logging.DEBUG):
            crm = await bench.connect()
            errors: list[object] = []
            operations = [*await _reads(crm), *await _writes(crm)]
            crm.give_up_after(_TIMEOUT_S)
            for trouble in (*_echoes(echo), Trouble(404), Trouble(429), Trouble(503), Trouble()):
                bench.wire.trouble = trouble
                errors += await _all(operations)
        adapter = crm.adapter
        told = [repr(adapter), repr(adapter.settings), str(adapter.settings), repr(adapter.home)]
        for error in errors:
            if isinstance(error, BaseException):
                told += [str(error), repr(error), getattr(error, "message", ""), *traceback.format_exception(error)]
                told.append(repr(getattr(error, "words", "")))
        told += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        for text in told:
            for secret in secrets:
                assert secret not in text, f"a secret is told: {text.replace(secret, '<the secret>')[:300]}"
            assert NUMBER[3:] not in re.sub(r"[\s().-]", "", text), f"a number is told: {text[:300]}"

    def _expected(self, table: dict[int, type[CrmError]], status: int) -> type[CrmError]:
        own = self.adapter.errors.get((status, None))
        return own if own is not None and status not in _FIXED else table[status]


async def _reads(crm: Connected) -> list[Operation]:
    """Every read that asks the CRM something."""
    adapter = crm.adapter
    operations = [
        Operation("check", adapter.check),
        Operation("list_agents", adapter.list_agents),
        Operation("find_contacts", lambda: adapter.find_contacts(crm.who)),
    ]
    for write in writes_of(type(adapter)):
        if adapter.lookup.get(write.kind) != "none":
            parent = await crm.parent(write)
            operations.append(
                Operation(
                    f"find_by_key({write.kind!r})",
                    lambda kind=write.kind, parent=parent: adapter.find_by_key(kind, crm.key(kind), parent),  # type: ignore[misc]
                )
            )
    if isinstance(adapter, (Desk, Chat, Owners)):
        contact = await crm.parent(next(write for write in writes_of(type(adapter)) if write.parents == ("contact",)))
        if isinstance(adapter, Desk):
            operations.append(Operation("find_open_ticket", lambda: crm.any.find_open_ticket(contact)))
        if isinstance(adapter, Owners):
            operations.append(Operation("find_owner", lambda: crm.any.find_owner(contact)))
        if isinstance(adapter, Chat):
            operations.append(
                Operation("find_open_conversation", lambda: crm.any.find_open_conversation(contact, crm.agent))
            )
    return operations


async def _writes(crm: Connected, *, changes_only: bool = False) -> list[Operation]:
    """Every write, its parents and what it changes made beforehand."""
    operations = []
    for write in writes_of(type(crm.adapter)):
        await crm.parent(write)
        if not changes_only:
            run = lambda write=write: crm.make(write, crm.key(f"{write.kind}:new"), WORDS)  # noqa: E731
            operations.append(Operation(f"making a {write.kind}", run))
        if write.changes(type(crm.adapter)):
            ref = await crm.make(write, crm.key(f"{write.kind}:old"))
            change = lambda write=write, ref=ref: crm.change(write, crm.key(f"{write.kind}:old"), ref)  # noqa: E731
            operations.append(Operation(f"changing a {write.kind}", change))
    return operations


async def _all(operations: Sequence[Operation]) -> list[object]:
    """What each ends in: its error, or what it returned; they run side by side, as the pipeline's do."""
    ends: list[object] = await asyncio.gather(*(each.run() for each in operations), return_exceptions=True)
    return ends


def _said(error: object) -> str:
    if isinstance(error, ConnectorError):
        return f"{type(error).__name__}({error.message})"
    return f"{type(error).__name__} {error!r}" if isinstance(error, Exception) else f"no error, but {error!r}"


def _echoes(text: str) -> list[Trouble]:
    """Refusals that repeat what was sent, in the shapes that CRMs use."""
    detail = {"field": "phone", "code": "kit_code", "message": text}
    return [
        Trouble(400, {"code": "kit_code", "message": text, "description": text, "errors": [detail]}),
        Trouble(400, {"error": {"code": "kit_code", "field": "phone", "message": text}}),
        Trouble(422, {"message": [text], "data": [{"code": "KIT", "message": text, "details": {"api_name": text}}]}),
    ]
