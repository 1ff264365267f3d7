"""Recordings: which links may be followed, and the files behind them (docs/design.md §8, docs/reference/exotel.md §9).

A caller cannot choose a recording link, but whoever knows a hook's URL can: a link elsewhere is left out, and every hop
of a redirect is checked again. Credentials go to the host that the link names and to no other. Files are private: the
account's key and token open them, or a link that Exotel signed for some minutes; such a link is asked for when it is
needed, followed and forgotten.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from pydantic import SecretStr
from yarl import URL

from connector.errors import ConfigError, ConnectorError

_HOSTS = frozenset({"recordings.exotel.com", "recordings.mum1.exotel.com"})
#: The bucket of old records (docs/reference/exotel.md §9); it takes no credentials of ours.
_OLD_BUCKET = "s3-ap-southeast-1.amazonaws.com"
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~/+@:-]*")
#: Where Exotel may redirect to, over https.
_ONWARD: Final = (".exotel.com", ".amazonaws.com", ".cloudfront.net")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=5, sock_read=30)
_PIECE: Final = 64 * 1024
_AUDIO: Final = re.compile(r"audio/[a-z0-9][a-z0-9.+-]{0,60}")
#: What S3 says of a file whose kind nobody told it: the name's ending tells it then.
_UNTOLD: Final = frozenset({"application/octet-stream", "binary/octet-stream"})
_BY_NAME: Final = {".mp3": "audio/mpeg", ".wav": "audio/wav"}
#: Longest that a whole file is read for.
_FILE_S: Final = 40.0

#: Asks Exotel for a link that it signs; None where the account has none.
Signed = Callable[[], Awaitable[str | None]]
#: Why a recording cannot be had: it is not there (yet); the account's keys are refused; it is no audio; it leads where
#: nothing is fetched from; Exotel does not answer; it is larger than wanted.
Why = Literal["absent", "unauthorized", "not_audio", "elsewhere", "unavailable", "too_large"]


class RecordingTrouble(ConnectorError):
    """A recording cannot be had now. `retry_after_s`: Exotel's word for when to come again."""

    def __init__(self, why: Why, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.why: Why = why
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Account:
    """Whose recordings: the Account SID, its keys, and the operator's own addresses."""

    sid: str
    api_key: SecretStr
    api_token: SecretStr
    api_url: str | Mapping[str, str] | None = None
    #: Further `host` or `host:port` that a recording may redirect to.
    recording_hosts: tuple[str, ...] = ()

    @property
    def own_origins(self) -> frozenset[tuple[str, str]]:
        """(scheme, host and port) of `api_url`."""
        own = [self.api_url] if isinstance(self.api_url, str) else list((self.api_url or {}).values())
        return frozenset((urlsplit(base).scheme, urlsplit(base).netloc) for base in own)


@dataclass(slots=True)
class Opened:
    """A recording's answer: 200, 206 or 416. `headers` are those of it that a client needs."""

    status: int
    mime: str
    size: int | None
    headers: Mapping[str, str]
    _response: aiohttp.ClientResponse = field(repr=False)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content, as it comes, never more than a piece ahead. Raises `RecordingTrouble` where it breaks off."""
        try:
            async for piece in self._response.content.iter_chunked(_PIECE):
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise RecordingTrouble("unavailable", "Exotel broke the recording off.") from None


@dataclass(frozen=True, slots=True)
class File:
    """A whole recording."""

    content: bytes = field(repr=False)
    mime: str


def allowed(url: str, sid: str, api_url: str | Mapping[str, str] | None = None) -> bool:
    """Whether `url` is a recording of the account `sid`, at Exotel or at the operator's own `api_url`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.fragment:
        return False
    path = unquote(parts.path)
    if not _PLAIN_PATH.fullmatch(path) or "/.." in path or "//" in path:
        return False
    if not path.startswith(f"/exotelrecordings/{sid}/"):
        return False
    if parts.scheme == "https" and port in (None, 443) and parts.hostname in (*_HOSTS, _OLD_BUCKET):
        return True
    own = [api_url] if isinstance(api_url, str) else list((api_url or {}).values())
    return any((parts.scheme, parts.netloc) == urlsplit(base)[:2] for base in own)


def leads_on(url: str, account: Account) -> bool:
    """Whether a redirect, or a link that Exotel signed, may lead to `url`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.scheme not in ("http", "https"):
        return False
    if (parts.scheme, parts.netloc) in account.own_origins or parts.netloc.lower() in account.recording_hosts:
        return True
    return parts.scheme == "https" and port in (None, 443) and f".{host}".endswith(_ONWARD)


@asynccontextmanager
async def opened(
    session: aiohttp.ClientSession,
    account: Account,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    signed: Signed | None = None,
) -> AsyncIterator[Opened]:
    """Opens a recording; `headers` may hold Range and If-Range. On leaving, the connection to Exotel is closed unless
    everything was read. Raises `RecordingTrouble`.
    """
    if not allowed(url, account.sid, account.api_url):
        raise RecordingTrouble("elsewhere", "The link does not lead to Exotel's recordings of this account.")
    response = await _followed(session, account, url, headers or {}, with_keys=urlsplit(url).hostname != _OLD_BUCKET)
    try:
        if response.status in (401, 403) and signed is not None and (link := await signed()) is not None:
            response.close()
            if not leads_on(link, account):
                raise RecordingTrouble("elsewhere", "The link that Exotel signed does not lead to its recordings.")
            response = await _followed(session, account, link, headers or {}, with_keys=False)
        yield _read_head(response, url)
    finally:
        response.close()


async def whole(
    session: aiohttp.ClientSession, account: Account, url: str, *, at_most: int, signed: Signed | None = None
) -> File:
    """A whole recording of at most so many bytes. Raises `RecordingTrouble`."""
    large = RecordingTrouble("too_large", f"The recording is larger than {at_most // (1024 * 1024)} MB.")
    try:
        async with asyncio.timeout(_FILE_S), opened(session, account, url, signed=signed) as found:
            if found.size is not None and found.size > at_most:
                raise large
            content = bytearray()
            async for piece in found.pieces():
                content += piece
                if len(content) > at_most:
                    raise large
    except TimeoutError:
        raise RecordingTrouble("unavailable", "Exotel took too long to give the recording.") from None
    if not content:
        raise RecordingTrouble("absent", "The recording is empty.")
    return File(bytes(content), found.mime)


async def _followed(
    session: aiohttp.ClientSession, account: Account, url: str, headers: Mapping[str, str], *, with_keys: bool
) -> aiohttp.ClientResponse:
    """The answer at the end of the redirects, its content unread."""
    keys = f"{account.api_key.get_secret_value()}:{account.api_token.get_secret_value()}"
    basic = {"Authorization": f"Basic {b64encode(keys.encode()).decode()}"}
    # Compressed audio could not be passed on by ranges.
    sent = {"Accept": "audio/*", "Accept-Encoding": "identity", **headers}
    for _ in range(1 + _MOST_REDIRECTS):
        try:
            response = await session.get(
                URL(url, encoded=True),
                headers=sent | basic if with_keys else sent,
                allow_redirects=False,
                timeout=_TIMEOUT,
            )
        except ConfigError as error:  # a private address
            raise RecordingTrouble("elsewhere", "The recording leads to a private address.") from error
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise RecordingTrouble("unavailable", "Exotel's recordings could not be reached.") from None
        if response.status not in _REDIRECTS:
            return response
        response.close()
        onward = _joined(url, response.headers.get("Location", ""))
        if onward is None or not leads_on(onward, account):
            raise RecordingTrouble("elsewhere", "The recording redirects to a host that nothing is fetched from.")
        with_keys = with_keys and _origin(onward) == _origin(url)
        url = onward
    raise RecordingTrouble("elsewhere", f"The recording redirects more than {_MOST_REDIRECTS} times.")


def _joined(url: str, location: str) -> str | None:
    try:
        return urljoin(url, location)
    except ValueError:
        return None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _read_head(response: aiohttp.ClientResponse, url: str) -> Opened:
    status = response.status
    if status in (403, 404, 410):
        # 403 as well: the bucket tells a stranger no more of a file that is not there (docs/reference/exotel.md §9)
        raise RecordingTrouble("absent", "Exotel has no such recording, or not yet.")
    if status == 401:
        raise RecordingTrouble("unauthorized", "Exotel refuses the account's API key for its recordings.")
    if status == 416:
        return Opened(status, "", None, _passed(response), response)
    if status not in (200, 206):
        wait = response.headers.get("Retry-After", "")
        raise RecordingTrouble(
            "unavailable", f"Exotel answered {status}.", retry_after_s=float(wait) if wait.isdecimal() else None
        )
    mime = response.content_type.lower()
    if mime in _UNTOLD:
        mime = _BY_NAME.get(urlsplit(url).path[-4:].lower(), mime)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if not _AUDIO.fullmatch(mime) or encoding != "identity":
        raise RecordingTrouble("not_audio", "Exotel sent something that is no recording.")
    return Opened(status, mime, response.content_length, _passed(response), response)


def _passed(response: aiohttp.ClientResponse) -> dict[str, str]:
    names = ("Accept-Ranges", "Content-Range", "ETag", "Last-Modified")
    return {name: response.headers[name] for name in names if name in response.headers}
