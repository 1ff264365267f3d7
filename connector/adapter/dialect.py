"""What the HTTP client must know of a CRM: where it is, how a request proves itself, what its answers mean."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic

from pydantic import SecretStr

from connector.adapter.quotas import QuotaHeaders
from connector.adapter.records import Grant, Home, Quota
from connector.adapter.settings import S
from connector.errors import CrmError


class Dialect(ABC, Generic[S]):
    """One CRM account, as the HTTP client sees it."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: Seconds until a request is given up.
    timeout_s: ClassVar[float] = 20.0
    #: (status, the body's code) -> error; looked at before the general table of `CrmHttp`. Code None fits every body.
    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {}
    #: The member of an error body that `error_code` reads.
    code_key: ClassVar[str] = "code"
    #: Headers that tell the account's quota; None where `quota` reads others, or there are none.
    quota_headers: ClassVar[QuotaHeaders | None] = None
    #: How an access token is written into the header `Authorization`, for adapters with a `grant`.
    authorization: ClassVar[str] = "Bearer {token}"

    def __init__(self, settings: S, home: Home) -> None:
        self.settings = settings
        self.home = home

    @property
    @abstractmethod
    def root(self) -> str:
        """URL that request paths are relative to, ending in `/`, with `settings.base_url` applied (see `at`)."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Headers of every request, credentials included; what a `grant` gives is added by `CrmHttp`."""

    def grant(self) -> Grant | None:
        """What access tokens are fetched with; None where `headers` holds all the credentials."""
        return None

    def at(self, url: str) -> str:
        """`url` with scheme, host and port of `settings.base_url`, where that is set; the path stays."""
        base = self.settings.base_url
        if base is None:
            return url
        return base.rstrip("/") + re.sub(r"^https?://[^/]+", "", url)

    def quota(self, headers: Mapping[str, str]) -> Mapping[str, Quota]:
        """What an answer's headers tell about the account's quota, per bucket; header names compare case-blind."""
        return self.quota_headers.quota(headers) if self.quota_headers else {}

    def verdict(self, status: int, body: Any) -> int:
        """The status that an answer amounts to: some CRMs say 200 and refuse inside the body."""
        return status

    def error_code(self, body: Any) -> str | None:
        """The code inside an error body that `errors` is keyed by; `body` is decoded JSON, or text."""
        code = body.get(self.code_key) if isinstance(body, dict) else None
        return code if isinstance(code, str) else None

    def wait_s(self, body: Any) -> float | None:
        """Seconds that a refusal's body asks to wait, where no `Retry-After` tells; None where it does not say."""
        return None

    def error_words(self, body: Any) -> Mapping[str, str]:
        """An error body's own words: entry part (`agent`, `fields.cf_x`, `contact`, ...) or `""` -> message."""
        return {}

    def secrets(self) -> tuple[str, ...]:
        """What no text may repeat: the secrets among the settings, and the connector's own token."""
        values = [getattr(self.settings, name) for name in type(self.settings).model_fields]
        told = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        return tuple(filter(None, (*told, self.home.token)))
