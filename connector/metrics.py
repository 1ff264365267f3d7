"""What a Prometheus server may ask: labelled by adapter and by fixed words, never by tenant, connection or number."""

import functools
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from connector.store.views import Backlog, GateState

REGISTRY: Final = CollectorRegistry()
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ProcessCollector(namespace="connector", registry=REGISTRY)

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


def exposition(backlog: Iterable[Backlog], gates: Iterable[GateState]) -> bytes:
    """All metrics as Prometheus reads them; the queue's are those of this moment."""
    return generate_latest(REGISTRY) + generate_latest(_now(_Snapshot(backlog, gates)))


@functools.cache
def _accepted(dialect: str, kind: str) -> Counter:
    return _ACCEPTED.labels(dialect, kind)


class _Snapshot:
    """Gauges of what the store says now."""

    def __init__(self, backlog: Iterable[Backlog], gates: Iterable[GateState]) -> None:
        self._backlog = list(backlog)
        self._gates = list(gates)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """For prometheus_client."""
        deliveries = GaugeMetricFamily(
            "connector_backlog", "Deliveries that are not done.", labels=["adapter", "state", "reason"]
        )
        oldest = GaugeMetricFamily(
            "connector_oldest_due_seconds", "How long the oldest due delivery has waited.", labels=["adapter"]
        )
        waited: dict[str, float] = {}
        for row in self._backlog:
            deliveries.add_metric([row.adapter, row.state, row.reason or ""], row.count)
            waited[row.adapter] = max(waited.get(row.adapter, 0.0), row.oldest_due_s)
        for adapter, seconds in waited.items():
            oldest.add_metric([adapter], seconds)
        gates = GaugeMetricFamily(
            "connector_gates", "Accounts by what their gate allows: open, broken, paused.", labels=["adapter", "state"]
        )
        for gate in self._gates:
            gates.add_metric([gate.adapter, gate.state], gate.count)
        yield from (deliveries, oldest, gates)


def _now(snapshot: _Snapshot) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(snapshot)
    return registry
