"""The tenant of the tests, in the shape of a tenant file."""

from typing import Any, Final

from tests.rig.crm import standin_of

SID: Final = "exotel535"
API_KEY: Final = "demo_key"
API_TOKEN: Final = "demo_token"
HOOK: Final = "hook-of-exotel535"
EXOPHONE: Final = "08047494574"
CALLER: Final = "08884643606"
AGENT: Final = "09711581199"
#: The agent and the caller as Exotel is told.
RUNG: Final = "+919711581199"
CALLED: Final = "+918884643606"
#: Where browsers would reach the connector.
PUBLIC_URL: Final = "https://calls.example"
RECORDING: Final = f"https://recordings.exotel.com/exotelrecordings/{SID}/c1.mp3"


def connection(adapter: str, base_url: str, name: str = "support", **changes: Any) -> dict[str, Any]:
    """A connection with an account of the adapter's stand-in, which is served at `base_url`."""
    return {
        "name": name,
        "adapter": adapter,
        "settings": {**standin_of(adapter).SETTINGS, "base_url": base_url},
        **changes,
    }


def agent(crm_id: str, **changes: Any) -> dict[str, Any]:
    """The agent whom calls ring, as a person of the CRM."""
    return {"crm_id": crm_id, "name": "Avnish", "email": "avnish@acme.example", "phone": RUNG, **changes}


def tenant(*connections: dict[str, Any], sid: str = SID, **changes: Any) -> dict[str, Any]:
    """A tenant with these connections; `changes` go into it."""
    return {
        "sid": sid,
        "api_key": API_KEY,
        "api_token": API_TOKEN,
        "exophones": {EXOPHONE: "Support line"},
        "connections": list(connections),
        **changes,
    }
