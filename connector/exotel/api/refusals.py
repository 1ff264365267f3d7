"""What an answer that is no success means: Exotel's statuses, codes and words -> an error with a next action."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from connector.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    CrmUnavailable,
    ExotelRefused,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    RefusedFor,
)
from connector.exotel.api.answers import Problem
from connector.outbound import retry_after

#: How long to wait after a 429 that does not say: the limit is one of a minute (docs/reference/exotel.md §6).
RETRY_UNTOLD_S: Final = 60.0

#: Exotel's codes (docs/reference/exotel.md §7, §8).
_BY_CODE: Final[Mapping[str, RefusedFor]] = {
    "40001": "no_credit",
    "40002": "inactive",
    "40003": "not_enabled",
    "340030": "kyc",
    "10809": "device_unverified",
    "10810": "device_conflict",
    "10811": "parameter",
    "10817": "not_a_phone",
}
#: Bad key, bad SID or resource, malformed key.
_AUTH_CODES: Final = frozenset({"34010", "34009", "34001"})
#: The SMS platform's own limit, which comes as 503: nothing was sent.
_LIMIT_CODES: Final = frozenset({"35006", "40405", "RATE_LIMIT_EXCEEDED"})

#: First that fits; several patterns of one reason where one would be hard to read.
_BY_WORDS: Final[tuple[tuple[RefusedFor, str], ...]] = (
    ("kyc", r"\bkyc\b"),
    ("dnd", r"\bndnc\b|\bdnd\b|do.not.(?:disturb|call)"),
    ("no_credit", r"recharge|plan.{0,20}expired"),
    ("no_credit", r"\b(?:insufficient|low|no|negative)\b.{0,12}\b(?:balance|credit|funds)"),
    ("inactive", r"account.{0,24}(?:inactive|suspended|disabled|deactivated)|inactive account"),
    ("caller_id", r"caller.?id\b|exophone|virtual number|company number"),
    ("not_running", r"not in.progress|leg.?sid does not exist|already (?:ended|completed|over|terminated)"),
    ("number", r"(?:phone.?number|'(?:from|to)'|\bnumbers?).{0,40}(?:invalid|missing|specified|not valid|wrong)"),
    ("number", r"(?:invalid|missing|no).{0,24}(?:phone.?number|\bnumber|'(?:from|to)')"),
    ("not_enabled", r"not (?:enabled|allowed|permitted|supported|subscribed|configured)"),
    ("parameter", r"invalid|missing|malformed|mandatory|required"),
)

_NEXT: Final[Mapping[RefusedFor, str]] = {
    "kyc": "Complete the account's KYC in Exotel's dashboard.",
    "inactive": "The Exotel account is not active: ask Exotel to activate it.",
    "no_credit": "Recharge the Exotel account, or renew its plan.",
    "dnd": "This number takes no such calls or messages (NDNC); nothing can be done here.",
    "caller_id": "Set caller_id to an ExoPhone of this account; Exotel's dashboard lists them.",
    "number": "Correct the phone number: E.164, as +919876543210.",
    "not_running": "The call or this leg of it is over.",
    "device_unverified": "Verify the device in Exotel's dashboard first.",
    "device_conflict": "Another device of this user is on: switch it off first.",
    "not_a_phone": "Only a phone can be switched like this; this device is none.",
    "not_enabled": "Ask Exotel (hello@exotel.com) to enable this for the account.",
    "parameter": "Exotel does not take these values.",
    "other": "See Exotel's words; where they do not help, ask Exotel's support.",
}


def error_of(
    status: int, headers: Mapping[str, str], problem: Problem | None, *, writes: bool, discreet: Callable[[str], str]
) -> CrmError | ConfigError:
    """The error of an answer. `status` is HTTP's; where that is a success, what the body says counts.

    `writes`: the request changes something, so that a 5xx leaves it open whether it did.
    """
    problem = problem or Problem()
    # 400 with "Status 404, No matching results" is an unknown Sid; 200 with it too (docs/reference/exotel.md §6.3, §7)
    status = status if status >= 300 and not (status == 400 and problem.status == 404) else (problem.status or 404)
    words = discreet(problem.words)
    said = f" ({words})" if words else ""
    text = f"Exotel answered {status}{said}."
    log = f"exotel answered {status} {problem.code or ''}".rstrip()
    if 300 <= status < 400:
        return ConfigError("Exotel answers with a redirect: the address in api_url is not the one of its API.", log=log)
    if status == 429 or problem.code in _LIMIT_CODES:
        waits_s = retry_after(headers)
        return RateLimited(text, status=status, retry_after_s=RETRY_UNTOLD_S if waits_s is None else waits_s, log=log)
    if status in (408, 425) or status >= 500:
        if writes:
            return OutcomeUnknown(text, status=status, log=log)
        return CrmUnavailable(text, status=status, retry_after_s=retry_after(headers), log=log)
    why = _why(status, problem)
    if status == 401 or problem.code in _AUTH_CODES or (status == 403 and why is None):
        return AuthFailed(f"{text} Check sid, api_key and api_token, and what this key may do.", status=status, log=log)
    if status in (404, 410) and why not in ("not_running", "not_enabled"):
        return NotFound(text, status=status, log=log)
    why = why or "other"
    return ExotelRefused(
        f"Exotel refused it{said or f' ({status})'}. {_NEXT[why]}", why=why, code=problem.code, status=status, log=log
    )


def _why(status: int, problem: Problem) -> RefusedFor | None:
    by_code = _BY_CODE.get(problem.code or "")
    if by_code is not None:
        return by_code
    if status == 402:
        return "no_credit"
    return next((why for why, words in _BY_WORDS if re.search(words, problem.words, re.IGNORECASE)), None)
