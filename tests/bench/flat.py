"""Whether age costs: the same accepts and deliveries in an empty store and in one with a million finished calls."""

import shutil
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine

from tests.bench import plans
from tests.bench.deliver import medians
from tests.bench.drain import Crm, drain
from tests.bench.rig import free_port, report, say, turns, workplace
from tests.bench.store import FileStore, new_store

_TARGET_RATIO: Final = 1.3
_TARGET_MB: Final = 200


def measure(
    rounds: int, calls: int, stored: int, connections: tuple[int, int], timeout_s: float, keep: Path | None
) -> None:
    """Runs it and prints the result.

    `connections`: of the empty store and of the full one; the load goes to all of them. `keep`: a folder in which a
    full store is looked for, and left.
    """
    few, many = connections
    with workplace(keep) as folder:
        crm = Crm(_port(folder))
        empty = _made(folder, few, crm, 0)
        full = _made(folder, many, crm, stored)
        runs: dict[str, list[dict[str, Any]]] = {"empty": [], "full": []}
        for number, name in turns(list(runs), rounds):
            store = empty.copy(folder / "run") if name == "empty" else full
            figures = drain(store, crm, calls, timeout_s)
            if name == "empty":
                store.delete()
            runs[name].append(figures)
            say(
                f"flat, round {number}, {name}: {figures['accepted_per_s']:.0f} accepted/s,"
                f" {figures['per_s']:.0f} delivered/s, {figures['memory_mb']['most']} MB"
            )
        size_mb = round(full.file.stat().st_size / 2**20)
        found = _plans(full)
    before, after = medians(runs["empty"]), medians(runs["full"])
    report(
        "flat",
        rounds=rounds,
        calls=calls,
        stored_calls=stored,
        connections={"empty": few, "full": many},
        full_store_mb=size_mb,
        ratio_of_times={
            "accept": round(before["accepted_per_s"] / after["accepted_per_s"], 3),
            "deliver": round(before["per_s"] / after["per_s"], 3),
            "deliver_cpu": round(after["cpu_ms"]["all"] / before["cpu_ms"]["all"], 3),
        },
        target_ratio=_TARGET_RATIO,
        target_memory_mb=_TARGET_MB,
        empty=before,
        full=after,
        plans=found,
        scans={name: lines for name, lines in found.items() if plans.scans(lines)},
    )


def _port(folder: Path) -> int:
    """The stand-in's port, which stands in the settings of a store that was kept."""
    noted = folder / "port"
    if not noted.exists():
        noted.write_text(str(free_port()))
    return int(noted.read_text())


def _made(kept: Path, connections: int, crm: Crm, stored: int) -> FileStore:
    """The store of this size in a folder of its own below `kept`, made and filled if it is not there."""
    folder = kept / f"stored-{stored}-{connections}"
    whole = folder / "whole"
    if folder.exists() and not whole.exists():
        shutil.rmtree(folder)
    if folder.exists():
        return FileStore.of(folder, connections)
    store = new_store(folder, connections, f"http://127.0.0.1:{crm.port}")
    if stored:
        say(f"filling a store with {stored} calls")
        drain(store, crm, 1, 60)
        store.fill(stored)
    whole.touch()
    return store


def _plans(store: FileStore) -> dict[str, list[str]]:
    engine = create_engine(f"sqlite:///{store.file}")
    try:
        with engine.connect() as connection:
            return plans.plans(connection)
    finally:
        engine.dispose()
