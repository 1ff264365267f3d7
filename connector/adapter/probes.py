"""What `check` asks for to learn what the login may read, and what is lost where it may not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.adapter.http import Answer, CrmHttp
from connector.adapter.records import Checked
from connector.errors import AuthFailed, ConfigError


@dataclass
class Probe:
    """Reads that may be refused; `missing` gathers what to say about those that were."""

    http: CrmHttp
    #: Statuses that say that a right is missing.
    refused: tuple[int, ...] = (403,)
    missing: list[str] = field(default_factory=list)

    async def needed(self, path: str, query: Mapping[str, str] | None = None, *, lacks: str, absent: str = "") -> Any:
        """The body of a read that nothing works without. Raises `AuthFailed` where it is refused.

        `absent` is what a 404 says of the setting `domain`, as a `ConfigError`.
        """
        answer = await self._read(path, query, self.refused, absent)
        if answer.status >= 400:
            raise AuthFailed(lacks, status=answer.status)
        return answer.body

    async def wanted(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        lacks: str,
        absent: str = "",
        or_else: tuple[int, ...] = (),
    ) -> Any:
        """The body of a read that may be refused, with one of `or_else` as well; None where it is, and `lacks` is said.

        `absent` as in `needed`.
        """
        answer = await self._read(path, query, (*self.refused, *or_else), absent)
        if answer.status >= 400:
            self.missing.append(lacks)
            return None
        return answer.body

    def checked(self, account: str) -> Checked:
        """What `check` found."""
        return Checked(account, tuple(self.missing))

    async def _read(self, path: str, query: Mapping[str, str] | None, refused: tuple[int, ...], absent: str) -> Answer:
        answer = await self.http.read(path, query, accept=(*refused, 404) if absent else refused)
        if absent and answer.status == 404:
            raise ConfigError(absent, field="domain")
        return answer
