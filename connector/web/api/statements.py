"""The statement of a day."""

from datetime import date

from aiohttp import web
from pydantic import Field

from connector.acts import statements as acts
from connector.acts.asker import Asker
from connector.pipeline.completeness.statement import numbers
from connector.web.api.shapes import Asked, Shown, Sid, Utc
from connector.web.keys import OFFICE


class StatementAsked(Asked):
    """Whose day."""

    tenant: Sid | None = Field(default=None, description="Account SID; needed with an operator's token.")
    day: date | None = Field(default=None, description="2026-01-31, in the tenant's time zone; today without it.")
    connection: str | None = Field(default=None, description="Name of the one connection; all of them without it.")


class TotalOut(Shown):
    """What became of a day's calls. `percent`: written or not due, of all. Reasons: words -> calls."""

    calls: int
    written: int
    not_due: int
    missing: int
    percent: float
    not_due_for: dict[str, int]
    missing_for: dict[str, int]


class ConnectionTotal(TotalOut):
    """A day's calls for one connection."""

    connection: str


class StatementOut(TotalOut):
    """A day of a tenant: calls at Exotel, written, not due by policy, missing.

    `unconfirmed`: calls known by their requests alone so far. `checked_until`: how far Exotel's own list was gone
    through; `is_checked`: the whole day was. `is_kept`: the calls were pruned since, and these totals were kept.
    """

    tenant: str
    day: str
    time_zone: str
    connection: str | None
    connections: list[ConnectionTotal]
    #: Some CallSids of what is missing.
    missing_calls: list[str]
    unconfirmed: int
    checked_until: Utc | None
    is_checked: bool
    is_kept: bool


async def statement(request: web.Request, asker: Asker, asked: StatementAsked) -> StatementOut:
    """A day's calls at Exotel, and what became of them: written, not due by policy, missing, and why."""
    wish = acts.CountDays(asked.tenant, asked.day, connection=asked.connection)
    (found,) = await acts.statement(request.app[OFFICE], asker, wish)
    total = found.total if asked.connection is None else found.connections[asked.connection]
    listed = found.connections.items() if asked.connection is None else ()
    return StatementOut.model_validate(
        {
            "tenant": found.tenant,
            "day": found.day,
            "time_zone": found.time_zone,
            "connection": asked.connection,
            **numbers(total),
            "connections": [{"connection": name, **numbers(one)} for name, one in listed],
            "missing_calls": found.missing_calls,
            "unconfirmed": found.unconfirmed,
            "checked_until": found.checked_until,
            "is_checked": found.is_checked,
            "is_kept": found.is_kept,
        }
    )
