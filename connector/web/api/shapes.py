"""What the models of the API share: times, names, what comes in and what goes out, refusals.

Times come out in UTC and are taken in any zone; one without a zone is UTC. What a model does not know is refused, so
that a misspelt `dry_run` replays nothing.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator


def _readable(value: Any) -> Any:
    if isinstance(value, float):  # Unix seconds, as the store has them
        return datetime.fromtimestamp(value, UTC)
    # A + that nobody encoded arrives in a query as a blank: 2026-01-31T09:30:00 05:30.
    return re.sub(r" (?=\d\d:?\d\d$)", "+", value) if isinstance(value, str) and "T" in value else value


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Utc = Annotated[datetime, BeforeValidator(_readable), AfterValidator(_utc)]
Sid = Annotated[str, Field(min_length=1, max_length=128)]


class Asked(BaseModel):
    """Base of what comes in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:  # PostgreSQL takes it in no text
            raise ValueError("a NUL is in no text")
        return value


class PageAsked(Asked):
    """Part of a list."""

    tenant: Sid | None = Field(default=None, description="Account SID; an operator sees all tenants without it.")
    cursor: str | None = Field(default=None, max_length=256, description="`next_cursor` of the page before.")
    limit: int = Field(default=50, ge=1, le=200)


class Shown(BaseModel):
    """Base of what goes out; made of the acts' results by the names of their fields."""

    model_config = ConfigDict(from_attributes=True)


class ErrorBody(BaseModel):
    """What is wrong; `field` names the parameter at fault, where there is one."""

    code: str
    message: str
    field: str | None


class Error(BaseModel):
    """The body of every answer of 400 and above."""

    error: ErrorBody
