"""Headers that tell an account's quota."""

import pytest

from connector.adapter import Quota, QuotaHeaders

PER_MS = QuotaHeaders(("Max",), "Left", per="Interval")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, {}),
        ({"X-RateLimit-Total": "200"}, {"all": Quota(None, 200, 60.0)}),
        ({"X-RateLimit-Total": "200.0", "X-RateLimit-Remaining": " 41 "}, {"all": Quota(41, 200, 60.0)}),
        ({"X-RateLimit-Remaining": "41"}, {"all": Quota(remaining=41)}),
        ({"X-RateLimit-Total": "many", "X-RateLimit-Remaining": "41"}, {}),
        ({"X-RateLimit-Total": "-1", "X-RateLimit-Remaining": "41"}, {}),
    ],
)
def test_quota(headers: dict[str, str], told: dict[str, Quota]) -> None:
    assert QuotaHeaders().quota(headers) == told


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Max": "100", "Left": "7", "Interval": "10000"}, {"all": Quota(7, 100, 10.0)}),
        ({"Max": "100", "Left": "7"}, {"all": Quota(7, 100, None)}),
    ],
)
def test_a_header_tells_the_time(headers: dict[str, str], told: dict[str, Quota]) -> None:
    assert PER_MS.quota(headers) == told


@pytest.mark.parametrize(("total", "per_s"), [("400", 60.0), ("1000", 3600.0)])
def test_the_time_follows_from_the_total(total: str, per_s: float) -> None:
    headers = QuotaHeaders(("Total", "Limit"), per=lambda total: 60.0 if total == 400 else 3600.0)
    assert headers.quota({"Limit": total}) == headers.quota({"Total": total, "Limit": "7"})
    assert headers.quota({"Limit": total}) == {"all": Quota(None, int(total), per_s)}
