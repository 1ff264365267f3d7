"""What requests to a stand-in carry: JSON objects, parts of forms, pages of a list."""

import json
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast

from aiohttp import web

from connector.kit.standin.account import Refused


async def json_object(request: web.Request, refused: Refused) -> dict[str, Any]:
    """The body, a JSON object. Raises `refused` where it is none."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refused
    return body


def paging(request: web.Request, size: str, refused: Refused, *, default: int, most: int) -> tuple[int, int]:
    """The number of the page that is asked for, from 1, and how many rows it has; `size` is the parameter's name.

    Raises `refused` where they are no numbers or out of range.
    """
    page, rows = request.query.get("page", "1"), request.query.get(size, str(default))
    if not (page.isdecimal() and rows.isdecimal() and int(page) >= 1 and 1 <= int(rows) <= most):
        raise refused
    return int(page), int(rows)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form of several: a value, or a file where it has a name."""

    name: str
    filename: str | None
    content_type: str
    content: bytes = field(repr=False)


async def parts_of(request: web.Request) -> list[Part]:
    """The parts of a `multipart/form-data` body; none where it is no such body.

    `Request.post` would leave files open where the client does not wait for the answer, as some faults have it.
    """
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + await request.read())
    parts = message.get_payload() if message.is_multipart() else []
    return [
        Part(
            str(part.get_param("name", "", "content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in cast(list[Any], parts)
    ]


async def file_of(request: web.Request, field_: str, refused: Refused) -> tuple[str, int]:
    """Name and size, in bytes, of the file that is the whole form. Raises `refused` where the form is anything else."""
    parts = await parts_of(request)
    if [part.name for part in parts] != [field_] or parts[0].filename is None:
        raise refused
    return parts[0].filename, len(parts[0].content)
