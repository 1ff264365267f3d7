"""What a tenant enters to connect a CRM account."""

import re
from collections.abc import Mapping
from typing import Protocol, TypeVar, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from connector.adapter.records import Grant


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


def own_host(ends: str) -> str:
    """Pattern of an account's own host: a label, then `ends` (a pattern, too)."""
    return rf"^[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?{ends}$"


def pasted(bare: str, *others: str, refusal: str = "") -> BeforeValidator:
    """Takes a host as people paste it (see `pasted_host`), and completes a bare label with `bare`.

    `refusal`: what is said of a host that ends neither in `bare` nor in one of `others`; empty where the pattern says
    enough.
    """

    def host(value: object) -> object:
        told = pasted_host(value, bare)
        if refusal and isinstance(told, str) and not told.endswith((bare, *others)):
            raise ValueError(refusal)
        return told

    return BeforeValidator(host)


class Login(Protocol):
    """Settings with an OAuth client and a refresh token."""

    @property
    def client_id(self) -> str: ...
    @property
    def client_secret(self) -> SecretStr: ...
    @property
    def refresh_token(self) -> SecretStr: ...


class MayLogin(Protocol):
    """Settings that may have them, all or none."""

    @property
    def client_id(self) -> str | None: ...
    @property
    def client_secret(self) -> SecretStr | None: ...
    @property
    def refresh_token(self) -> SecretStr | None: ...


@overload
def grant_of(login: Login, token_url: str) -> Grant: ...
@overload
def grant_of(login: MayLogin, token_url: str) -> Grant | None: ...
def grant_of(login: MayLogin, token_url: str) -> Grant | None:
    """What access tokens are fetched with at `token_url`; None where the settings name no login."""
    if login.client_id is None or login.client_secret is None or login.refresh_token is None:
        return None
    return Grant(
        token_url, login.client_id, login.client_secret.get_secret_value(), login.refresh_token.get_secret_value()
    )


def region(domains: Mapping[str, str]) -> BeforeValidator:
    """Takes a region as its code, its domain, the end of that or an address in it: `in`, `.in`, `https://crm.acme.in`.

    `domains`: code -> domain of the region.
    """
    codes = {domain: code for code, domain in domains.items()}
    bare = {domain.partition(".")[2]: code for domain, code in codes.items()}

    def code(value: object) -> object:
        if not isinstance(value, str):
            return value
        told = value.strip().lower()
        if told in domains:
            return told
        host = re.sub(r"^https?://", "", told).partition("/")[0].strip(".")
        labels = host.split(".")
        ends = (".".join(labels[at:]) for at in range(len(labels)))
        return next((codes[end] for end in ends if end in codes), bare.get(host, told))

    return BeforeValidator(code)
