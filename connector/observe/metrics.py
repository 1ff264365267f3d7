"""What a Prometheus server may ask: labelled by adapter and by fixed words, never by tenant, connection or number."""

import functools
import os
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries of an adapter are not done.

    `due`: how many of them could be worked on now, and nobody does; `oldest_due_s`: since when the oldest of these.
    What waits for a time, or for an account that lets nothing through, is none: more replicas would not help it.
    """

    adapter: str
    state: str
    reason: str | None
    count: int
    due: int
    oldest_due_s: float


@dataclass(frozen=True, slots=True)
class Gates:
    """How many CRM accounts of an adapter are open, broken (circuit) or paused."""

    adapter: str
    state: str
    count: int


REGISTRY: Final = CollectorRegistry()
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Names the folder where workers count (prometheus_client's multiprocess mode); unset where there is one process.
WORKERS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_PROCESS: Final = "process-"
_NAMESPACE: Final = "connector"

ProcessCollector(namespace=_NAMESPACE, registry=REGISTRY)

_ACCEPTED: Final = Counter(
    "connector_events_accepted", "Hook requests durably stored.", ["dialect", "kind"], registry=REGISTRY
)
_REFUSED: Final = Counter("connector_events_refused", "Hook requests not stored, by code.", ["code"], registry=REGISTRY)
_ACCEPT_SECONDS: Final = Histogram(
    "connector_accept_seconds",
    "From the request's arrival to its acknowledgement.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0),
    registry=REGISTRY,
)
_APPLETS: Final = Counter(
    "connector_applet_answers", "Answers to applets, by how they were chosen.", ["applet", "by"], registry=REGISTRY
)
_APPLET_SECONDS: Final = Histogram(
    "connector_applet_seconds",
    "From the request's arrival to its answer, while a caller waits.",
    ["applet"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0),
    registry=REGISTRY,
)
_DELIVERED: Final = Counter(
    "connector_deliveries", "Attempts on deliveries, by their result.", ["adapter", "result"], registry=REGISTRY
)
_PRUNED: Final = Counter("connector_calls_pruned", "Old calls that retention deleted.", registry=REGISTRY)
_CRM_REQUESTS: Final = Counter(
    "connector_crm_requests", "Requests to CRMs, by class of status.", ["adapter", "status"], registry=REGISTRY
)
_CRM_SECONDS: Final = Histogram(
    "connector_crm_seconds",
    "How long CRMs take to answer.",
    ["adapter"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0),
    registry=REGISTRY,
)


def accepted(kind: str, *, dialect: str = "ours", seconds: float | None = None) -> None:
    """An event was stored; `kind` is one of the parser's, `seconds` what its sender waited."""
    _accepted(dialect, kind).inc()
    if seconds is not None:
        _ACCEPT_SECONDS.observe(seconds)


def refused(code: str) -> None:
    """A hook request was answered with this code of an error body."""
    _REFUSED.labels(code).inc()


def applet_answered(applet: str, by: str, seconds: float) -> None:
    """An applet was answered; `by`: owner, sticky, group, fallback, again, or template."""
    _APPLETS.labels(applet, by).inc()
    _APPLET_SECONDS.labels(applet).observe(seconds)


def delivered(adapter: str, result: str) -> None:
    """An attempt on a delivery ended: done, dead, or the reason why it is pending."""
    _DELIVERED.labels(adapter, result).inc()


def pruned(calls: int) -> None:
    """Retention deleted so many calls."""
    _PRUNED.inc(calls)


def crm_answered(adapter: str, status: int | None, seconds: float) -> None:
    """A CRM answered a request with this status; None: no answer came."""
    _CRM_REQUESTS.labels(adapter, "none" if status is None else f"{status // 100}xx").inc()
    _CRM_SECONDS.labels(adapter).observe(seconds)


def exposition(backlog: Iterable[Backlog], gates: Iterable[Gates]) -> bytes:
    """All metrics as Prometheus reads them; the queue's are those of this moment.

    Of several workers whichever is asked answers for all of them.
    """
    folder = os.environ.get(WORKERS_FOLDER)
    counted = REGISTRY if folder is None else _of_workers(Path(folder))
    return generate_latest(counted) + generate_latest(_registry_of(_Snapshot(backlog, gates)))


def join_workers(index: int) -> None:
    """Makes this process one of several, before anything is counted: `WORKERS_FOLDER` is where they count together."""
    (Path(os.environ[WORKERS_FOLDER]) / f"{_PROCESS}{index}").write_text(str(os.getpid()))


@functools.cache
def _accepted(dialect: str, kind: str) -> Counter:
    return _ACCEPTED.labels(dialect, kind)


class _Snapshot:
    """Gauges of what the store says now."""

    def __init__(self, backlog: Iterable[Backlog], gates: Iterable[Gates]) -> None:
        self._backlog = list(backlog)
        self._gates = list(gates)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """For prometheus_client."""
        deliveries = GaugeMetricFamily(
            "connector_backlog", "Deliveries that are not done.", labels=["adapter", "state", "reason"]
        )
        due = GaugeMetricFamily(
            "connector_due_deliveries",
            "Deliveries that could be worked on now, and that nobody works on: more replicas would.",
            labels=["adapter"],
        )
        oldest = GaugeMetricFamily(
            "connector_oldest_due_seconds", "How long the oldest of the due deliveries has waited.", labels=["adapter"]
        )
        waiting: Counted[str] = Counted()
        waited: dict[str, float] = {}
        for row in self._backlog:
            deliveries.add_metric([row.adapter, row.state, row.reason or ""], row.count)
            waiting[row.adapter] += row.due
            waited[row.adapter] = max(waited.get(row.adapter, 0.0), row.oldest_due_s)
        for adapter, seconds in waited.items():
            due.add_metric([adapter], waiting[adapter])
            oldest.add_metric([adapter], seconds)
        gates = GaugeMetricFamily(
            "connector_gates", "Accounts by what their gate allows: open, broken, paused.", labels=["adapter", "state"]
        )
        for gate in self._gates:
            gates.add_metric([gate.adapter, gate.state], gate.count)
        yield from (deliveries, due, oldest, gates)


class _Processes:
    """What all workers' processes use, added up."""

    def __init__(self, folder: Path) -> None:
        self._pids = [int(file.read_text()) for file in folder.glob(f"{_PROCESS}*")]

    def collect(self) -> Iterable[Metric]:
        """For prometheus_client."""
        found: dict[str, list[Metric]] = defaultdict(list)
        for pid in self._pids:
            for one in ProcessCollector(namespace=_NAMESPACE, pid=functools.partial(int, pid), registry=None).collect():
                found[one.name].append(one)
        for name, ones in found.items():
            values = [sample.value for one in ones for sample in one.samples]
            total, first = ones[0], ones[0].samples[0]
            total.samples = [first._replace(value=min(values) if name.endswith("start_time_seconds") else sum(values))]
            yield total


def _of_workers(folder: Path) -> CollectorRegistry:
    registry = _registry_of(_Processes(folder))
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]  # the library has no types here
    return registry


def _registry_of(collector: "_Snapshot | _Processes") -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
