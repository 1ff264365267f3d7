"""What a token may do, and how often (docs/reference/hubspot.md §2 and §13), and how HubSpot words a refusal."""

from dataclasses import dataclass
from typing import Any, Final

from connector.kit.standin import Refused

#: What the adapter asks for.
SCOPES: Final = frozenset(
    {f"crm.{of}.read" for of in ("objects.contacts", "objects.owners", "objects.companies", "objects.deals")}
    | {"crm.objects.contacts.write", "crm.schemas.contacts.read", "crm.schemas.contacts.write", "tickets"}
)


@dataclass(frozen=True)
class Limits:
    """Requests of a private app on a small plan: per ten seconds, per day; searches per second."""

    burst: int = 100
    daily: int = 250_000
    search: int = 5


def failed(status: int, category: str, message: str, **more: Any) -> Refused:
    """A refusal as HubSpot words it."""
    body = {"status": "error", "message": message, "correlationId": "5f1c8a1e-0000-4000-8000-000000000000"}
    return Refused(status, {**body, "category": category, **more})
