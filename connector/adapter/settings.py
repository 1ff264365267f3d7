"""What a tenant enters to connect a CRM account."""

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What a tenant enters to connect a CRM account. Secrets are `SecretStr`; a form is drawn from the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    #: Replaces scheme, host and port of the derived address, for tests and gateways; only the operator sets it.
    base_url: str | None = Field(default=None, title="Base URL", pattern=r"^https?://[^/?#@]+/?$")


S = TypeVar("S", bound=Settings)


def pasted_host(value: object, suffix: str) -> object:
    """The host in an address as people paste it: with scheme, path, user, blanks; `suffix` completes a bare label.

    For a settings model's validators; what is no text is left to the model to refuse.
    """
    if not isinstance(value, str):
        return value
    host = re.sub(r"^[a-z]+://", "", value.strip().lower()).partition("/")[0].rpartition("@")[2].rstrip(".")
    return host if "." in host or not host else host + suffix
