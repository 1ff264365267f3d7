"""Where time goes: accepting or delivering under cProfile, the costliest functions by their own time.

A profiled process is about half as fast; shares are what counts. How processor time divides between the event loop's
thread and the others is measured without the profile.
"""

import pstats
from pathlib import Path
from typing import Any, Final, Literal

from connector.serve.process import run
from tests.bench.drain import Crm, drain
from tests.bench.load import Answers, Requests, closed_loop
from tests.bench.rig import free_port, report, service, workplace
from tests.bench.store import Store, new_store

What = Literal["accept", "deliver"]

_THREADS: Final = ("loop", "writer")


def measure(what: What, calls: int, connections: int, top: int, latency_ms: float, timeout_s: float) -> None:
    """Runs it and prints the result."""
    port = free_port()
    with workplace() as folder:
        empty = new_store(folder / "empty", connections, f"http://127.0.0.1:{port}")
        figures: dict[str, Any] = {}
        for name, profile in (("plain", None), ("profiled", folder / "profile")):
            store = empty.copy(folder / name)
            if what == "accept":
                figures[name] = _accept(store, calls, profile)
            else:
                figures[name] = drain(store, Crm(port, latency_ms), calls, timeout_s, profile=profile)
        for thread in _THREADS:
            figures[thread] = _costliest(folder / f"profile.{thread}", top, calls)
    report("profile", what=what, calls=calls, **figures)


def _accept(store: Store, calls: int, profile: Path | None) -> dict[str, Any]:
    found: list[Answers] = []

    async def work() -> None:
        found.append(await closed_loop(server.port, Requests(store.hooks, "freshdesk").some(calls)))

    store.hold()
    with service(store, profile=profile) as server:
        cpu = server.cpu_s()
        run(work())
        cpu = server.cpu_s() - cpu
    found[0].refuse_failures()
    return {"per_s": round(found[0].per_s), "cpu_ms": cpu.ms_per(calls)}


def _costliest(file: Path, top: int, calls: int) -> dict[str, Any]:
    """A thread's functions by own time; milliseconds are per call of the load."""
    stats: Any = pstats.Stats(str(file))
    rows = sorted(stats.stats.items(), key=lambda row: row[1][2], reverse=True)
    return {
        "ms": round(1000 * stats.total_tt / calls, 3),
        "top": [
            {
                "function": _named(*function),
                "times": round(times / calls, 2),
                "own_ms": round(1000 * own / calls, 4),
                "share": round(own / stats.total_tt, 4),
                "with_what_it_calls_ms": round(1000 * whole / calls, 4),
            }
            for function, (_, times, own, whole, _callers) in rows[:top]
        ],
    }


def _named(file: str, line: int, name: str) -> str:
    if file.startswith("~"):
        return name
    parts = Path(file).parts
    within = parts.index("site-packages") + 1 if "site-packages" in parts else -2
    return f"{'/'.join(parts[within:])}:{line} {name}"
