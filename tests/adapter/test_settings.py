"""What settings take as people paste it, and logins."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr, ValidationError

from connector.adapter import Grant, Settings, fingerprint, grant_of, own_host, pasted, region


class Hosted(Settings):
    domain: Annotated[str, pasted(".tally.example", ".tally.test", refusal="the account's own name")] = Field(
        pattern=own_host(r"\.tally\.(example|test)")
    )


class Placed(Settings):
    center: Annotated[str, region({"us": "acme.com", "in": "acme.in", "au": "acme.com.au", "ca": "acmecloud.ca"})]


class OAuth(Settings):
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None


@pytest.mark.parametrize(
    ("told", "host"),
    [
        ("acme", "acme.tally.example"),
        (" https://user@ACME.tally.example/a/b?c ", "acme.tally.example"),
        ("acme.tally.test", "acme.tally.test"),
    ],
)
def test_pasted(told: str, host: str) -> None:
    assert Hosted(domain=told).domain == host


@pytest.mark.parametrize("told", ["crm.acme.example", "-a.tally.example", "a.b.tally.example", "", 7, None])
def test_no_such_host(told: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Hosted.model_validate({"domain": told})
    assert ("the account's own name" in str(refused.value)) == (told == "crm.acme.example" or told == "")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("us", "us"),
        (" IN ", "in"),
        (".in", "in"),
        ("com.au", "au"),
        ("com", "us"),
        ("ca", "ca"),
        ("acmecloud.ca", "ca"),
        ("https://crm.acme.com.au/a", "au"),
        ("desk.acme.in", "in"),
        ("desk.other.in", "desk.other.in"),
        ("mars", "mars"),
    ],
)
def test_region(told: str, code: str) -> None:
    assert Placed(center=told).center == code


def test_grant_of() -> None:
    whole = OAuth(client_id="id", client_secret=SecretStr("s"), refresh_token=SecretStr("r"))
    assert grant_of(whole, "https://x.example/token") == Grant("https://x.example/token", "id", "s", "r")
    assert grant_of(whole.model_copy(update={"client_secret": None}), "https://x.example/token") is None


def test_fingerprint() -> None:
    assert len(fingerprint("id\nr")) == 16
    assert fingerprint("id\nr") != fingerprint("id\ns")
