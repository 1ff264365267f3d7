"""Durable acknowledgements a second, held against a bare aiohttp handler that stores nothing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from connector.serve.process import run
from tests.bench.load import Answers, Dialect, Requests, closed_loop, percentile_ms
from tests.bench.rig import ROOT, Process, free_port, median, report, say, service, turns, workplace
from tests.bench.store import Store, new_store

_WARM_S: Final = 1.0
_CEILING_S: Final = 2.0
_TARGET: Final = 0.4


@dataclass(frozen=True, slots=True)
class Load:
    """How one run is loaded: so many keep-alive connections for so many seconds."""

    lines: int
    seconds: float


def measure(rounds: int, load: Load, connections: int, against: Path | None) -> None:
    """Runs it and prints the result. `against`: another checkout, measured in turn with this one."""
    dialects: Sequence[Dialect] = get_args(Dialect)
    names = ["bare", "service"] + (["other"] if against else [])
    runs: dict[str, dict[str, list[dict[str, float]]]] = {url: {name: [] for name in names} for url in dialects}
    with workplace() as folder:
        held = new_store(folder / "held", connections, f"http://127.0.0.1:{free_port()}")
        held.hold()
        raw = Process("tests.bench.bare", "--raw", log=folder / "bare.log")
        ceiling = _run(raw, Requests(held.hooks, "freshdesk"), Load(load.lines, _CEILING_S))[1]
        for number, name in turns(names, rounds):
            for dialect in dialects:
                requests = Requests(held.hooks, dialect)
                if name == "bare":
                    figures = _run(Process("tests.bench.bare", log=folder / "bare.log"), requests, load)[1]
                else:
                    source = against if name == "other" and against else ROOT
                    figures = stored(held.copy(folder / "run"), requests, load, source)
                runs[dialect][name].append(figures)
                say(f"accept, round {number}, {dialect}, {name}: {figures['per_s']:.0f}/s")
    report(
        "accept",
        rounds=rounds,
        lines=load.lines,
        generator={"ceiling_per_s": round(ceiling["per_s"]), "cpu_ms": ceiling["generator_cpu_ms"]},
        target_ratio=_TARGET,
        **{dialect: _summary(runs[dialect]) for dialect in dialects},
    )


def stored(store: Store, requests: Requests, load: Load, source: Path = ROOT) -> dict[str, float]:
    """The figures of a service on this store, which is deleted. Raises where a request was acknowledged and lost."""
    count = -store.ask("select count(*) from event")[0][0]
    answers, figures = _run(service(store, source=source), requests, load)
    count += store.ask("select count(*) from event")[0][0]
    if count != answers.acknowledged:
        raise RuntimeError(f"{answers.acknowledged} requests were acknowledged, {count} are stored")
    store.delete()
    return figures


def _run(process: Process, requests: Requests, load: Load) -> tuple[Answers, dict[str, float]]:
    found: list[Answers] = []

    async def work() -> None:
        some = requests.some()
        found.append(await closed_loop(server.port, some, lines=load.lines, warm_s=_WARM_S, for_s=load.seconds))

    with process as server:
        cpu, own, written = server.cpu_s(), time.process_time(), server.written_kb()
        run(work())
        cpu, own = server.cpu_s() - cpu, time.process_time() - own
        written, memory = server.written_kb() - written, server.memory_mb()["most"]
    answers = found[0]
    answers.refuse_failures()
    each = cpu.ms_per(answers.acknowledged)
    return answers, {
        "acknowledged": answers.acknowledged,
        "per_s": answers.per_s,
        "p50_ms": percentile_ms(answers.latencies_s, 50),
        "p99_ms": percentile_ms(answers.latencies_s, 99),
        "cpu_ms": each["all"],
        "cpu_ms_loop": each["loop"],
        "generator_cpu_ms": round(1000 * own / answers.acknowledged, 4),
        "written_kb": written / answers.acknowledged,
        "memory_mb": memory,
    }


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The median of every figure of some runs, and all their speeds."""
    return {
        **{figure: median([run[figure] for run in runs], 3) for figure in runs[0]},
        "all_per_s": [round(run["per_s"]) for run in runs],
    }


def _summary(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    figures: dict[str, Any] = {name: medians(each) for name, each in runs.items()}
    bare = figures["bare"]["per_s"]
    figures["ratio"] = {name: round(figures[name]["per_s"] / bare, 3) for name in runs if name != "bare"}
    return figures
