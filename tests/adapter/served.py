"""Answers in turn, in place of a CRM."""

from collections.abc import Container, Mapping
from typing import Any, cast

from connector.adapter import Answer, CrmHttp


class Served:
    """Gives its answers one after the other, and keeps what was asked for."""

    def __init__(self, *answers: Any) -> None:
        self._answers = [one if isinstance(one, Answer) else Answer(200, {}, one) for one in answers]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.accepted: list[Container[int]] = []

    @property
    def http(self) -> CrmHttp:
        """These answers as what an adapter speaks through."""
        return cast(CrmHttp, self)

    async def read(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        bucket: str = "all",
        accept: Container[int] = (),
    ) -> Answer:
        self.asked.append((path, dict(query or {})))
        self.accepted.append(accept)
        return self._answers.pop(0)
