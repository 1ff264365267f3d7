"""Numbers: Exotel's spellings in, E.164 within, the spellings that people read and CRMs store out.

Exotel writes one number in many ways, mixed within one request: national with a trunk zero, national without it,
E.164, E.164 whose `+` a query string turned into a blank, `sip:` addresses (docs/reference/exotel.md §2.1). Everything
else here compares E.164. Rules of a country come from `phonenumbers`; answers are cached, since a request names the
same few numbers several times and a tenant's agents and ExoPhones come back with every call.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

#: How a number may be written; contacts are looked up by some of these.
Spelling = Literal["e164", "digits", "national", "trunk_zero"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The customer's number in the spellings that CRMs store, or text where there is none."""

    #: Stable identity within a connection: digits of the E.164 number, the `sip:` address, other text, or `withheld`.
    key: str
    #: What people read: `08884643606`, `+6591234567`, `sip:alice`, `Withheld number`; `…3606` where `masked`.
    text: str
    #: `+918884643606`; None where the caller has no number.
    e164: str | None = None
    #: What contacts are looked up by, likeliest first (option `find_by`); empty where there is no number to look for.
    spellings: tuple[str, ...] = ()
    #: How the number of a new contact is written (option `save_as`); `text` where there is no number.
    saved: str = ""
    #: The tenant wants customers' numbers in no words: a contact's name included, its number field excepted.
    masked: bool = False


WITHHELD = "Withheld number"

_CACHED = 16384
_NONE = frozenset({"", "null", "none", "undefined"})
# Letters are kept out on purpose: the library reads them off a keypad (`+91941374XXXX` would become a number).
_DIALLED = re.compile(r"\+?\(?[0-9][0-9 ().\-/]*")
#: What a CRM may keep of a number, however it is spelled.
DIGITS = re.compile(r"[+\d\s().\-/]+")
_SEPARATORS = re.compile(r"[ ().\-/]")
# The longest that E.164 allows, with room for `000` or an international prefix; more is a SID, not a number.
_MOST_DIGITS = 20


@lru_cache(maxsize=_CACHED)
def parse_number(text: str | None, country: str) -> str | None:
    """A number as Exotel spells it -> E.164; `sip:` addresses and text that is no number as they are.

    `country` is the ISO code that numbers without a country code belong to. None where nothing is told: empty, or the
    literal `null`, `none`, `undefined` (docs/reference/exotel.md §2.1, §2.3). Never raises.
    """
    if text is None:
        return None
    told = text.strip()
    if told.lower() in _NONE:
        return None
    number = _number(text, country)
    return told if number is None else phonenumbers.format_number(number, PhoneNumberFormat.E164)


def is_number(number: str | None) -> bool:
    """Whether `number`, as `parse_number` gives it, is E.164; a SID, a `sip:` address and other text are not."""
    return number is not None and number.startswith("+") and number[1:].isdecimal() and 7 < len(number) < 17


def is_sip(number: str | None) -> bool:
    """Whether `number` is a SIP address."""
    return number is not None and number[:5].lower().startswith(("sip:", "sips:"))


def alike(number: object, digits: re.Pattern[str] = DIGITS) -> str | None:
    """What a CRM's spelling of a number is compared by: digits without leading zeros; other text without its case.

    Knows no country: `0888...` and `+91888...` differ, so that each of a caller's spellings is compared. `digits` is
    what counts as a number.
    """
    text = str(number or "").strip()
    return (re.sub(r"\D", "", text).lstrip("0") if digits.fullmatch(text) else text.casefold()) or None


def display(number: str | None, country: str) -> str:
    """What people read: national digits with the trunk zero for numbers of `country`, else E.164.

    `08884643606`, `+6591234567`; `sip:` addresses and text verbatim; `Withheld number` where there is none.
    """
    told = parse_number(number, country)
    if told is None:
        return WITHHELD
    return spellings_of(told, country).get("trunk_zero", told)


def caller_of(number: str | None, country: str, find_by: Sequence[Spelling], save_as: Spelling) -> Caller:
    """The customer's number in the spellings that a CRM is searched by (`find_by`, order kept) and stores (`save_as`).

    `national` and `trunk_zero` of a number abroad mean its E.164 form: its bare national digits may well be the number
    of somebody else at home, and the CRM's contact found by them would be the wrong person.
    A `sip:` address is looked up as it is; text that is no number and a withheld number are not looked up.
    """
    told = parse_number(number, country)
    if told is None:
        return Caller(key="withheld", text=WITHHELD, saved=WITHHELD)
    forms = spellings_of(told, country)
    if not forms:
        # A short code (`155260`) can be a contact's number; `anonymous` cannot.
        searched = (told,) if is_sip(told) or told.isdecimal() else ()
        return Caller(key=told, text=told, spellings=searched, saved=told)
    return Caller(
        key=forms["digits"],
        text=forms["trunk_zero"],
        e164=told,
        spellings=tuple(dict.fromkeys(forms[spelling] for spelling in find_by)),
        saved=forms[save_as],
    )


@lru_cache(maxsize=_CACHED)
def spellings_of(e164: str, country: str) -> dict[Spelling, str]:
    """Every spelling of an E.164 number; empty where it is none. `country`: whose numbers are written nationally."""
    number = _number(e164, country) if is_number(e164) else None
    if number is None:
        return {}
    forms: dict[Spelling, str] = {"e164": e164, "digits": e164[1:], "national": e164, "trunk_zero": e164}
    region = country.upper()
    # Countries may share a code (+1): the number is at home unless the library knows better.
    if phonenumbers.country_code_for_region(region) == number.country_code and phonenumbers.region_code_for_number(
        number
    ) in (region, None):
        forms["national"] = phonenumbers.national_significant_number(number)
        forms["trunk_zero"] = _with_trunk_prefix(number, region)
    return forms


def _with_trunk_prefix(number: PhoneNumber, region: str) -> str:
    """National digits as people dial them at home: the library's national format without its separators."""
    national = "".join(filter(str.isdecimal, phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)))
    # Number ranges newer than the library's data have no format there, and so no zero.
    if not phonenumbers.is_valid_number(number) and phonenumbers.ndd_prefix_for_region(region, True) == "0":
        return "0" + phonenumbers.national_significant_number(number)
    return national


def _number(text: str, country: str) -> PhoneNumber | None:
    """The number that `text` spells, the likeliest reading first; None where there is no possible one."""
    told = text.strip()
    if told[:4].lower() == "tel:":
        told = told[4:]
    if not _DIALLED.fullmatch(told):
        return None
    digits = _SEPARATORS.sub("", told)
    if len(digits) > _MOST_DIGITS:
        return None
    # A valid reading is better than a possible one, wherever it stands among the readings.
    possible = None
    for reading in _readings(digits, blank_before=text[0].isspace()):
        try:
            number = phonenumbers.parse(reading, country.upper())
        except phonenumbers.NumberParseException:
            continue
        if not is_number(phonenumbers.format_number(number, PhoneNumberFormat.E164)):
            continue  # `430000` is no number of Austria's because 43 is: nothing so short is dialled from abroad
        if phonenumbers.is_valid_number(number):
            return number
        if possible is None and _is_possible(number):
            possible = number
    return possible


def _is_possible(number: PhoneNumber) -> bool:
    """Whether a subscriber's number has this length; service numbers vary so much that anything would fit."""
    return any(
        phonenumbers.is_possible_number_for_type_with_reason(number, kind) == ValidationResult.IS_POSSIBLE
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
    )


def _readings(digits: str, *, blank_before: bool) -> list[str]:
    """Ways to read digits, likeliest first."""
    if digits.startswith("+"):
        return [digits]
    readings = [digits]
    if digits.startswith("0"):
        if digits.startswith("00"):
            readings.append("+" + digits[2:])
        # The handbook's examples put `000` before a mobile number (docs/reference/exotel-flows.md §5.19).
        readings += ["0" + digits.lstrip("0"), digits.lstrip("0")]
    elif blank_before:
        # An unencoded `+` of a query string arrives as a blank (docs/reference/exotel-flows.md §5.1).
        readings.insert(0, "+" + digits)
    else:
        readings.append("+" + digits)
    return readings
