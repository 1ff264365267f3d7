"""The work bench of the checks: what a call says, what can be written of it, and adapters wired to a CRM."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

import aiohttp
from pydantic import SecretStr

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Chat,
    Desk,
    EditableNotes,
    Entry,
    Files,
    Home,
    Kind,
    Leads,
    Ref,
    Sales,
    Tasks,
)
from connector.adapter.http import CrmHttp, Unlimited
from connector.adapter.oauth import MemoryTokens, Tokens
from connector.errors import CannotTell, CrmError
from connector.exotel.model import Call, Leg
from connector.kit.wire import Wire
from connector.outbound import session
from connector.phone import caller_of

#: The customer of every check; recordings may carry this number, and no other.
NUMBER = "+919876543210"
OTHER_NUMBER = "+919876501234"
CALL_SID = "c0ffee5ca1ab1e0ddba11deca1f00d11"
AGENT_NUMBER = "+919876500000"
RECORDING = "https://recordings.exotel.com/exotelrecordings/kit1/c0ffee.mp3"

_IST = timezone(timedelta(hours=5, minutes=30))

#: All that the contract lets an adapter know of a call.
CALL = Call(
    call_sid=CALL_SID,
    direction="inbound",
    customer_number=NUMBER,
    exophone="+918047494574",
    agent_number=AGENT_NUMBER,
    outcome="answered",
    status="completed",
    kinds=frozenset({"popup", "answered"}),
    over=True,
    duration_s=42,
    recording_url=RECORDING,
    legs=(Leg(number=AGENT_NUMBER, status="completed", on_call_duration_s=42),),
    started_at=datetime(2025, 3, 2, 10, 11, 12, tzinfo=_IST),
    ended_at=datetime(2025, 3, 2, 10, 12, 4, tzinfo=_IST),
)

WORDS = Entry(
    subject="Missed call from 09876543210", text="First words of the call.", html="<p>First words of the call.</p>"
)
CHANGED = Entry(subject="Voicemail from 09876543210", text="Other words by now.", html="<p>Other words by now.</p>")


def key(slot: str, connection: str = "kit1", call_sid: str = CALL_SID) -> str:
    """A key as the pipeline makes it: `<connection id>:<CallSid>:<slot>`."""
    return f"{connection}:{call_sid}:{slot}"


def caller(adapter: type[Adapter[Any]], number: str | None = NUMBER) -> Caller:
    """The customer, spelled as this adapter's CRM is searched and written by default."""
    return caller_of(number, "IN", adapter.find_by, adapter.save_as)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as the CRM documents it: an answer, the error it becomes, and the entry's parts that it names."""

    status: int
    body: Any
    error: type[CrmError]
    parts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Write:
    """One way in which an adapter makes a record; `change` writes it anew."""

    kind: Kind
    #: Class that the adapter inherits where it offers this; None: every adapter does.
    family: type | None
    #: What the record hangs on; the first of these that the adapter writes.
    parents: tuple[Kind, ...]
    make: Callable[["Connected", str, Ref | None, Entry], Awaitable[Ref]]
    change: Callable[["Connected", str, Ref, Entry], Awaitable[None]] | None = None
    #: Class that `change` needs, where it is not `family`.
    change_family: type | None = None

    def offered(self, adapter: type[Adapter[Any]]) -> bool:
        """Whether the adapter can make this record."""
        return self.family is None or issubclass(adapter, self.family)

    def changes(self, adapter: type[Adapter[Any]]) -> bool:
        """Whether the adapter can write this record anew."""
        return (
            self.change is not None
            and self.offered(adapter)
            and (self.change_family is None or issubclass(adapter, self.change_family))
        )


def _name(entry: Entry) -> str:
    return entry.text or "Caller"


#: Parents before what hangs on them.
WRITES: tuple[Write, ...] = (
    Write("contact", None, (), lambda c, k, _p, e: c.any.create_contact(k, c.who, _name(e))),
    Write("lead", Leads, (), lambda c, k, _p, e: c.any.create_lead(k, c.who, _name(e))),
    Write(
        "ticket",
        Desk,
        ("contact",),
        lambda c, k, p, e: c.any.create_ticket(k, p, e),
        lambda c, k, r, e: c.any.update_ticket(k, r, e, WORDS.subject),
    ),
    Write(
        "note",
        Desk,
        ("ticket",),
        lambda c, k, p, e: c.any.add_note(k, p, e),
        lambda c, k, r, e: c.any.update_note(k, r, e),
        EditableNotes,
    ),
    Write(
        "call_log",
        Sales,
        ("contact",),
        lambda c, k, p, e: c.any.log_call(k, p, CALL, e),
        lambda c, k, r, e: c.any.update_call_log(k, r, CALL, e),
    ),
    Write("conversation", Chat, ("contact",), lambda c, k, p, e: c.any.open_conversation(k, p, c.by_agent(e))),
    Write("message", Chat, ("conversation",), lambda c, k, p, e: c.any.post_message(k, p, e)),
    Write("task", Tasks, ("contact",), lambda c, k, p, e: c.any.create_task(k, p, CALL, e)),
    Write(
        "file",
        Files,
        ("ticket", "call_log", "conversation", "contact"),
        lambda c, k, p, _e: c.any.attach(k, p, "recording.mp3", b"ID3 not really", "audio/mpeg"),
    ),
)


def writes_of(adapter: type[Adapter[Any]]) -> tuple[Write, ...]:
    """What the adapter can write."""
    return tuple(write for write in WRITES if write.offered(adapter))


class Connected:
    """One connection: an adapter, and what it made."""

    def __init__(self, adapter: Adapter[Any], id_: str, agent: Agent | None, patience_s: float) -> None:
        self.adapter = adapter
        #: The same, for methods of families that only some adapters have.
        self.any: Any = adapter
        self.id = id_
        self.agent = agent
        self.who: Caller = caller(type(adapter))
        self._patience_s = patience_s
        self._made: dict[Kind, Ref] = {}

    def key(self, slot: str, call_sid: str = CALL_SID) -> str:
        """A key of this connection."""
        return key(slot, self.id, call_sid)

    def give_up_after(self, timeout_s: float) -> None:
        """From now on requests are given up so soon."""
        vars(self.adapter)["timeout_s"] = timeout_s

    def by_agent(self, entry: Entry) -> Entry:
        """The entry, given to the account's agent: a conversation is one with somebody."""
        return Entry(entry.subject, entry.text, entry.html, entry.agent or self.agent, entry.private, entry.fields)

    async def parent(self, write: Write) -> Ref | None:
        """What a record of this kind hangs on, made where need be."""
        for kind in write.parents:
            above = next(w for w in WRITES if w.kind == kind)
            if above.offered(type(self.adapter)):
                if kind not in self._made:
                    self._made[kind] = await self.make(above, self.key(f"parent:{kind}"))
                return self._made[kind]
        return None

    def keep(self, ref: Ref) -> None:
        """Lets what is made from now on hang on this record."""
        self._made[ref.kind] = ref

    async def make(self, write: Write, key: str, words: Entry = WORDS) -> Ref:
        """Makes a record under the key."""
        return await write.make(self, key, await self.parent(write), words)

    async def change(self, write: Write, key: str, ref: Ref, words: Entry = CHANGED) -> None:
        """Writes a record anew."""
        if write.change is None:
            raise TypeError(f"a {write.kind} is not changed")
        await write.change(self, key, ref, words)

    async def find(self, write: Write, key: str) -> Ref | None:
        """One look-up by key; None also where it cannot tell."""
        parent = await self.parent(write)
        try:
            return await self.adapter.find_by_key(write.kind, key, parent)
        except CannotTell:
            return None

    async def find_soon(self, write: Write, key: str) -> Ref | None:
        """Looks until the record is found; a `search` is given its lag, others one look."""
        if self.adapter.lookup.get(write.kind) != "search":
            return await self.find(write, key)
        found: Ref | None = await self.until(lambda: self.find(write, key))
        return found

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        """What `look` gives as soon as it gives something; what it gave last when patience is over."""
        limit = time.monotonic() + min(self._patience_s, self.adapter.findable_after_s)
        found = await look()
        while not found and time.monotonic() < limit:
            await asyncio.sleep(0.1)
            found = await look()
        return found


class WatchedHttp(CrmHttp):
    """The adapters' HTTP client, which tells the wire what is a read."""

    def __init__(self, client: aiohttp.ClientSession, budget: "WatchedBudget", wire: Wire, tokens: Tokens) -> None:
        super().__init__(client, budget, tokens)
        self._wire = wire

    async def ask(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """As `CrmHttp.ask`."""
        self._wire.asked.add("/" + path.partition("?")[0])
        return await super().ask(method, path, body, **how)


class WatchedBudget(Unlimited):
    """A budget that never refuses, and remembers which buckets were asked for."""

    def __init__(self) -> None:
        self.buckets: set[str] = set()

    async def spend(self, bucket: str) -> None:
        self.buckets.add(bucket)


class Bench:
    """A CRM, the wire before it, and adapters made for connections of it."""

    def __init__(self, wire: Wire, client: aiohttp.ClientSession, make: "Maker") -> None:
        self.wire = wire
        self.budget = WatchedBudget()
        self._client = client
        self._make = make

    async def connect(self, id_: str = "kit1", *, wrong: bool = False) -> Connected:
        """A connection. `wrong`: with credentials that the CRM does not know."""
        settings = dict(self._make.settings(self.wire.url))
        home = self._make.home(id_, self.wire.url)
        if wrong:
            settings |= {name: _wrong(settings[name]) for name in secret_fields(self._make.adapter) if name in settings}
            home = Home(url=home.url, token=_wrong(home.token))
        tokens = MemoryTokens(self._client)
        http = WatchedHttp(self._client, self.budget, self.wire, tokens)
        adapter = self._make.adapter(self._make.adapter.settings_model.model_validate(settings), http, home)
        http.bind(adapter)
        grant = adapter.grant()
        if grant is not None and not wrong:
            await tokens.token(grant)  # before trouble is made: it is meant for the API
        agent = self._make.agent
        if agent is None and not wrong:
            agent = next(iter(await adapter.list_agents()), None)
        return Connected(adapter, id_, agent, self._make.patience_s)

    def secrets(self) -> Iterator[str]:
        """What must never be seen: secret settings and tokens."""
        settings = self._make.settings(self.wire.url)
        yield from (str(settings[name]) for name in secret_fields(self._make.adapter) if name in settings)
        yield self._make.home("kit1", self.wire.url).token


@dataclass(frozen=True, slots=True)
class Maker:
    """How connections of an adapter are made: what the suite's subclass says."""

    adapter: type[Adapter[Any]]
    settings: Callable[[str], Mapping[str, Any]]
    home: Callable[[str, str], Home]
    agent: Agent | None
    patience_s: float


@asynccontextmanager
async def bench_at(url: str, make: Maker) -> AsyncIterator[Bench]:
    """A bench for the CRM at this origin."""
    async with Wire(url).running() as wire, session(frozenset({"127.0.0.1"})) as client:
        yield Bench(wire, client, make)


class _NoHttp(CrmHttp):
    def __init__(self) -> None:
        """Stands where no request is made."""

    async def _send(self, *_args: Any, **_how: Any) -> NoReturn:
        raise AssertionError("a request was made where none was awaited")


def idle(adapter: type[Adapter[Any]], settings: Mapping[str, Any], home: Home) -> Adapter[Any]:
    """An adapter that is asked about itself, and makes no request."""
    made: Adapter[Any] = adapter(adapter.settings_model.model_validate(settings), _NoHttp(), home)
    return made


def secret_fields(adapter: type[Adapter[Any]]) -> Sequence[str]:
    """Names of the settings that are secrets."""
    fields = adapter.settings_model.model_fields
    return [name for name, info in fields.items() if SecretStr in _types(info.annotation)]


def _types(annotation: Any) -> set[Any]:
    return {annotation, *(inner for arg in getattr(annotation, "__args__", ()) for inner in _types(arg))}


def _wrong(secret: str) -> str:
    # Of the same shape, so that a pattern in the settings still fits.
    return "".join("x" if c.islower() else "X" if c.isupper() else "0" if c.isdigit() else c for c in secret)
