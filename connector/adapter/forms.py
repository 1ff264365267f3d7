"""Forms that carry a file."""

import aiohttp


def file_form(
    field: str, name: str, content: bytes, mime: str, words: dict[str, str] | None = None, *, quoted: bool = True
) -> aiohttp.FormData:
    """A multipart form: `words`, then the file. Not `quoted`: names stay as they are, brackets included."""
    form = aiohttp.FormData(words or {}, quote_fields=quoted)
    form.add_field(field, content, filename=name, content_type=mime)
    return form
