"""How long an acknowledgement takes at a fixed rate, while calls are being delivered."""

import itertools
import time
from collections.abc import Iterator
from typing import Final

from connector.serve.process import run
from tests.bench.load import Answers, Requests, open_loop, percentile_ms
from tests.bench.rig import Process, StandIn, free_port, median, report, say, service, workplace
from tests.bench.store import Store, new_store

#: A call is two requests: the popup, and the passthru so much later; the second is what it is delivered for.
_TALK_S: Final = 2.0
WARM_S: Final = 3.0
#: What was passed on at the end is delivered by then.
_SETTLES_S: Final = 2.0
_TARGET_P99_MS: Final = 10.0


def measure(rounds: int, seconds: float, per_s: float, connections: int) -> None:
    """Runs it and prints the result."""
    port = free_port()
    runs = []
    with workplace() as folder:
        empty = new_store(folder / "empty", connections, f"http://127.0.0.1:{port}")
        for number in range(1, rounds + 1):
            store = empty.copy(folder / "run")
            with StandIn(folder, port), service(store) as server:
                figures = one(server, store, seconds, per_s)
            store.delete()
            runs.append(figures)
            say(f"acks, round {number}: p50 {figures['p50_ms']} ms, p99 {figures['p99_ms']} ms")
    report(
        "acks",
        rounds=rounds,
        seconds=seconds,
        asked_events_per_s=per_s,
        target_p99_ms=_TARGET_P99_MS,
        **{name: median([run[name] for run in runs], 3) for name in runs[0]},
        all_p99_ms=[run["p99_ms"] for run in runs],
    )


def events(requests: Requests, per_s: float) -> Iterator[tuple[bytes, int | None]]:
    """Popups and passthrus in turn, to be sent at this rate; with a passthru comes the number of its call."""
    ahead = round(_TALK_S * per_s / 2)
    for number in itertools.count():
        yield requests.one(number, "popup"), None
        if number >= ahead:
            yield requests.one(number - ahead), number - ahead


def one(server: Process, store: Store, seconds: float, per_s: float) -> dict[str, float]:
    """Sends at this rate to a service that was just started; the figures."""
    requests = Requests(store.hooks, "freshdesk")
    some = itertools.islice(events(requests, per_s), round((WARM_S + seconds) * per_s))
    found: list[Answers] = []

    async def work() -> None:
        found.append(await open_loop(server.port, (event for event, _ in some), per_s=per_s, warm_s=WARM_S))

    began, cpu = time.time(), server.cpu_s()
    run(work())
    ended, cpu = time.time(), server.cpu_s() - cpu
    time.sleep(_SETTLES_S)
    answers = found[0]
    answers.refuse_failures()
    waits = store.ask(
        "select d.updated_at - max(e.received_at) from delivery d join event e on e.call_id = d.call_id"
        " where d.state = 'done' and d.updated_at between :since and :until group by d.id",
        since=began + WARM_S,
        until=ended,
    )
    to_done_s = [row[0] for row in waits]
    return {
        "events_per_s": answers.per_s,
        "p50_ms": percentile_ms(answers.latencies_s, 50),
        "p99_ms": percentile_ms(answers.latencies_s, 99),
        "most_ms": percentile_ms(answers.latencies_s, 100),
        "generator_late_p99_ms": percentile_ms(answers.late_s, 99),
        "delivered_per_s": len(waits) / (ended - began - WARM_S),
        "passthru_to_done_p50_ms": percentile_ms(to_done_s, 50),
        "passthru_to_done_p99_ms": percentile_ms(to_done_s, 99),
        "cpu_share": cpu.all / (ended - began),
        "memory_mb": server.memory_mb()["most"],
    }
