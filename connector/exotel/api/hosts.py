"""Where Exotel's API of an account is: by the operator's word, by asking both regions, by the SID's rule.

A wrong region answers 404 and looks like a wrong SID; only both regions together tell the two, and a wrong key, apart
(docs/reference/exotel.md §5).
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr

#: Region -> host of calls, numbers and SMS, and of users and devices (docs/reference/exotel.md §5).
API_HOSTS: Final[Mapping[str, str]] = {"singapore": "https://api.exotel.com", "mumbai": "https://api.in.exotel.com"}
CCM_HOSTS: Final[Mapping[str, str]] = {
    "singapore": "https://ccm-api.exotel.com",
    "mumbai": "https://ccm-api.in.exotel.com",
}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5)

Verdict = Literal["found", "wrong_sid", "wrong_key", "unreachable", "unavailable"]


def region_of(sid: str) -> str:
    """The region that an Account SID tells: a number and then `m` at its end is Mumbai.

    See docs/reference/exotel.md §5.
    """
    return "mumbai" if re.search(r"\d+m$", sid) else "singapore"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses of one account. `api_url` (one for everything, or one per region) replaces Exotel's own."""

    #: What is taken until somebody knows better.
    region: str
    api_url: str | Mapping[str, str] | None = None

    def api(self, region: str) -> str:
        """Address of calls, numbers and SMS, without a slash at its end."""
        return self._own(region) or API_HOSTS[region]

    def ccm(self, region: str) -> str:
        """Address of users and devices."""
        return self._own(region) or CCM_HOSTS[region]

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that can be asked, the likeliest first; one where the operator set one address for everything."""
        if isinstance(self.api_url, str):
            return (self.region,)
        return (self.region, *(region for region in API_HOSTS if region != self.region))

    def _own(self, region: str) -> str | None:
        return self.api_url if isinstance(self.api_url, str) else (self.api_url or {}).get(region)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the regions said of an account. `region` is set where `verdict` is `found`."""

    verdict: Verdict
    region: str | None = None
    #: What is wrong and what to do, for the tenant; empty where it was found.
    words: str = ""


def basic(api_key: SecretStr, api_token: SecretStr) -> str:
    """The Authorization header of the account's requests."""
    pair = f"{api_key.get_secret_value()}:{api_token.get_secret_value()}"
    return f"Basic {b64encode(pair.encode()).decode()}"


async def discover(
    session: aiohttp.ClientSession, hosts: Hosts, *, sid: str, api_key: SecretStr, api_token: SecretStr
) -> Discovery:
    """Asks each region for the account, until one has it. Raises `ConfigError` for a private address alone."""
    answers: dict[str, int | str] = {}
    for region in hosts.regions:
        url = f"{hosts.api(region)}/v1/Accounts/{quote(sid, safe='')}.json"
        headers = {"Authorization": basic(api_key, api_token)}
        try:
            async with session.get(url, headers=headers, allow_redirects=False, timeout=_TIMEOUT) as answer:
                answers[region] = answer.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            answers[region] = type(error).__name__
        if answers[region] == 200:
            return Discovery("found", region)
    return _unfound(sid, answers)


def _unfound(sid: str, answers: Mapping[str, int | str]) -> Discovery:
    """401 and 403 come from the region that knows the account; a region that did not answer may be that one."""
    if not set(answers.values()).isdisjoint({401, 403}):
        words = "refuses api_key or api_token: take both from API settings, with access to this account"
        return Discovery("wrong_key", words=words)
    for region, status in answers.items():
        if isinstance(status, str):
            return Discovery("unreachable", words=f"its API could not be reached in {region} ({status})")
    if set(answers.values()) == {404}:
        words = f"there is no account {sid}: sid is the Account SID under API settings"
        return Discovery("wrong_sid", words=words)
    worst = max(status for status in answers.values() if isinstance(status, int) and status != 404)
    return Discovery("unavailable", words=f"its API answered {worst}; try again later")
