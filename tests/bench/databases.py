"""Durable acknowledgements a second on PostgreSQL, held against SQLite.

Server, service and generator share the cores; on PostgreSQL two of them write.
"""

from typing import Final

from tests.bench.accept import Load, medians, stored
from tests.bench.drain import fill_up
from tests.bench.load import Requests
from tests.bench.postgresql import ServerCpu, stores
from tests.bench.rig import free_port, report, say, turns, workplace
from tests.bench.store import Store, new_store

_TARGET: Final = 0.7
#: Calls that are there before.
_STORED: Final = 5000


def measure(rounds: int, load: Load, connections: int) -> None:
    """Runs it and prints the result."""
    crm_url = f"http://127.0.0.1:{free_port()}"
    with workplace() as folder, stores(folder) as make:
        sqlite, postgresql = new_store(folder / "sqlite", connections, crm_url), make("pg", connections, crm_url)
        held: dict[str, Store] = {"sqlite": sqlite, "postgresql": postgresql}
        server = ServerCpu(postgresql)
        # A session plans the accept once, by how large the tables are: not by those of a store that was just made.
        for store in held.values():
            fill_up(store, _STORED)
        postgresql.settle()
        for store in held.values():
            store.hold()
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in held}
        for number, name in turns(list(held), rounds):
            requests = Requests(held[name].hooks, "freshdesk")
            store, cpu_s = held[name].copy(folder / "run"), server.seconds()
            figures = stored(store, requests, load)
            ended_s = server.seconds()
            if name == "postgresql" and cpu_s is not None and ended_s is not None:
                figures["server_cpu_ms"] = 1000 * (ended_s - cpu_s) / figures["acknowledged"]
            runs[name].append(figures)
            say(f"databases, round {number}, {name}: {figures['per_s']:.0f}/s")
    found = {name: medians(each) for name, each in runs.items()}
    report(
        "databases",
        rounds=rounds,
        stored_calls=_STORED,
        lines=load.lines,
        seconds=load.seconds,
        target_ratio=_TARGET,
        ratio=round(found["postgresql"]["per_s"] / found["sqlite"]["per_s"], 3),
        **found,
    )
