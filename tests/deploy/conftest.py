"""What the service exposes: a real scrape."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connector.observe import metrics
from connector.observe.metrics import Backlog, Gates


@pytest.fixture(scope="session")
def exposed() -> dict[str, set[str]]:
    """Metric -> its labels, of a process that has seen one of everything."""
    metrics.accepted("popup", seconds=0.001)
    metrics.refused("busy")
    metrics.delivered("freshdesk", "done")
    metrics.crm_answered("freshdesk", 200, 0.1)
    text = metrics.exposition(
        [Backlog("freshdesk", "pending", "retrying", count=1, due=1, oldest_due_s=2.0)],
        [Gates("freshdesk", "paused", 1)],
    ).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found
