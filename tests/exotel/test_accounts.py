"""Clients of tenants: one budget for all work of an account, new keys at once, a region that is found and kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.app import DIRECTORIES, PIPELINE
from connector.errors import AuthFailed, RateLimited
from connector.exotel.api import CallFilter, Urgency
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from tests.exotel.service import HOOK, Service, service
from tests.rig.listening import Server


@pytest.fixture
async def running(tmp_path: Path, account: ExotelAccount, faults: Faults) -> AsyncIterator[Service]:
    async with service(tmp_path, account, faults) as made:
        yield made


@pytest.mark.usefixtures("both_databases")
async def test_one_budget_of_which_the_urgent_have_more(running: Service) -> None:
    exotel = running.app[PIPELINE].exotel
    sid = running.exotel.add_call()
    running.exotel.limit = 1000
    shares: list[tuple[Urgency, int]] = [("backfill", 100), ("reconcile", 60), ("recording", 20), ("caller", 20)]
    for urgency, share in shares:
        calls = exotel.client(running.tenant, urgency).calls
        for _ in range(share):
            await calls.get(sid)
        with pytest.raises(RateLimited) as caught:
            await calls.get(sid)
        assert caught.value.status is None  # our own count: Exotel was not asked
        assert 0 < (caught.value.retry_after_s or 0) < 70
    assert running.exotel.answers == {200: 200}


async def test_a_429_stops_everybody(running: Service) -> None:
    exotel = running.app[PIPELINE].exotel
    running.exotel.limit = 0
    with pytest.raises(RateLimited) as caught:
        await exotel.client(running.tenant, "reconcile").calls.page(CallFilter())
    assert caught.value.status == 429
    running.exotel.limit = 200
    with pytest.raises(RateLimited) as caught:
        await exotel.client(running.tenant, "caller").numbers.exophones()
    assert caught.value.status is None
    running.clock.advance(61)
    assert await exotel.client(running.tenant, "caller").numbers.exophones()


async def test_new_keys_are_used_at_once(running: Service) -> None:
    accounts = running.app[PIPELINE].exotel
    old = running.tenant
    sid = running.exotel.add_call()
    await accounts.client(old, "caller").calls.get(sid)
    running.exotel.api_token = "another-token"
    with pytest.raises(AuthFailed):
        await accounts.client(old, "caller").calls.get(sid)
    await running.change(api_token="another-token")
    # whoever still holds the old directory's tenant gets the new keys too
    assert (await accounts.client(old, "caller").calls.get(sid)).sid == sid


@pytest.mark.usefixtures("both_databases")
async def test_the_region_is_found_and_kept(tmp_path: Path, account: ExotelAccount, faults: Faults) -> None:
    account.region = "mumbai"
    async with (
        Server(exotel_app(account, region="singapore")) as singapore,
        Server(exotel_app(account, region="mumbai")) as mumbai,
    ):
        urls = {"singapore": str(singapore.make_url("")), "mumbai": str(mumbai.make_url(""))}
        urls = {region: url.rstrip("/") for region, url in urls.items()}
        async with service(tmp_path, account, faults, api_url=urls) as running:
            assert (running.tenant.region, running.tenant.region_is) == ("singapore", "guessed")
            client = running.app[PIPELINE].exotel.client
            await client(running.tenant, "caller").numbers.exophones()
            await running.app[DIRECTORIES].refresh()
            assert (running.tenant.region, running.tenant.region_is) == ("mumbai", "found")
            await client(running.tenant, "caller").numbers.exophones()
        assert account.requests["GET /v1/Accounts/{sid}"] == 2
        async with service(tmp_path, account, faults, api_url=urls) as again:
            await again.app[PIPELINE].exotel.client(again.tenant, "caller").numbers.exophones()
        assert account.requests["GET /v1/Accounts/{sid}"] == 2


async def test_a_legs_callback_belongs_to_its_call(running: Service) -> None:
    client = running.app[PIPELINE].exotel.client(running.tenant, "caller")
    sid = running.exotel.add_call({"running": True})
    callback = f"{running.url}/h/{HOOK}/callback/leg"
    leg = await client.legs.monitor(sid, "listen", "09711581199", status_callback=callback)
    await client.legs.hang_up(sid, leg.sid)

    async def told() -> list[dict[str, object]]:
        return await running.rows("select event.kind, call.call_sid from event join call on call.id = event.call_id")

    assert await running.until(told) == [{"kind": "callback/leg", "call_sid": sid}]
