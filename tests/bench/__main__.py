"""`python -m tests.bench NAME`: each benchmark prints one JSON object; words of progress go to standard error."""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.bench import (
    accept,
    acks,
    crms,
    databases,
    deliver,
    first,
    flat,
    idle,
    profile,
    replicas,
    requests,
    retention,
    walk,
)

#: Option -> what it means, and how its words are read. Which of them a benchmark takes stands with its defaults below.
_OPTIONS: Final[dict[str, tuple[str, Any]]] = {
    "adapter": ("whose stand-in is written to", str),
    "rounds": ("runs of each kind; medians are told", int),
    "seconds": ("measured seconds of a run", float),
    "calls": ("calls in a run", int),
    "lines": ("keep-alive connections to the service", int),
    "per_s": ("events a second, two for each call", float),
    "connections": ("connections of the store, each of a tenant of its own", int),
    "many": ("connections of the full store", int),
    "stored": ("finished calls in the full store", int),
    "latency_ms": ("how long the CRM takes to answer", float),
    "timeout_s": ("when to give up on a backlog", float),
    "top": ("functions of each thread", int),
    "slots": ("deliveries that a replica makes at once", int),
    "settle_s": ("seconds from a start to the measured ones", float),
    "what": ("what is profiled: accept or deliver", str),
    "against": ("another checkout, measured in turn with this one", Path),
    "keep": ("a folder in which the full store is looked for, and left", Path),
}


def main() -> None:
    """Runs the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = parser.add_subparsers(required=True, metavar="NAME")

    def command(benchmark: ModuleType, work: Callable[[argparse.Namespace], None], **defaults: Any) -> None:
        words = str(benchmark.__doc__)
        name = benchmark.__name__.rpartition(".")[2]
        one = names.add_parser(name, help=words.partition("\n")[0], description=words)
        one.set_defaults(work=work)
        for option, default in defaults.items():
            meaning, reads = _OPTIONS[option]
            more: dict[str, Any] = {"nargs": "+"} if isinstance(default, list) else {}
            if option == "adapter":
                more["choices"] = (*crms.NAMES, crms.ALL) if benchmark is requests else crms.NAMES
            shown = "" if default is None else f" (default {default})"
            flag = f"--{option.replace('_', '-')}"
            one.add_argument(flag, type=reads, default=default, help=meaning + shown, **more)

    command(
        accept,
        lambda o: accept.measure(o.rounds, accept.Load(o.lines, o.seconds), o.connections, o.against),
        rounds=5,
        seconds=5.0,
        lines=64,
        connections=100,
        against=None,
    )
    command(
        acks,
        lambda o: acks.measure(o.rounds, o.seconds, o.per_s, o.connections),
        rounds=5,
        seconds=20.0,
        per_s=200.0,
        connections=100,
    )
    command(
        deliver,
        lambda o: deliver.measure(o.adapter, o.rounds, o.calls, o.connections, o.latency_ms, o.timeout_s, o.against),
        adapter=crms.DEFAULT,
        rounds=5,
        calls=10_000,
        connections=100,
        latency_ms=[0.0, 50.0],
        timeout_s=600.0,
        against=None,
    )
    command(
        flat,
        lambda o: flat.measure(o.rounds, o.calls, o.stored, (o.connections, o.many), o.timeout_s, o.keep),
        rounds=5,
        calls=10_000,
        connections=100,
        many=1000,
        stored=1_000_000,
        timeout_s=600.0,
        keep=None,
    )
    command(
        retention,
        lambda o: retention.measure(o.rounds, o.seconds, o.per_s, o.connections, o.stored),
        rounds=3,
        seconds=20.0,
        per_s=200.0,
        connections=100,
        stored=100_000,
    )
    command(
        databases,
        lambda o: databases.measure(o.rounds, accept.Load(o.lines, o.seconds), o.connections),
        rounds=5,
        seconds=5.0,
        lines=64,
        connections=100,
    )
    command(
        replicas,
        lambda o: replicas.measure(o.rounds, o.seconds, o.calls, o.connections, o.slots, o.latency_ms),
        rounds=5,
        seconds=8.0,
        calls=4000,
        connections=100,
        slots=16,
        latency_ms=50.0,
    )
    command(
        idle,
        lambda o: idle.measure(o.rounds, o.seconds, o.connections, o.settle_s),
        rounds=3,
        seconds=20.0,
        connections=5000,
        settle_s=30.0,
    )
    command(
        first,
        lambda o: first.measure(o.rounds, o.seconds, o.per_s, o.connections),
        rounds=5,
        seconds=15.0,
        per_s=200.0,
        connections=100,
    )
    command(
        requests,
        lambda o: requests.measure(o.adapter, o.calls, o.connections),
        adapter=crms.DEFAULT,
        calls=50,
        connections=10,
    )
    command(
        profile,
        lambda o: profile.measure(o.what, o.calls, o.connections, o.top, o.latency_ms, o.timeout_s),
        what="deliver",
        calls=5000,
        connections=100,
        top=25,
        latency_ms=0.0,
        timeout_s=600.0,
    )
    command(walk, lambda o: walk.measure(o.adapter, o.top), adapter=crms.DEFAULT, top=100)

    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
