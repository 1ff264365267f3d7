"""Reads that may be refused."""

import pytest

from connector.adapter import Answer, Probe
from connector.errors import AuthFailed, ConfigError
from tests.adapter.served import Served

REFUSED, ABSENT = Answer(403, {}, {"no": 1}), Answer(404, {}, None)


async def test_what_is_there() -> None:
    probe = Probe(Served({"a": 1}, {"b": 2}).http)
    assert await probe.needed("me", lacks="no") == {"a": 1}
    assert await probe.wanted("agents", lacks="no") == {"b": 2}
    assert probe.checked("Acme").missing == ()


async def test_what_is_refused() -> None:
    crm = Served(REFUSED, REFUSED)
    probe = Probe(crm.http)
    assert await probe.wanted("agents", {"size": "1"}, lacks="enter agents by hand") is None
    assert (probe.checked("Acme").account, probe.checked("Acme").missing) == ("Acme", ("enter agents by hand",))
    with pytest.raises(AuthFailed, match="no right") as failed:
        await probe.needed("me", lacks="no right")
    assert failed.value.status == 403
    assert crm.asked == [("agents", {"size": "1"}), ("me", {})]
    assert crm.accepted == [(403,), (403,)]


async def test_an_account_that_is_not_there() -> None:
    probe = Probe(Served(ABSENT, ABSENT).http)
    for read in (probe.needed, probe.wanted):
        with pytest.raises(ConfigError, match="There is no account") as failed:
            await read("me", lacks="no right", absent="There is no account.")
        assert failed.value.field == "domain"


async def test_other_statuses_may_mean_the_same() -> None:
    crm = Served(Answer(401, {}, None), ABSENT)
    probe = Probe(crm.http, refused=(401, 403))
    await probe.wanted("agents", lacks="one")
    await probe.wanted("calls", lacks="two", or_else=(404,))
    assert probe.missing == ["one", "two"]
    assert crm.accepted == [(401, 403), (401, 403, 404)]
