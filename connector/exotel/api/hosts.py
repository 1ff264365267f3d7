"""Where Exotel's API of an account is: by the SID's rule, the operator's word, or by asking both regions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Region = Literal["singapore", "mumbai"]

#: Region -> host of calls, numbers and SMS, and of users and devices (reference exotel.md §5).
API_HOSTS: Final[Mapping[str, str]] = {"singapore": "https://api.exotel.com", "mumbai": "https://api.in.exotel.com"}
CCM_HOSTS: Final[Mapping[str, str]] = {
    "singapore": "https://ccm-api.exotel.com",
    "mumbai": "https://ccm-api.in.exotel.com",
}


def region_of(sid: str) -> str:
    """The region that an Account SID tells: a number and then `m` at its end is Mumbai (reference exotel.md §5)."""
    return "mumbai" if re.search(r"\d+m$", sid) else "singapore"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses of one account. `api_url` (one for everything, or one per region) replaces Exotel's own."""

    region: str
    api_url: str | Mapping[str, str] | None = None

    def api(self, region: str | None = None) -> str:
        """Address of calls, numbers and SMS, without a slash at its end."""
        raise NotImplementedError

    def ccm(self, region: str | None = None) -> str:
        """Address of users and devices."""
        raise NotImplementedError


Verdict = Literal["found", "wrong_sid", "wrong_key", "unreachable", "unavailable"]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What both regions said of an account. `region` is set where `verdict` is `found`."""

    verdict: Verdict
    region: str | None = None
    #: What is wrong and what to do, for the tenant; empty where it was found.
    words: str = ""
