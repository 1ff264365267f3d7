"""Every public error, grouped by what happens next.

Each error has two messages: `message` is for the tenant (what happened, what to change) and is stored and shown;
`str(error)` is for the log. Neither carries a secret, a phone number in full, a recording link or a hook token.
"""

from collections.abc import Mapping
from typing import Literal


class ConnectorError(Exception):
    """Base of all errors below."""

    def __init__(self, message: str, *, log: str | None = None) -> None:
        super().__init__(log or message)
        self.message = message


# --- refused when it is saved, or at start: never retried ---


class ConfigError(ConnectorError):
    """A setting is missing or impossible. `field` is its path in the file: `tenants[0].connections[1].settings`."""

    def __init__(self, message: str, *, field: str | None = None, log: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}", log=log)
        self.field = field


# --- answered with a 4xx: counted, nothing is queued ---


class IngressError(ConnectorError):
    """Exotel's request cannot be read, or does not come from whom it says.

    `code` is one of the codes of the API's error body (`no_call_sid`, `unknown_event`, `unreadable`, ...); `field` is
    the parameter at fault, None where there is no single one.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class Declined(ConnectorError):
    """What somebody asked for is not done: it is wrong, not allowed, or refused by Exotel. Nothing happened.

    `code` and `field` are those of the API's error body; `retry_at` (Unix seconds) is when it may be asked again, where
    time alone mends it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        *,
        retry_at: float | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(message, log=log)
        self.code = code
        self.field = field
        self.retry_at = retry_at


# --- a CRM (or Exotel's API) said no, or nothing ---


class CrmError(ConnectorError):
    """Base of what a request to a CRM can end in. `status` is the HTTP status, None where no answer came."""

    def __init__(self, message: str, *, status: int | None = None, log: str | None = None) -> None:
        super().__init__(message, log=log)
        self.status = status


class CrmUnavailable(CrmError):
    """Nothing was written; try again later, not before `retry_after_s` seconds where that is told."""

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None, log: str | None = None
    ) -> None:
        super().__init__(message, status=status, log=log)
        self.retry_after_s = retry_after_s


class RateLimited(CrmUnavailable):
    """The account's quota is used up, by the CRM's word (429) or by our own count. Nothing was written."""


class OutcomeUnknown(CrmError):
    """A write left and no verdict came back (time-out, reset, 5xx). It is looked up by key before it is repeated."""


class AuthFailed(CrmError):
    """The credentials were refused. The connection pauses, its work is kept, the tenant is asked for new ones."""


class Rejected(CrmError):
    """The CRM refused this content, in its words.

    `parts` names what it objected to, as parts of the entry: `agent`, `fields.<CRM field>`, `tags`, `subject`, `html`,
    `contact`. Optional parts are left out once; anything else makes the step dead until somebody changes something.
    """

    def __init__(
        self,
        message: str,
        *,
        parts: tuple[str, ...] = (),
        words: Mapping[str, str] | None = None,
        status: int | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(message, status=status, log=log)
        self.parts = parts
        self.words = dict(words or {})


#: Why Exotel refused: `kyc` and `inactive` (the account), `no_credit`, `dnd` (the customer does not take calls),
#: `caller_id` (not an ExoPhone of the account), `number` (From or To), `not_running` (the call or leg is over),
#: `device_unverified`, `device_conflict`, `not_a_phone`, `not_enabled` (a feature), `parameter`, `other`.
RefusedFor = Literal[
    "kyc",
    "inactive",
    "no_credit",
    "dnd",
    "caller_id",
    "number",
    "not_running",
    "device_unverified",
    "device_conflict",
    "not_a_phone",
    "not_enabled",
    "parameter",
    "other",
]


class ExotelRefused(Rejected):
    """Exotel's API refused a request: nothing was done. `message` has its words and what to do next.

    `why` tells the cases apart; `code` is Exotel's own (`34009`, `10810`), None where it sent none.
    """

    def __init__(
        self,
        message: str,
        *,
        why: RefusedFor,
        code: str | None = None,
        status: int | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(message, status=status, log=log)
        self.why = why
        self.code = code


class NotFound(CrmError):
    """A record that we hold a `Ref` to is gone (404)."""


class CannotTell(CrmError):
    """A look-up by key that proves nothing; the unsure write waits, or follows the option `unsure`."""


# --- ours ---


class LeaseLost(ConnectorError):
    """The claim ended before the bytes left: nothing was sent, whoever holds the claim now goes on."""


class StoreBusy(ConnectorError):
    """The store did not take the write in time (disk full, locked): answered 503, never 200."""
