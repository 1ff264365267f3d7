"""Regions: found by asking both, kept, told apart from a wrong SID and a wrong key."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr

from connector.errors import AuthFailed, ConfigError, CrmUnavailable, NotFound
from connector.exotel.api import Exotel
from connector.exotel.api.hosts import Discovery, Hosts, discover, region_of
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.outbound import session
from tests.exotel.conftest import KEY, SID, TOKEN, Purse, http
from tests.rig.listening import Server

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("sid", "region"),
    [
        ("exotel", "singapore"),
        ("exotel1", "singapore"),
        ("exotel1m", "mumbai"),
        ("team", "singapore"),
        ("exotel13m2", "singapore"),
    ],
)
def test_the_rule(sid: str, region: str) -> None:
    assert region_of(sid) == region


def test_exotels_own_hosts() -> None:
    hosts = Hosts("mumbai")
    assert hosts.api("mumbai") == "https://api.in.exotel.com"
    assert hosts.ccm("singapore") == "https://ccm-api.exotel.com"
    assert hosts.regions == ("mumbai", "singapore")


def test_one_address_is_every_host() -> None:
    hosts = Hosts("singapore", "http://gateway.internal")
    assert hosts.api("singapore") == hosts.ccm("mumbai") == "http://gateway.internal"
    assert hosts.regions == ("singapore",)


@pytest.fixture
async def regions(account: ExotelAccount) -> AsyncIterator[dict[str, str]]:
    """Both regions, of which one has the account."""
    async with (
        Server(exotel_app(account, region="singapore")) as singapore,
        Server(exotel_app(account, region="mumbai")) as mumbai,
    ):
        urls = {"singapore": str(singapore.make_url("")), "mumbai": str(mumbai.make_url(""))}
        yield {region: url.rstrip("/") for region, url in urls.items()}


class TestDiscovery:
    @pytest.mark.parametrize("region", ["singapore", "mumbai"])
    async def test_found(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str], region: str
    ) -> None:
        account.region = region
        found = await self.ask(sessions, regions)
        assert (found.verdict, found.region) == ("found", region)

    async def test_wrong_sid(self, sessions: aiohttp.ClientSession, regions: dict[str, str]) -> None:
        assert (await self.ask(sessions, regions, sid="stranger")).verdict == "wrong_sid"

    @pytest.mark.parametrize("region", ["singapore", "mumbai"])
    async def test_wrong_key(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str], region: str
    ) -> None:
        account.region = region
        found = await self.ask(sessions, regions, token="wrong")
        assert found.verdict == "wrong_key"
        assert "wrong" not in found.words

    async def test_the_region_that_does_not_answer(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str]
    ) -> None:
        account.region = "mumbai"
        assert (await self.ask(sessions, {**regions, "singapore": NOWHERE})).region == "mumbai"
        # the one that answers does not have it: the other may be where it is
        assert (await self.ask(sessions, {**regions, "mumbai": NOWHERE})).verdict == "unreachable"

    async def ask(
        self, client: aiohttp.ClientSession, urls: dict[str, str], sid: str = SID, token: str = TOKEN
    ) -> Discovery:
        return await discover(
            client, Hosts("singapore", urls), sid=sid, api_key=SecretStr(KEY), api_token=SecretStr(token)
        )


class TestTheClient:
    async def test_asks_once_and_keeps(
        self,
        sessions: aiohttp.ClientSession,
        account: ExotelAccount,
        regions: dict[str, str],
        purse: Purse,
    ) -> None:
        kept: list[str] = []

        async def keep(region: str) -> None:
            kept.append(region)

        account.region = "mumbai"
        exotel = Exotel(http(sessions, regions, purse, is_region_known=False, keep_region=keep))
        sid = account.add_call()
        for _ in range(3):
            assert (await exotel.calls.get(sid)).sid == sid
        assert kept == ["mumbai"]
        assert account.requests["GET /v1/Accounts/{sid}"] == 2
        assert len(purse.spent) == 5

    async def test_an_operators_word_stands(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str], purse: Purse
    ) -> None:
        account.region = "mumbai"
        exotel = Exotel(http(sessions, regions, purse))
        with pytest.raises(NotFound):
            await exotel.calls.get(account.add_call())
        assert account.requests["GET /v1/Accounts/{sid}"] == 0

    async def test_nothing_found_is_not_asked_again_at_once(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str], purse: Purse
    ) -> None:
        exotel = Exotel(http(sessions, regions, purse, is_region_known=False, api_token=SecretStr("wrong")))
        for _ in range(2):
            with pytest.raises(AuthFailed):
                await exotel.calls.get("0" * 32)
        assert account.requests["GET /v1/Accounts/{sid}"] == 2

    async def test_users_at_the_other_region(
        self, sessions: aiohttp.ClientSession, account: ExotelAccount, regions: dict[str, str], purse: Purse
    ) -> None:
        account.region = "mumbai"
        account.users = [{"id": "u1", "email": "a@acme.example", "devices": []}]
        exotel = Exotel(http(sessions, regions, purse))
        assert [user.id for user in await exotel.people.list_users()] == ["u1"]
        assert [user.id for user in await exotel.people.list_users()] == ["u1"]
        assert len(purse.spent) == 3


async def test_a_private_address_that_nobody_named(purse: Purse) -> None:
    async with session() as client:
        exotel = Exotel(http(client, "http://127.0.0.1:1", purse))
        with pytest.raises(ConfigError, match="private address"):
            await exotel.calls.connect("+919711581199", "+919876543210", "+918047494574")


async def test_out_of_reach(sessions: aiohttp.ClientSession, purse: Purse) -> None:
    with pytest.raises(CrmUnavailable):
        await Exotel(http(sessions, NOWHERE, purse)).numbers.exophones()
