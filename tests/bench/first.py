"""How long after an event the CRM hears of it: from the request's last byte sent to the first request for its caller.

At a fixed rate, on PostgreSQL; each call is of a caller whom nobody knows: the CRM is first asked for the number.
"""

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Final

from connector.serve.process import run
from tests.bench import acks
from tests.bench.drain import NotDone
from tests.bench.load import Answers, Requests, open_loop, percentile_ms
from tests.bench.postgresql import PostgresStore, ServerCpu, stores
from tests.bench.rig import Process, free_port, median, report, say, service, workplace

_TARGET_P99_MS: Final = 100.0
#: What was passed on at the end has reached the CRM by then.
_SETTLES_S: Final = 2.0


def measure(rounds: int, seconds: float, per_s: float, connections: int) -> None:
    """Runs it and prints the result."""
    port = free_port()
    runs = []
    with workplace() as folder, stores(folder) as make:
        empty = make("empty", connections, f"http://127.0.0.1:{port}")
        for number in range(1, rounds + 1):
            store = empty.copy(folder / "run")
            with Process("tests.bench.watched", str(port), log=folder / "standin.log"), service(store) as server:
                figures = _one(server, port, store, seconds, per_s)
            store.delete()
            runs.append(figures)
            say(f"first, round {number}: p50 {figures['p50_ms']} ms, p99 {figures['p99_ms']} ms")
    report(
        "first",
        rounds=rounds,
        seconds=seconds,
        asked_events_per_s=per_s,
        target_p99_ms=_TARGET_P99_MS,
        **{name: median([run[name] for run in runs], 3) for name in runs[0]},
        all_p99_ms=[run["p99_ms"] for run in runs],
    )


def _one(server: Process, port: int, store: PostgresStore, seconds: float, per_s: float) -> dict[str, float]:
    requests = Requests(store.hooks, "freshdesk")
    #: Of every request sent: the call that it is the passthru of.
    calls: list[int | None] = []
    found: list[Answers] = []

    def events() -> Iterator[bytes]:
        for event, call in itertools.islice(acks.events(requests, per_s), round((acks.WARM_S + seconds) * per_s)):
            calls.append(call)
            yield event

    async def work() -> None:
        found.append(await open_loop(server.port, events(), per_s=per_s, warm_s=acks.WARM_S))

    postgresql = ServerCpu(store)
    cpu, server_s, began = server.cpu_s(), postgresql.seconds(), time.time()
    run(work())
    took_s, cpu, server_ended_s = time.time() - began, server.cpu_s() - cpu, postgresql.seconds()
    time.sleep(_SETTLES_S)
    answers = found[0]
    answers.refuse_failures()
    seen = _seen(port)
    sent = {
        requests.caller(call).removeprefix("0"): at
        for call, at in zip(calls, answers.sent_at, strict=True)
        if call is not None and at >= began + acks.WARM_S
    }
    lost = len(sent.keys() - seen.keys())
    if lost:
        raise NotDone(f"the CRM never heard of {lost} of {len(sent)} calls")
    waits_s = [seen[caller] - at for caller, at in sent.items()]
    figures = {
        "calls_per_s": len(waits_s) / (took_s - acks.WARM_S),
        "p50_ms": percentile_ms(waits_s, 50),
        "p99_ms": percentile_ms(waits_s, 99),
        "most_ms": percentile_ms(waits_s, 100),
        "ack_p99_ms": percentile_ms(answers.latencies_s, 99),
        "generator_late_p99_ms": percentile_ms(answers.late_s, 99),
        "cpu_share": cpu.all / took_s,
    }
    if server_s is not None and server_ended_s is not None:
        figures["postgresql_cpu_share"] = (server_ended_s - server_s) / took_s
    return figures


def _seen(port: int) -> dict[str, float]:
    """Caller's national number -> when the stand-in was first asked for it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_bench/first", timeout=30) as answer:
        seen: dict[str, float] = json.load(answer)
    return seen
