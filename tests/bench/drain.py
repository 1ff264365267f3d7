"""One drain: calls accepted while everything is held back, let go, and delivered until none is left."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connector.serve.process import run
from tests.bench import crms
from tests.bench.load import Answers, Requests, closed_loop
from tests.bench.rig import ROOT, StandIn, service
from tests.bench.store import Store

_LINES: Final = 64
_LOOK_EVERY_S: Final = 0.1
_BEGIN_EVERY_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Crm:
    """The stand-in that a drain writes to: at the port that the store names."""

    port: int
    latency_ms: float = 0.0
    adapter: str = crms.DEFAULT


class NotDone(RuntimeError):
    """Calls that were not delivered: the figures would mean nothing."""


def fill_up(store: Store, calls: int, source: Path = ROOT) -> Answers:
    """Has so many calls accepted and kept, by a service of its own."""
    found: list[Answers] = []

    async def work() -> None:
        some = Requests(store.hooks, "freshdesk").some(calls)
        found.append(await closed_loop(server.port, some, lines=_LINES))

    store.hold()
    with service(store, source=source) as server:
        run(work())
    store.release()
    found[0].refuse_failures()
    return found[0]


def drain(
    store: Store, crm: Crm, calls: int, timeout_s: float, *, source: Path = ROOT, profile: Path | None = None
) -> dict[str, Any]:
    """Accepts and delivers so many calls of new callers; the figures of both. Raises `NotDone`.

    The time runs from the first request that the stand-in sees to the last finish that the store holds.
    """
    last = store.last_delivery()
    accepted = fill_up(store, calls, source)
    with StandIn(store.folder, crm.port, crm.adapter, latency_ms=crm.latency_ms) as standin:
        with service(store, source=source, profile=profile) as server:
            wait(timeout_s, lambda: standin.requests() > 0, _BEGIN_EVERY_S)
            began, cpu, crm_cpu, written = time.time(), server.cpu_s(), standin.cpu_s(), server.written_kb()
            wait(timeout_s, lambda: not store.is_busy(), _LOOK_EVERY_S)
            cpu, crm_cpu, memory = server.cpu_s() - cpu, standin.cpu_s() - crm_cpu, server.memory_mb()
            written = server.written_kb() - written
        requests = standin.state()["requests"]
    rows = store.ask("select state, reason, updated_at from delivery where id > :last", last=last)
    states = Counter(f"{state} {reason or ''}".strip() for state, reason, _ in rows)
    if states != {"done": calls}:
        raise NotDone(f"{calls} calls were to be done, these are: {dict(states)}")
    seconds = max(row[2] for row in rows) - began
    return {
        "accepted_per_s": accepted.per_s,
        "per_s": calls / seconds,
        "cpu_ms": cpu.ms_per(calls),
        "cpu_share": {"all": cpu.all / seconds, "loop": cpu.loop / seconds},
        "written_kb": written / calls,
        "standin_cpu_ms": crm_cpu.ms_per(calls)["all"],
        "standin_cpu_share": crm_cpu.all / seconds,
        "requests_per_call": {route: round(count / calls, 3) for route, count in requests.items()},
        "memory_mb": memory,
        "start_s": server.start_s,
    }


def wait(timeout_s: float, happened: Callable[[], bool], every_s: float) -> None:
    """Looks every so often. Raises `NotDone`."""
    until = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > until:
            raise NotDone("the calls were not delivered in time")
        time.sleep(every_s)
