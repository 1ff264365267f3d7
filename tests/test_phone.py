"""Numbers: what Exotel spells, what people read, what CRMs store (docs/reference/exotel.md §2.1)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.adapter import Caller
from connector.phone import Spelling, caller_of, display, is_number, is_sip, parse_number

ALL: tuple[Spelling, ...] = ("e164", "trunk_zero", "digits", "national")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # §2.1: flow requests, trunk zero, mobiles and landlines alike
        ("09876543210", "+919876543210"),
        ("08660500001", "+918660500001"),
        ("08046800001", "+918046800001"),
        ("02247789996", "+912247789996"),
        ("01130830000", "+911130830000"),
        # §2.1: API responses
        ("+919876543210", "+919876543210"),
        ("+6591234567", "+6591234567"),
        ("+12025550123", "+12025550123"),
        # §2.1: CallTo and PhoneNumberSid can lack the zero
        ("8039513882", "+918039513882"),
        ("8224778996", "+918224778996"),
        # docs/reference/exotel-flows.md §4.2.1: the voicemail ticket's subject has 91 without plus
        ("919345055107", "+919345055107"),
        # §2.1: a raw + decoded to a blank
        (" 919876543210", "+919876543210"),
        (" 91 98765 43210", "+919876543210"),
        (" 6591234567", "+6591234567"),
        (" 09876543210", "+919876543210"),
        # docs/reference/exotel-flows.md §5.19: 000 before a mobile number
        ("0009052161119", "+919052161119"),
        ("000919052161119", "+919052161119"),
        # international prefix, trunk zero kept behind the country code, tel:
        ("00919876543210", "+919876543210"),
        ("+9109876543210", "+919876543210"),
        ("006591234567", "+6591234567"),
        ("tel:+919876543210", "+919876543210"),
        # separators people type
        ("098765-43210", "+919876543210"),
        ("(080) 4680 0001", "+918046800001"),
        ("080-39511111", "+918039511111"),
        # possible, though in no range the library knows
        ("+911234567890", "+911234567890"),
        # toll free
        ("18001234567", "+9118001234567"),
        # §2.1: sip: verbatim
        ("sip:Alice", "sip:Alice"),
        ("sip:08040408080", "sip:08040408080"),
        (" sip:alice@acme.example ", "sip:alice@acme.example"),
        # text that is no number, as it is: withheld callers, masked samples, short codes, SIDs
        ("anonymous", "anonymous"),
        ("+91941374XXXX", "+91941374XXXX"),
        ("0113083XXXX", "0113083XXXX"),
        ("155260", "155260"),
        ("0", "0"),
        ("0000000000", "0000000000"),
        ("+", "+"),
        ("3f0e8f2c-8b0a-4d5e-9a37-5d2f7c1f7c11", "3f0e8f2c-8b0a-4d5e-9a37-5d2f7c1f7c11"),
        ("12345678901234567890123456789012", "12345678901234567890123456789012"),
        # §2.3: nothing told
        (None, None),
        ("", None),
        ("   ", None),
        ("null", None),
        ("None", None),
        ("undefined", None),
    ],
)
def test_parse_number(text: str | None, expected: str | None) -> None:
    assert parse_number(text, "IN") == expected


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("91234567", "SG", "+6591234567"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("1 202 555 0123", "US", "+12025550123"),
        ("07400123456", "GB", "+447400123456"),
        ("081234567890", "id", "+6281234567890"),
        ("+919876543210", "nowhere", "+919876543210"),
        ("09876543210", "nowhere", "09876543210"),
    ],
)
def test_parse_number_of_other_countries(text: str, country: str, expected: str) -> None:
    assert parse_number(text, country) == expected


@given(st.text(max_size=40), st.sampled_from(["IN", "SG", "US", "", "XX"]))
def test_parsing_never_raises_and_is_stable(text: str, country: str) -> None:
    once = parse_number(text, country)
    assert once is None or parse_number(once, country) == once


@given(st.from_regex(r"[ +]?[0-9 ().\-]{0,22}", fullmatch=True))
@example("430000")
def test_digits_become_e164_or_stay(text: str) -> None:
    number = parse_number(text, "IN")
    assert number is None or is_number(number) or number == text.strip()


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("+918884643606", "IN", "08884643606"),  # docs/reference/exotel-flows.md §4.2.1: the ticket's subject
        ("08884643606", "IN", "08884643606"),
        ("+918046800001", "IN", "08046800001"),
        ("+911234567890", "IN", "01234567890"),
        ("+911041137359", "IN", "01041137359"),  # in no range the library knows
        ("+9118001234567", "IN", "18001234567"),  # toll-free numbers have no trunk zero
        ("+6591234567", "IN", "+6591234567"),
        ("+6591234567", "SG", "91234567"),
        ("+12025550123", "US", "2025550123"),
        ("+14165550123", "US", "+14165550123"),  # Canada shares the code
        ("+447400123456", "GB", "07400123456"),
        ("+390236618300", "IT", "0236618300"),  # the zero belongs to the number
        ("sip:alice", "IN", "sip:alice"),
        ("anonymous", "IN", "anonymous"),
        (None, "IN", "Withheld number"),
        ("null", "IN", "Withheld number"),
    ],
)
def test_display(number: str | None, country: str, expected: str) -> None:
    assert display(number, country) == expected


def test_caller_at_home() -> None:
    caller = caller_of("+918884643606", "IN", ALL, "national")
    assert caller == Caller(
        key="918884643606",
        text="08884643606",
        e164="+918884643606",
        spellings=("+918884643606", "08884643606", "918884643606", "8884643606"),
        saved="8884643606",
    )


def test_spellings_keep_the_order_and_have_no_doubles() -> None:
    assert caller_of("+6591234567", "SG", ALL, "trunk_zero").spellings == ("+6591234567", "91234567", "6591234567")
    assert caller_of("+918884643606", "IN", ("national", "e164"), "e164").spellings == ("8884643606", "+918884643606")
    assert caller_of("+918884643606", "IN", (), "e164").spellings == ()


@pytest.mark.parametrize(
    ("save_as", "saved"),
    [("e164", "+918884643606"), ("digits", "918884643606"), ("trunk_zero", "08884643606")],
)
def test_saved(save_as: Spelling, saved: str) -> None:
    assert caller_of("08884643606", "IN", ALL, save_as).saved == saved


def test_caller_abroad_is_not_looked_up_by_bare_national_digits() -> None:
    # 7025550123 is a number of Las Vegas and, with ten digits, of an Indian mobile's length
    caller = caller_of("+17025550123", "IN", ("national", "trunk_zero", "digits"), "national")
    assert caller.spellings == ("+17025550123", "17025550123")
    assert caller.saved == caller.text == "+17025550123"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("sip:alice", Caller(key="sip:alice", text="sip:alice", spellings=("sip:alice",), saved="sip:alice")),
        ("anonymous", Caller(key="anonymous", text="anonymous", saved="anonymous")),
        ("155260", Caller(key="155260", text="155260", spellings=("155260",), saved="155260")),
        (None, Caller(key="withheld", text="Withheld number", saved="Withheld number")),
    ],
)
def test_callers_without_a_number(number: str | None, expected: Caller) -> None:
    assert caller_of(number, "IN", ALL, "e164") == expected


def test_looks() -> None:
    assert is_number("+919876543210")
    assert not any(map(is_number, (None, "", "919876543210", "+91941374XXXX", "sip:alice", "+12")))
    assert is_sip("SIP:alice")
    assert is_sip("sips:alice")
    assert not any(map(is_sip, (None, "", "sip", "alice")))
