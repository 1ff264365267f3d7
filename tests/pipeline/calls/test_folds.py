"""A call is folded anew when what it is folded from has changed, and only then."""

from collections.abc import Iterator
from dataclasses import replace
from unittest import mock
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from connector.adapter import Agent
from connector.adapter.options import Options
from connector.exotel.parse import parse_request
from connector.pipeline.calls.fold import fold
from connector.pipeline.calls.folds import Folds
from connector.store.queries.deliveries import StoredEvent, Work
from connector.tenants.model import Connection, Tenant

_NOTHING = SecretStr("")
_AGENT = Agent(id="81", name="Avnish", phone="+919711581199")
_CONNECTION = Connection(
    id="c1", tenant_id=1, name="support", adapter="freshdesk", account="a", enabled=True, revision=1, settings={},
    options=Options(), agents=(_AGENT,),
)  # fmt: skip
_TENANT = Tenant(
    id=1, sid="acme1", region="singapore", country="IN", time_zone="Asia/Kolkata", api_key=_NOTHING,
    api_token=_NOTHING, hook_token=_NOTHING, exophones={"+918047494574": "Support line"},
)  # fmt: skip


def _event(id_: int, kind: str = "answered", at: float = 1000.0, **params: str) -> StoredEvent:
    told = {"CallSid": "sid1", "From": "08884643606", "To": "08047494574", **params}
    return StoredEvent(id_, "exotel", None, kind, "GET", urlencode(told), None, None, at)


def _work(*stored: StoredEvent, call_id: int = 1, connection_id: str = "c1") -> Work:
    return Work(
        id=1, tenant_id=1, call_id=call_id, call_sid="sid1", connection_id=connection_id, holder="", fence=0,
        lease_until=0.0, version=0, priority=1, attempts=0, retried_s=0.0, revision=None, replay=None, warnings="[]",
        call_created_at=1000.0, events=list(stored),
    )  # fmt: skip


@pytest.fixture
def parsed() -> Iterator[mock.Mock]:
    with mock.patch("connector.pipeline.calls.events.parse_request", wraps=parse_request) as parsed:
        yield parsed


def test_a_repeat_neither_parses_nor_folds(parsed: mock.Mock) -> None:
    kept = Folds()
    with mock.patch("connector.pipeline.calls.folds.fold", wraps=fold) as folded:
        first = kept.of(_work(_event(1), _event(2, "popup")), _TENANT, _CONNECTION)
        # As claimed anew: rows in whatever order, the connection under an older revision of its options.
        again = kept.of(_work(_event(2, "popup"), _event(1)), _TENANT, replace(_CONNECTION, revision=0))
    assert again is first
    assert (parsed.call_count, folded.call_count) == (2, 1)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param((_event(5), _event(6, "missed")), id="a new event"),
        pytest.param((_event(4, "missed"), _event(5)), id="one that was committed late has a lower id"),
        pytest.param((_event(5, "missed", 2000.0),), id="an id that was given again"),
        pytest.param((), id="retention took them"),
    ],
)
def test_other_events_are_folded_anew(stored: tuple[StoredEvent, ...]) -> None:
    kept = Folds()
    kept.of(_work(_event(5)), _TENANT, _CONNECTION)
    found = kept.of(_work(*stored), _TENANT, _CONNECTION)
    assert found == Folds().of(_work(*stored), _TENANT, _CONNECTION)
    assert found.kinds == {event.kind for event in stored}


def test_other_numbers_of_the_tenant_are_folded_anew() -> None:
    # An outbound call tells nobody's part: the tenant's own numbers do.
    work = _work(_event(1, Direction="outbound-dial", CallFrom="09711581199", CallTo="08047494574"))
    kept = Folds()
    mapped = kept.of(work, _TENANT, _CONNECTION)
    assert (mapped.agent_number, mapped.customer_number) == ("+919711581199", "+918884643606")
    unmapped = kept.of(work, _TENANT, replace(_CONNECTION, agents=()))
    assert unmapped.agent_number is None
    assert kept.of(work, _TENANT, _CONNECTION) == mapped
    moved = replace(_TENANT, exophones={"+918884643606": "Support line"})
    assert kept.of(work, moved, _CONNECTION).exophone == "+918884643606"
    abroad = replace(_TENANT, country="SG")
    assert kept.of(work, abroad, _CONNECTION) == Folds().of(work, abroad, _CONNECTION) != mapped


def test_accounts_do_not_share_what_their_agents_make_of_a_call() -> None:
    event = _event(1, Direction="outbound-dial", CallFrom="09711581199", CallTo="08047494574")
    kept = Folds()
    other = replace(_CONNECTION, id="c2", account="b", agents=())
    assert kept.of(_work(event), _TENANT, _CONNECTION).agent_number == "+919711581199"
    assert kept.of(_work(event, connection_id="c2"), _TENANT, other).agent_number is None
    assert kept.of(_work(_event(1, "missed"), call_id=2), _TENANT, _CONNECTION).kinds == {"missed"}


def test_so_many_are_kept(parsed: mock.Mock) -> None:
    kept = Folds(most=2)
    for call_id in (1, 2, 1, 3, 1, 2):  # 2 was used longest ago when 3 came
        kept.of(_work(_event(call_id), call_id=call_id), _TENANT, _CONNECTION)
    assert parsed.call_count == 4
