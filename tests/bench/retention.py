"""Acknowledgements at a fixed rate while old calls are pruned, held against the same store left alone."""

import time
from pathlib import Path
from typing import Any, Final

from tests.bench import acks
from tests.bench.drain import Crm, drain
from tests.bench.rig import StandIn, free_port, median, report, say, service, turns, workplace
from tests.bench.store import Store, new_store

_AGE_S: Final = 100 * 86400.0
_TARGET_P99_MS: Final = 10.0


def measure(rounds: int, seconds: float, per_s: float, connections: int, stored: int) -> None:
    """Runs it and prints the result. All of the `stored` calls are old enough to go."""
    crm = Crm(free_port())
    runs: dict[str, list[dict[str, float]]] = {"left alone": [], "pruned": []}
    with workplace() as folder:
        full = new_store(folder / "full", connections, f"http://127.0.0.1:{crm.port}")
        drain(full, crm, 1, 60)
        full.fill(stored, age_s=_AGE_S)
        for number, name in turns(list(runs), rounds):
            figures = _one(full, folder, crm, seconds, per_s, is_pruned=name == "pruned")
            runs[name].append(figures)
            say(
                f"retention, round {number}, {name}: p99 {figures['p99_ms']} ms, most {figures['most_ms']} ms,"
                f" {figures['pruned_per_s']:.0f} calls/s pruned"
            )
    report(
        "retention",
        rounds=rounds,
        seconds=seconds,
        asked_events_per_s=per_s,
        stored_calls=stored,
        target_p99_ms=_TARGET_P99_MS,
        **{name.replace(" ", "_"): _medians(found) for name, found in runs.items()},
    )


def _one(full: Store, folder: Path, crm: Crm, seconds: float, per_s: float, *, is_pruned: bool) -> dict[str, float]:
    store = full.copy(folder / "run")
    if not is_pruned:
        store.hold_retention()
    before = _calls(store)
    with StandIn(folder, crm.port), service(store) as server:
        began = time.monotonic()
        figures = acks.one(server, store, seconds, per_s)
        after, took_s = _calls(store), time.monotonic() - began
    store.delete()
    return {**figures, "pruned": before - after, "pruned_per_s": (before - after) / took_s}


def _calls(store: Store) -> int:
    """Old calls that are left."""
    return int(store.ask("select count(*) from call where created_at < :before", before=time.time() - _AGE_S / 2)[0][0])


def _medians(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {name: median([run[name] for run in runs], 3) for name in runs[0]}
