"""The CRMs that a store's connections may write to: every adapter that has a stand-in."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

from connector.adapter import registry
from connector.kit.standins import standins

DEFAULT: Final = "freshdesk"
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class _Crm:
    """What connections to a stand-in differ in, so that each has an account, and with it limits, of its own."""

    #: Setting -> its value, with the number of the connection in it; or values that are taken in turn.
    own: Mapping[str, str | tuple[str, ...]]
    #: The user of the stand-in who takes the calls.
    agent: str


_CRMS: Final[Mapping[str, _Crm]] = {
    "freshdesk": _Crm({"domain": "bench{}.freshdesk.com", "api_key": "crm-bench{}"}, "81007555519"),
    "freshsales": _Crm({"domain": "bench{}.myfreshworks.com", "api_key": "crm-bench{}"}, "70000043413"),
    "freshchat": _Crm(
        {"domain": "bench{}.freshchat.com", "api_key": "crm-bench{}"}, "8b1f0a52-6a5c-4f0e-9d0b-0a5a7c9e1102"
    ),
    # The stand-in is one organisation with one login: what may differ is where it lives.
    "zoho_desk": _Crm({"data_center": ("us", "eu", "in", "au", "jp", "ca", "sa", "uk", "cn")}, "4000000008693"),
    "zoho_crm": _Crm({"refresh_token": "1000.bench{}"}, "4876876000000327002"),
    "hubspot": _Crm({"access_token": "pat-na1-bench{}"}, "51730228"),
}
NAMES: Final = tuple(_CRMS)


def connections(adapter: str, count: int, base_url: str) -> list[dict[str, Any]]:
    """So many connections to the adapter's stand-in, as a tenant file has them."""
    crm = _CRMS[adapter]
    shared = {**standins()[adapter].load().SETTINGS, "base_url": base_url}
    values = {
        name: [one.format(n) for n, one in enumerate(islice(cycle((own,) if isinstance(own, str) else own), count), 1)]
        for name, own in crm.own.items()
    }
    agent = {"crm_id": crm.agent, "name": "Manish", "email": "manish@acme.example", "phone": "09810012345"}
    return [
        {
            "name": "support",
            "adapter": adapter,
            "settings": {**shared, **{name: each[place] for name, each in values.items()}},
            "agents": [agent],
        }
        for place in range(count)
    ]


def declared(adapter: str) -> dict[str, Any]:
    """What the adapter itself holds an account to: these may be what a speed comes from."""
    cls = registry.get(adapter)
    limits = {bucket: f"{count} in {seconds:g} s" for bucket, (count, seconds) in cls.limits.items()}
    return {"in_flight": cls.in_flight, "limits": limits}
