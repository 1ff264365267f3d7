"""Customers' numbers where people read them: only the last digits, where a tenant asks for that (`mask`).

Matching, calling and a contact's own number field are not words that people read a call by: they stay whole.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from connector.phone import WITHHELD, display, is_number, parse_number, spellings_of

#: What a tenant file says of customers' numbers.
Rule = Literal["whole", "last_2", "last_3", "last_4"]

_DIGITS: Final = re.compile(r"\+?\d{5,}")
#: Between two digits of a number that somebody wrote out: `+91 88846-43606`.
_GAP: Final = r"[\s().-]{0,2}"
#: A link that would lead nowhere with a digit less; its name is no word of the call's.
_LINKS: Final = frozenset({"recording_url", "recordingurl", "callrecordings", "url"})


@dataclass(frozen=True, slots=True)
class Mask:
    """How many digits at a number's end stay."""

    digits: int

    @classmethod
    def of(cls, rule: Rule | None) -> "Mask | None":
        """What a tenant's rule means; None: numbers are shown whole."""
        return None if rule is None or rule == "whole" else cls(int(rule.removeprefix("last_")))

    def number(self, number: str | None, country: str) -> str:
        """What people read in place of `phone.display`: `…3606`, `sip:…3606`; a word such as `sip:alice` stays."""
        told = parse_number(number, country)
        if told is None:
            return WITHHELD
        return _DIGITS.sub(lambda found: "…" + found[0][-self.digits :], told)

    def hidden(self, value: Any, numbers: Iterable[str], country: str) -> Any:
        """A JSON structure without these numbers (as `parse_number` gives them), whatever their spelling.

        Links to recordings stay: their names are Exotel's, and without them nobody hears the call.
        """
        patterns = tuple(_pattern(number, country) for number in dict.fromkeys(numbers) if _DIGITS.search(number))
        return self._hidden(value, patterns) if patterns else value

    def _hidden(self, value: Any, patterns: tuple[re.Pattern[str], ...]) -> Any:
        if isinstance(value, str):
            for pattern in patterns:
                value = pattern.sub(self._last, value)
            return value
        if isinstance(value, Mapping):
            return {
                key: below if str(key).lower() in _LINKS else self._hidden(below, patterns)
                for key, below in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._hidden(below, patterns) for below in value]
        return value

    def _last(self, found: re.Match[str]) -> str:
        return "…" + re.sub(r"\D", "", found[0])[-self.digits :]


def shown(number: str | None, country: str, mask: Mask | None) -> str:
    """A customer's number as people read it: `08884643606`, or `…3606` under a mask."""
    return display(number, country) if mask is None else mask.number(number, country)


@lru_cache(maxsize=4096)
def _pattern(number: str, country: str) -> re.Pattern[str]:
    """Finds a number in E.164, national, with trunk zeros, as digits, percent-encoded or written with gaps."""
    if not is_number(number):
        return re.compile(_spelt(max(_DIGITS.findall(number), key=len).lstrip("+")))
    forms = spellings_of(number, country)
    digits, national = number[1:], forms["national"].lstrip("+")
    code = digits.removesuffix(national) if digits.endswith(national) else ""
    plus = rf"(?:(?:\+|%2B|00){_GAP})?"
    before = rf"(?:{plus}{_spelt(code)}{_GAP})?" if code else plus
    return re.compile(rf"(?:(?<!\d)|(?<=%[0-9a-f]{{2}})){before}(?:0+{_GAP})?{_spelt(national)}(?!\d)", re.IGNORECASE)


def _spelt(digits: str) -> str:
    return _GAP.join(digits)
