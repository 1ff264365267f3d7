"""`connector check`: what Exotel's and a CRM's answers mean."""

from collections.abc import Mapping

import pytest
from aiohttp import hdrs, web
from standins.freshdesk import SETTINGS, Account, standin

from connector.store.queries.regions import keep_regions
from connector.tenants import check
from connector.tenants.check import Finding
from tests.rig.listening import Server
from tests.rig.shop import Shop

GOOD = "Basic ZGVtb19rZXk6ZGVtb190b2tlbg=="


def exotel(status: int) -> web.Application:
    """Exotel's API, as far as an account can be read there; right credentials get `status`."""

    async def account(request: web.Request) -> web.Response:
        assert request.headers[hdrs.AUTHORIZATION] == GOOD
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_get("/v1/Accounts/exotel535.json", account)
    return app


async def found(shop: Shop, statuses: Mapping[str, int], kept: list[str], **said: str) -> Finding:
    async with (
        Server(exotel(statuses["singapore"])) as singapore,
        Server(exotel(statuses["mumbai"])) as mumbai,
    ):
        hosts = {"singapore": str(singapore.make_url("")), "mumbai": str(mumbai.make_url(""))}
        shop.apply(api_url={region: url.rstrip("/") for region, url in hosts.items()}, **said)
        looks = check.check_tenant(shop.tenant, shop.box, shop.config, kept.append)
        findings = [finding async for finding in looks]
    assert findings[0].what == "Exotel"
    return findings[0]


@pytest.mark.parametrize(
    ("singapore", "mumbai", "region", "words"),
    [
        (200, 404, "singapore", "account exotel535, singapore"),
        (404, 200, "mumbai", "account exotel535, mumbai"),
        (401, 200, "mumbai", "account exotel535, mumbai"),
        (500, 200, "mumbai", "account exotel535, mumbai"),
        (404, 404, None, "there is no account exotel535"),
        (401, 401, None, "refuses api_key or api_token"),
        (403, 404, None, "refuses api_key or api_token"),
        (404, 500, None, "answered 500; try again later"),
        (302, 404, None, "answered 302; try again later"),
    ],
)
async def test_what_exotel_answers(shop: Shop, singapore: int, mumbai: int, region: str | None, words: str) -> None:
    kept: list[str] = []
    finding = await found(shop, {"singapore": singapore, "mumbai": mumbai}, kept)
    assert finding.is_good is (region is not None)
    assert words in finding.words
    assert "demo_token" not in finding.words
    assert kept == ([region] if region else [])


async def test_a_file_that_names_the_wrong_region(shop: Shop) -> None:
    kept: list[str] = []
    finding = await found(shop, {"singapore": 404, "mumbai": 200}, kept, region="singapore")
    assert not finding.is_good
    assert "is in mumbai: set region: mumbai" in finding.words
    assert kept == []


def test_what_was_found_stays_below_the_file(shop: Shop) -> None:
    assert (shop.tenant.region, shop.tenant.region_is) == ("singapore", "guessed")
    shop.db.transact(keep_regions, [(shop.tenant.id, "mumbai")])
    assert (shop.tenant.region, shop.tenant.region_is) == ("mumbai", "found")
    shop.apply(time_zone="Asia/Dubai")  # a file that says nothing of it leaves it alone
    assert (shop.tenant.region, shop.tenant.region_is) == ("mumbai", "found")
    shop.apply(region="singapore")
    assert (shop.tenant.region, shop.tenant.region_is) == ("singapore", "told")


async def test_exotel_out_of_reach(shop: Shop) -> None:
    shop.apply(api_url="http://127.0.0.1:1")
    findings = [finding async for finding in check.check_tenant(shop.tenant, shop.box, shop.config)]
    assert "could not be reached" in findings[0].words


async def crm_finding(shop: Shop, account: Account, enabled: bool = True) -> Finding:
    async with Server(standin(account)) as server:
        settings = {**SETTINGS, "base_url": str(server.make_url("")).rstrip("/")}
        shop.apply(
            api_url="http://127.0.0.1:1",
            connections=[{"name": "desk", "adapter": "freshdesk", "settings": settings, "enabled": enabled}],
        )
        findings = [finding async for finding in check.check_tenant(shop.tenant, shop.box, shop.config)]
        prepared = await check.prepare(shop.tenant, shop.tenant.connections, shop.box, shop.config)
    assert prepared == []
    return findings[1]


async def test_a_good_connection_names_its_account(shop: Shop) -> None:
    finding = await crm_finding(shop, Account())
    assert finding.is_fine
    assert finding.what == "desk (freshdesk)"
    assert "acme.freshdesk.com" in finding.words


async def test_a_bad_key_is_told(shop: Shop) -> None:
    finding = await crm_finding(shop, Account(keys={"another": "admin"}))
    assert not finding.is_good
    assert "demo-key" not in finding.words


async def test_mandatory_fields_are_missing_and_not_fine(shop: Shop) -> None:
    field = {"name": "cf_branch", "label": "Branch", "type": "custom_text", "required_for_agents": True}
    finding = await crm_finding(shop, Account(custom_fields=[field]))
    assert finding.is_good
    assert not finding.is_fine
    assert any("cf_branch" in missing for missing in finding.missing)


async def test_a_disabled_connection_is_not_asked(shop: Shop) -> None:
    assert (await crm_finding(shop, Account(exists=False), enabled=False)).words == "disabled, not checked"
