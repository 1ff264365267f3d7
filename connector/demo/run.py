"""`connector demo`: the whole service in one process, with a made-up tenant, stand-ins of CRMs and real requests.

An adapter takes part if a stand-in of its CRM is installed (`connector.kit.standins`).
"""

import asyncio
import contextlib
import logging
import re
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from aiohttp import web
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from connector import outbound
from connector.access import users
from connector.adapter import Adapter, Chat, Desk, Sales, registry
from connector.adapter.options import RecordOptions
from connector.app import DATABASE, HOME, create_app
from connector.config import Config
from connector.demo.recordings import recordings_app
from connector.kit.standins import standins
from connector.observe import logs
from connector.pipeline.delivery.render import default_words
from connector.serve.process import Stop, run, serving
from connector.simulate import play
from connector.simulate.scenarios import AGENTS, EXOPHONE, SCENARIOS, Expected, Played, utc_now
from connector.simulate.target import parse_target
from connector.store import schema
from connector.store.opening import Store, opened
from connector.tenants import apply as applying
from connector.tenants.check import make_adapter
from connector.tenants.directory import load
from connector.tenants.file import TenantFile
from connector.words.sandbox import rendered

SID: Final = "exotel535"
#: The connection of the connector's own desk.
_DESK: Final = "desk"
_ADAPTER_OF_DESK: Final = "local"
_HOST: Final = "127.0.0.1"
#: Where there is no terminal to ask.
_WIDTH: Final = 140
#: What is shown; a contact is part of each of them.
_SHOWN_SLOTS: Final = ("ticket", "note:recording", "log", "task", "conversation", "message:1", "message:2")
#: Wider tables tell kinds of records only.
_WITH_IDS: Final = 3
#: What is not there by then will not come.
_PATIENCE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.2
_LINK: Final = re.compile(r"https?://[^\s\"<>]+/r/[^\s\"<>]+")
#: Between the first requests of two calls.
_STAGGER_S: Final = 0.4


class DemoClock:
    """Runs behind by the longest silence that a scenario needs, until that silence is all that is waited for."""

    def __init__(self, behind_s: float) -> None:
        self._behind_s = behind_s

    def now(self) -> float:
        """Unix seconds, UTC."""
        return time.time() - self._behind_s

    def monotonic(self) -> float:
        """Seconds that never go back; they never jump either."""
        return time.monotonic()

    def catch_up(self) -> None:
        """From now on this is the machine's clock."""
        self._behind_s = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """A record as the journal has it."""

    call_sid: str
    connection: str
    slot: str
    kind: str
    id: str
    url: str | None
    subject: str | None


@dataclass(slots=True)
class Show:
    """What was played, what is expected of it, and what came so far: (CallSid, connection, slot) -> record."""

    connections: Mapping[str, type[Adapter[Any]]]
    played: list[Played] = field(default_factory=list)
    came: dict[tuple[str, str, str], Written] = field(default_factory=dict)

    def expected(self, call: Played) -> Expected:
        """What each CRM should have of a call; all desks of the demo have `answered: ticket`."""
        return call.scenario.expected("ticket")

    def lacks(self, call: Played, connection: str) -> str | None:
        """What is missing or wrong, in words; None where everything is as expected."""
        adapter, expected = self.connections[connection], self.expected(call)
        wrong: list[str | None] = []
        if issubclass(adapter, Desk):
            wrong.append(self._wrong(call, connection, "ticket", "subject", expected.ticket))
            wrong.append(self._wrong(call, connection, "note:recording", None, "" if expected.note else None))
        if issubclass(adapter, Sales):
            wrong.append(self._wrong(call, connection, "log", "log_subject", expected.log))
        if issubclass(adapter, Chat):
            wrong.append(self._wrong(call, connection, "conversation", None, expected.log))
            wrong.append(self._wrong(call, connection, "message:2", None, "" if expected.details else None))
        return next((words for words in wrong if words), None)

    def _wrong(self, call: Played, connection: str, slot: str, part: str | None, variant: str | None) -> str | None:
        made = self.came.get((call.call_sid, connection, slot))
        if variant is None:
            return f"a {slot} too many" if made else None
        if made is None:
            return f"no {slot}"
        if part is None:
            return None
        words = default_words(self.connections[connection], part, variant)
        # Every call of the demo that has a log of its own words was answered.
        wanted = rendered(words, {"number": call.caller, "duration_s": 4, "outcome": "Answered"}, html=False)
        return None if made.subject == wanted else f"{slot}: {made.subject}"

    def is_complete(self, *, quiet: bool) -> bool:
        """Whether everything came; without `quiet`, of the scenarios that need no silence."""
        calls = [call for call in self.played if quiet or not call.scenario.quiet_s]
        return not any(self.lacks(call, connection) for call in calls for connection in self.connections)


def demo(*, exits: bool, everything: bool, port: int) -> int:
    """Runs the demo and returns the exit code: 0 if every expected record came."""
    logs.set_up("text", logging.ERROR)
    terminal = Console()
    console = Console(highlight=False, soft_wrap=True, width=None if terminal.is_terminal else _WIDTH)
    codes: list[int] = []

    async def go() -> None:
        with tempfile.TemporaryDirectory(prefix="connector-demo-") as folder:
            config = Config(database_url=f"sqlite:///{folder}/demo.db", host=_HOST, port=port)
            codes.append(await _demo(console, config, exits, everything))

    run(go())
    return codes[0]


async def _demo(console: Console, config: Config, exits: bool, everything: bool) -> int:
    clock = DemoClock(max(scenario.quiet_s for scenario in SCENARIOS.values()) + 10)
    hook_token = secrets.token_urlsafe(24)
    async with contextlib.AsyncExitStack() as stack:
        standins = await stack.enter_async_context(_standins(everything))
        keys = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
        files = await stack.enter_async_context(_listening(recordings_app(*keys)))
        with opened(config, make=True) as store:
            token = await _set_up(store, config, hook_token, standins, keys, files)
        app = create_app(config, clock=clock)
        app[HOME].is_reached_here = True
        url = await stack.enter_async_context(serving(app, config.host, config.port))
        show = Show({_DESK: registry.get(_ADAPTER_OF_DESK), **{name: registry.get(name) for name in standins}})
        _introduce(console, config, url, standins)
        await _play(console, app, clock, show, f"{url}/h/{hook_token}", files)
        is_complete = show.is_complete(quiet=True)
        console.print(_table(show))
        console.print("[green]Every record came.[/]" if is_complete else "[red]Some records are missing.[/]")
        if not exits:
            _say_what_next(console, url, hook_token, token, await app[DATABASE].read(_link))
            await Stop().heard()
    return 0 if is_complete else 1


async def _play(
    console: Console, app: web.Application, clock: DemoClock, show: Show, hook_url: str, files: str
) -> None:
    """Plays every scenario and prints records as they come, until all are there or patience ends.

    `files`: where the calls' recordings are.
    """
    summary = play.Summary()
    target = parse_target(hook_url)
    began = time.monotonic()

    async def one(place: int, call: Played) -> None:
        await asyncio.sleep(place * _STAGGER_S)
        console.print(f"[dim]{_since(began)}  call from {call.caller}: {call.scenario.title}[/]")
        await play.play(session, target, call, summary, play.SPEED)

    async with play.new_session() as session, asyncio.TaskGroup() as playing:
        for place, scenario in enumerate(SCENARIOS.values()):
            call = scenario.play(utc_now(), SID, files=files)
            show.played.append(call)
            playing.create_task(one(place, call))
        playing.create_task(_watch(console, app, show, began))
    # The group has waited for both: the calls are over, and the watcher has seen what needs no silence.
    if not show.is_complete(quiet=False):
        return
    console.print(f"[dim]{_since(began)}  two minutes pass: the caller in the IVR does not come back[/]")
    clock.catch_up()
    await _watch(console, app, show, began, quiet=True)


async def _watch(console: Console, app: web.Application, show: Show, began: float, quiet: bool = False) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not show.is_complete(quiet=quiet) and time.monotonic() < until:
        for one in await app[DATABASE].read(_written):
            key = (one.call_sid, one.connection, one.slot)
            known = show.came.get(key)
            show.came[key] = one
            if one.slot in _SHOWN_SLOTS and (known is None or known.subject != one.subject):
                console.print(f"{_since(began)}  {_line(one, known)}")
        await asyncio.sleep(_LOOK_EVERY_S)


def _written(sql: Sql) -> list[Written]:
    step, delivery, call, connection = schema.step.c, schema.delivery.c, schema.call.c, schema.connection.c
    query = (
        select(call.call_sid, connection.name, step.slot, step.kind, step.ref_id, step.url, step.subject)
        .join_from(schema.step, schema.delivery)
        .join(schema.call, call.id == delivery.call_id)
        .join(schema.connection, connection.id == delivery.connection_id)
        .where(step.ref_id.is_not(None))
        .order_by(step.started_at)
    )
    return [Written(*row) for row in sql.execute(query)]


@contextlib.asynccontextmanager
async def _standins(everything: bool) -> AsyncIterator[dict[str, tuple[ModuleType, str]]]:
    """Adapter -> its stand-in's module and URL: plain help desks, or all."""
    found: dict[str, tuple[ModuleType, str]] = {}
    installed = standins()
    async with contextlib.AsyncExitStack() as stack:
        for name, adapter in registry.adapters().items():
            is_plain_desk = issubclass(adapter, Desk) and not issubclass(adapter, Sales)
            if name not in installed or not (everything or is_plain_desk):
                continue
            module = installed[name].load()
            found[name] = (module, await stack.enter_async_context(_listening(module.standin())))
        yield found


@contextlib.asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[str]:
    """An application on a free port of this machine; yields its URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, 0).start()
        yield f"http://{_HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _set_up(
    store: Store,
    config: Config,
    hook_token: str,
    standins: Mapping[str, tuple[ModuleType, str]],
    keys: tuple[str, str],
    files: str,
) -> str:
    """Makes the tenant, whose recordings are at `files`, and an operator; returns the operator's API token."""
    local = {"name": _DESK, "adapter": _ADAPTER_OF_DESK, "options": {"answered": "ticket"}, "agents": _own_agents()}
    connections: list[dict[str, Any]] = [local]
    for name, (module, url) in standins.items():
        settings = {**module.SETTINGS, "base_url": url}
        adapter = registry.get(name)
        options: dict[str, Any] = {"answered": "ticket"} if issubclass(adapter, Desk) else {}
        if issubclass(adapter.options_model, RecordOptions):
            options["records"] = ["sales", "desk"]
        connections.append({"name": name, "adapter": name, "settings": settings, "options": options})
    tenant = {
        "sid": SID,
        "api_key": keys[0],
        "api_token": keys[1],
        "api_url": files,
        "hook_token": hook_token,
        "exophones": {EXOPHONE: "Support line"},
        "connections": connections,
    }
    applying.apply(TenantFile.model_validate({"tenants": [tenant]}), store.db, store.box, who="demo")
    for connection in connections[1:]:
        connection["agents"] = await _agents(store, config, connection["name"])
    applying.apply(TenantFile.model_validate({"tenants": [tenant]}), store.db, store.box, who="demo")
    return store.db.transact(lambda sql: users.add_token(sql, users.add_user(sql, "demo", None)))


def _own_agents() -> list[dict[str, str]]:
    return [
        {"crm_id": str(place), "name": agent.name, "email": agent.email, "phone": agent.number}
        for place, agent in enumerate(AGENTS, 1)
    ]


async def _agents(store: Store, config: Config, name: str) -> list[dict[str, Any]]:
    """The CRM's own users, as an operator would enter them."""
    connection = store.db.transact(load, store.box).tenants[SID].connection(name)
    assert connection is not None
    async with outbound.session(frozenset({_HOST})) as client:
        agents = await make_adapter(client, connection, store.box, config).list_agents()
    return [{"crm_id": one.id, "name": one.name, "email": one.email, "phone": one.phone or None} for one in agents]


def _introduce(console: Console, config: Config, url: str, standins: Mapping[str, tuple[ModuleType, str]]) -> None:
    console.print(f"[bold]The connector is serving on {url}[/], its store is {config.database_file}")
    console.print(f"  connection [cyan]{_DESK}[/]: the connector's own desk")
    for name, (_, standin_url) in standins.items():
        console.print(f"  connection [cyan]{name}[/]: {registry.get(name).title}, a stand-in on {standin_url}")
    console.print()


def _line(record: Written, known: Written | None) -> str:
    words = f" [bold]{record.subject}[/]" if record.subject else ""
    verb = "is now" if known else "appeared:"
    link = f"  [blue]{record.url}[/]" if record.url else ""
    return f"[cyan]{record.connection}[/] {record.kind} {record.id} {verb}{words}{link}"


def _table(show: Show) -> Table:
    table = Table("call", *show.connections, box=SIMPLE, pad_edge=False)
    with_ids = len(show.connections) <= _WITH_IDS
    for call in show.played:
        table.add_row(
            call.scenario.title, *(_cell(show, call, connection, with_ids) for connection in show.connections)
        )
    return table


def _cell(show: Show, call: Played, connection: str, with_ids: bool) -> str:
    wrong = show.lacks(call, connection)
    if wrong:
        return f"[red]{wrong}[/]"
    made = [show.came[key] for key in ((call.call_sid, connection, slot) for slot in _SHOWN_SLOTS) if key in show.came]
    if with_ids:
        return "[green]" + ", ".join(f"{one.kind} {one.id}" for one in made) + "[/]"
    counted = Counter(one.kind.replace("_", " ") for one in made)
    words = (kind if count == 1 else f"{count} {kind}s" for kind, count in counted.items())
    return "[green]" + ", ".join(words) + "[/]"


def _link(sql: Sql) -> str | None:
    """A link to a recording, as it stands in the desk."""
    bodies = sql.execute(select(schema.desk_note.c.body).order_by(schema.desk_note.c.id.desc())).scalars()
    return next((match[0] for body in bodies if (match := _LINK.search(body))), None)


def _say_what_next(console: Console, url: str, hook_token: str, token: str, link: str | None) -> None:
    console.print("\nIt goes on serving; Ctrl-C ends it, and its store is gone then. Try, in another terminal:")
    console.print(f"  connector simulate {url}/h/{hook_token} --calls 20", markup=False)
    if link is not None:
        console.print(f"  open {link} in a browser, to hear a recording", markup=False)
    console.print(f"  curl -H 'Authorization: Bearer {token}' '{url}/api/v1/calls?tenant={SID}'", markup=False)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:5.1f} s"
