"""What a replica costs that has thousands of connections and nothing to do.

The store is one that has been served for a while: its periodic jobs are spread over their periods, as their jitter
spreads them. Exotel is asked for calls that nothing told of, as it is each hour for each tenant, and knows of none.
"""

import time
from contextlib import ExitStack
from typing import Final

from connector.pipeline.completeness.sweep import EVERY_S as SWEEP_S
from connector.pipeline.completeness.sweep import LAG_S
from connector.pipeline.upkeep.retention import EVERY_S as RETENTION_S
from tests.bench.postgresql import PostgresStore, ServerCpu, stores
from tests.bench.rig import Process, free_port, median, report, say, service, workplace

_TARGET_PERCENT: Final = 2.0
#: Of a tenant among all: evenly from just above 0 to 1.
_PLACE: Final = "cast(row_number() over (order by id) as double precision) / count(*) over ()"


def measure(rounds: int, seconds: float, connections: int, settle_s: float) -> None:
    """Runs it and prints the result.

    `settle_s`: from the ready line to the measured seconds; a start asks for the lease of every tenant once.
    """
    runs: list[dict[str, float]] = []
    with ExitStack() as stack:
        folder = stack.enter_context(workplace())
        make = stack.enter_context(stores(folder))
        exotel = stack.enter_context(Process("tests.bench.silent", log=folder / "exotel.log"))
        began = time.perf_counter()
        store = make(
            "store",
            connections,
            f"http://127.0.0.1:{free_port()}",
            api_url=f"http://127.0.0.1:{exotel.port}",
        )
        say(f"idle: {connections} connections were applied in {time.perf_counter() - began:.1f} s")
        _age(store)
        store.settle()
        server = ServerCpu(store)
        for number in range(1, rounds + 1):
            with service(store) as replica:
                time.sleep(settle_s)
                figures = _one(replica, store, server, seconds)
            runs.append(figures)
            say(f"idle, round {number}: {figures['cpu_percent']:.2f} %")
        store.delete()
    report(
        "idle",
        rounds=rounds,
        seconds=seconds,
        settle_s=settle_s,
        connections=connections,
        target_percent=_TARGET_PERCENT,
        **{name: median([run[name] for run in runs], 3) for name in runs[0]},
        all_cpu_percent=[round(run["cpu_percent"], 3) for run in runs],
    )


def _one(replica: Process, store: PostgresStore, server: ServerCpu, seconds: float) -> dict[str, float]:
    cpu, server_s, began = replica.cpu_s(), server.seconds(), time.time()
    time.sleep(seconds)
    cpu, server_ended_s, took_s = replica.cpu_s() - cpu, server.seconds(), time.time() - began
    swept, troubled = store.ask(
        "select count(*) filter (where updated_at >= :began), count(trouble) from sweep", began=began
    )[0]
    if troubled or not swept:
        raise RuntimeError(f"{swept} tenants had their hourly turn, {troubled} of them in vain")
    figures = {"cpu_percent": 100 * cpu.all / took_s, "cpu_percent_loop": 100 * cpu.loop / took_s}
    if server_s is not None and server_ended_s is not None:
        figures["postgresql_cpu_percent"] = 100 * (server_ended_s - server_s) / took_s
    return {
        **figures,
        "sweeps_per_s": swept / took_s,
        "memory_mb": replica.memory_mb()["now"],
        "start_s": replica.start_s,
    }


def _age(store: PostgresStore) -> None:
    """Makes the turn of each tenant in each periodic job as if it had had many before."""
    now = time.time()
    store.change(
        f"insert into lease (name, due_at) select 'retention:' || sid, :now + :every_s * {_PLACE} from tenant",
        now=now,
        every_s=RETENTION_S,
    )
    store.change(
        "insert into sweep (tenant_id, kind, state, from_at, done_at, answered_at, created_at, updated_at)"
        f" select id, 'hourly', 'open', created_at, :done_by - :every_s * {_PLACE}, :now, :now, :now from tenant",
        now=now,
        done_by=now - LAG_S,
        every_s=SWEEP_S,
    )
