"""Calls a second of two replicas from one backlog, held against one replica's, with few slots and a slow CRM.

What is counted is what was finished within some seconds while all of them worked: neither their start nor the backlog's
end. The CRM is the stand-in that costs least of all (Freshdesk's; its share of a core is told), and like the
PostgreSQL server it shares the cores with the replicas.
"""

import time
from contextlib import ExitStack
from typing import Any, Final

from tests.bench import crms
from tests.bench.deliver import medians
from tests.bench.drain import NotDone, fill_up
from tests.bench.postgresql import PostgresStore, ServerCpu, stores
from tests.bench.rig import StandIn, free_port, report, say, service, turns, workplace

#: They know of each other, and each works at its full number.
_WARM_S: Final = 3.0
_TARGET: Final = 1.6
_NAMES: Final = {"one": 1, "two": 2}


def measure(rounds: int, seconds: float, calls: int, connections: int, slots: int, latency_ms: float) -> None:
    """Runs it and prints the result. `calls`: the backlog, which must outlast a run."""
    port = free_port()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in _NAMES}
    with workplace() as folder, stores(folder) as make:
        backlog = make("backlog", connections, f"http://127.0.0.1:{port}")
        fill_up(backlog, calls)
        backlog.settle()
        for number, name in turns(list(_NAMES), rounds):
            store = backlog.copy(folder / "run")
            with StandIn(folder, port, latency_ms=latency_ms) as standin:
                figures = _run(store, standin, _NAMES[name], slots, seconds)
            store.delete()
            runs[name].append(figures)
            say(f"replicas, round {number}, {name}: {figures['per_s']:.1f}/s")
    found = {name: medians(each) for name, each in runs.items()}
    report(
        "replicas",
        rounds=rounds,
        seconds=seconds,
        slots=slots,
        crm={"standin": crms.DEFAULT, "latency_ms": latency_ms, **crms.declared(crms.DEFAULT)},
        target_ratio=_TARGET,
        ratio=round(found["two"]["per_s"] / found["one"]["per_s"], 3),
        **found,
    )


def _run(store: PostgresStore, standin: StandIn, replicas: int, slots: int, seconds: float) -> dict[str, Any]:
    server = ServerCpu(store)
    with ExitStack() as stack:
        processes = [stack.enter_context(service(store, slots=slots)) for _ in range(replicas)]
        time.sleep(_WARM_S)
        before = [process.cpu_s().all for process in (*processes, standin)]
        begun, server_s = time.time(), server.seconds()
        time.sleep(seconds)
        ended, server_ended_s = time.time(), server.seconds()
        after = [process.cpu_s().all for process in (*processes, standin)]
        if not store.is_busy():
            raise NotDone("the backlog came to its end within the run: ask for more --calls")
    done, dead = store.ask(
        "select count(*) filter (where state = 'done' and updated_at >= :since and updated_at < :until),"
        " count(*) filter (where state = 'dead') from delivery",
        since=begun,
        until=ended,
    )[0]
    if dead:
        raise NotDone(f"{dead} calls are dead letters")
    *each, crm = [(late - early) / (ended - begun) for early, late in zip(before, after, strict=True)]
    shares = {"replicas": sum(each), "standin": crm}
    if server_s is not None and server_ended_s is not None:
        shares["postgresql"] = (server_ended_s - server_s) / (ended - begun)
    return {"per_s": done / (ended - begun), "cpu_share": shares}
