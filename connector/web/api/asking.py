"""How a request is read: its query or body as a model, the idempotency key, cursors."""

import base64
import json
from typing import Any, Final

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from connector.web.answers import Refused
from connector.web.body import read_body

IDEMPOTENCY_KEY: Final = "Idempotency-Key"


async def read(request: web.Request, model: type[BaseModel], *, with_query: bool) -> BaseModel:
    """The query, or the body where there may be one, as a model; `with_query`: what stands in the query counts beside
    the body. Raises `Refused` that names the field."""
    try:
        if request.method in (hdrs.METH_GET, hdrs.METH_DELETE):
            return model.model_validate(dict(request.query))
        asked = model.model_validate_json(await read_body(request))
        if not with_query or not request.query:
            return asked
        return model.model_validate({**asked.model_dump(exclude_unset=True, by_alias=True), **request.query})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("unreadable", "The body is not JSON.") from None
        raise Refused("invalid", first["msg"], ".".join(map(str, first["loc"])) or None) from None


def idempotency_key(request: web.Request) -> str | None:
    """The client's own word for this one wish."""
    return request.headers.get(IDEMPOTENCY_KEY)


def new_cursor(*values: float) -> str:
    """Where the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *types: type) -> Any:
    """The values of a cursor, None where there is none. Raises `Refused`."""
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if [type(value) for value in values] == list(types):
            return tuple(values)
    except (ValueError, TypeError):
        pass
    raise Refused("invalid", "This is no cursor of this list.", "cursor")
