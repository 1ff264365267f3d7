"""A recorded CRM: a folder with one JSON file per exchange, answered as it was recorded and not otherwise.

```json
{"recorded": "2025-03-02", "source": "https://developers.tallydesk.example/v2/contacts",
 "request": {"method": "GET", "path": "/v2/contacts", "query": [["phone", "9876543210"]], "body": null},
 "response": {"status": 200, "headers": {}, "body": {"contacts": []}}}
```
`source` is the sandbox, or the page of the docs that shows the exchange. A request is answered by the first file (in
order of names) that fits it and was not used yet, else by the last one that fits; so a list that grows is two files.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

_BOUNDARY = re.compile(rb"boundary=\"?([^\";]+)")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedRequest(_Strict):
    """What the adapter sends; `body` is decoded JSON, or text without the boundaries of a form's parts."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, StringConstraints(pattern="^/")]
    query: list[tuple[str, str]] = Field(default_factory=list)
    body: Any = None


class RecordedResponse(_Strict):
    """What the CRM answers; `body` is JSON, or text where the CRM's type says so."""

    status: int = Field(ge=200, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None


class Recording(_Strict):
    """One file."""

    recorded: date
    source: str = Field(min_length=1)
    request: RecordedRequest
    response: RecordedResponse

    def fits(self, request: RecordedRequest) -> bool:
        """Whether this is the answer to the request; the order of query parameters is of no meaning."""
        mine = self.request
        return (mine.method, mine.path, mine.body, sorted(mine.query)) == (
            request.method,
            request.path,
            request.body,
            sorted(request.query),
        )


class Replay:
    """Serves recordings. `unrecorded` and `unused` say what did not fit; both are empty where all went as recorded."""

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        self._recordings = dict(sorted(recordings.items()))
        self._used: set[str] = set()
        self.unrecorded: list[str] = []

    @classmethod
    def of(cls, folder: Path) -> "Replay":
        """The recordings of a folder. Raises `ValueError`, which names the file that is no recording."""
        found = {}
        for path in sorted(folder.glob("*.json")):
            try:
                found[path.name] = Recording.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise ValueError(f"{path.name} is no recording: {error}") from None
        if not found:
            raise ValueError(f"there are no recordings in {folder}")
        return cls(found)

    @property
    def unused(self) -> Sequence[str]:
        """Files that no request asked for."""
        return [name for name in self._recordings if name not in self._used]

    def app(self) -> web.Application:
        """The recorded CRM."""
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def answer(self, request: RecordedRequest) -> RecordedResponse | None:
        """The recorded answer, None where there is none."""
        fitting = [name for name, recording in self._recordings.items() if recording.fits(request)]
        if not fitting:
            return None
        name = next((name for name in fitting if name not in self._used), fitting[-1])
        self._used.add(name)
        return self._recordings[name].response

    async def _answer(self, request: web.Request) -> web.Response:
        content_type = request.headers.get("Content-Type", "")
        asked = RecordedRequest.model_validate(
            {
                "method": request.method,
                "path": request.path,
                "query": list(request.query.items()),
                "body": body_of(await request.read(), content_type),
            }
        )
        answer = self.answer(asked)
        if answer is None:
            self.unrecorded.append(asked.model_dump_json())
            # A status that is neither retried nor taken for something that a CRM says.
            return web.json_response({"message": "unrecorded"}, status=418)
        if answer.body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        raw = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", **answer.headers}
        return web.Response(status=answer.status, headers=headers, body=raw)


def body_of(raw: bytes, content_type: str) -> Any:
    """A request's body as recordings hold it."""
    if not raw:
        return None
    if "json" in content_type:
        return json.loads(raw)
    if boundary := _BOUNDARY.search(content_type.encode()):
        raw = raw.replace(boundary[1], b"boundary")
    return raw.decode("utf-8", "replace")
