"""URLs to paste, and the rotation of their token."""

from dataclasses import replace

import pytest

from connector.exotel.parse import kind_of
from connector.exotel.urls import URLS
from connector.simulate.target import parse_target
from connector.tenants import urls
from tests.rig.shop import Shop

pytestmark = pytest.mark.usefixtures("both_databases")

BASE = "https://calls.example.com"


def test_capability_urls_carry_no_key(shop: Shop) -> None:
    found = dict(urls.hook_urls(shop.tenant, BASE))
    assert found["Connect: Create popup"] == f"{BASE}/h/hook-token/pop"
    assert found["Connect: Passthru if nobody answers"] == f"{BASE}/h/hook-token/missed"
    assert found["IVR menu: Passthru after each key"] == f"{BASE}/h/hook-token/ivr?ivr_tag_1=LABEL"
    assert not any("demo_" in url for url in found.values())


def test_every_applet_names_an_event_that_is_known() -> None:
    for applet in urls.APPLETS:
        kind_of(applet.event)


def test_every_documented_url_is_one_that_the_service_answers() -> None:
    served = {url.path for url in URLS}
    for dialect in urls.DIALECTS:
        for _, path in dialect.urls:
            assert path.partition("?")[0] in served


def test_documented_urls_name_a_place_for_the_key_unless_the_door_is_open(shop: Shop) -> None:
    freshdesk, freshworks, _ = urls.DIALECTS
    assert dict(urls.dialect_urls(shop.tenant, BASE, freshworks))["Connect: Create popup"] == (
        "https://API_KEY:API_TOKEN@calls.example.com/pop/exotel535"
    )
    shop.apply(ingress={"open": True, "allow_from": ["anyone"]})
    assert dict(urls.dialect_urls(shop.tenant, BASE, freshworks))["Connect: Create popup"] == f"{BASE}/pop/exotel535"
    assert "API_KEY" in dict(urls.dialect_urls(shop.tenant, BASE, freshdesk))["Connect: Create popup"]


def test_the_dialect_of_the_tenants_crm_comes_first(shop: Shop) -> None:
    shop.apply(
        connections=[{"name": "desk", "adapter": "freshdesk", "settings": {"domain": "acme", "api_key": "crm-key"}}]
    )
    text = "\n".join(urls.describe(shop.tenant, replace(shop.config, public_url=BASE)))
    assert text.index("Freshdesk connector") < text.index("Zoho connector")
    assert "CONNECTOR_PUBLIC_URL" not in text
    for secret in ("demo_key", "demo_token", "crm-key"):
        assert secret not in text


def test_without_a_public_url_the_output_says_so(shop: Shop) -> None:
    text = "\n".join(urls.describe(shop.tenant, shop.config))
    assert "CONNECTOR_PUBLIC_URL is not set" in text
    assert "http://127.0.0.1:8080/h/hook-token/pop" in text


def test_rotation_replaces_the_token_for_good(shop: Shop) -> None:
    shop.db.transact(urls.rotate, shop.box, "exotel535")
    rotated = shop.tenant.hook_token.get_secret_value()
    assert rotated != "hook-token"
    shop.apply()
    assert shop.tenant.hook_token.get_secret_value() == rotated


def test_a_printed_url_is_one_that_simulate_takes(shop: Shop) -> None:
    for _, url in urls.hook_urls(shop.tenant, BASE):
        assert parse_target(url).dialect == "hook"
