"""Calls a second from a backlog: a new caller each, so that every one is searched for, made, and written to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import crms
from tests.bench.drain import Crm, drain
from tests.bench.rig import ROOT, free_port, median, report, say, turns, workplace
from tests.bench.store import new_store

#: CRM latency in milliseconds -> calls a second, written to Freshdesk.
_TARGETS: Final[Mapping[float, int]] = {0: 450, 50: 250}


def measure(
    adapter: str,
    rounds: int,
    calls: int,
    connections: int,
    latencies_ms: Sequence[float],
    timeout_s: float,
    against: Path | None,
) -> None:
    """Runs it and prints the result. `against`: another checkout, measured in turn with this one."""
    sources = {"service": ROOT} | ({"other": against} if against else {})
    runs: dict[str, list[dict[str, Any]]] = {f"{n}, {ms:g} ms": [] for ms in latencies_ms for n in sources}
    port = free_port()
    with workplace() as folder:
        empty = new_store(folder / "empty", connections, f"http://127.0.0.1:{port}", adapter)
        held_to = {**crms.declared(adapter), "accounts": empty.accounts()}
        for number, name in turns(list(runs), rounds):
            source, _, latency = name.removesuffix(" ms").partition(", ")
            store = empty.copy(folder / "run")
            figures = drain(store, Crm(port, float(latency), adapter), calls, timeout_s, source=sources[source])
            store.delete()
            runs[name].append(figures)
            told = f"{figures['per_s']:.0f}/s, {figures['cpu_ms']['all']:.2f} ms CPU"
            say(f"deliver to {adapter}, round {number}, {name}: {told}")
    report(
        "deliver",
        adapter=adapter,
        held_to=held_to,
        rounds=rounds,
        calls=calls,
        connections=connections,
        targets_per_s={f"{ms:g} ms": target for ms, target in _TARGETS.items()} if adapter == crms.DEFAULT else None,
        **{name: medians(each) for name, each in runs.items()},
    )


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of every figure of some drains, and all their speeds."""
    figures: dict[str, Any] = {}
    for name, first in runs[0].items():
        if isinstance(first, dict):
            figures[name] = {part: median([run[name][part] for run in runs], 3) for part in first}
        else:
            figures[name] = median([run[name] for run in runs], 3)
    return {**figures, "all_per_s": [round(run["per_s"]) for run in runs]}
