"""The one HTTP client that adapters speak through: credentials, budget, deadline, status -> typed error, redaction.

Reads are retried here, briefly; a write is sent once and tried again by the journal alone. Whether a failed write may
have had an effect is decided by how far it got: nothing left -> `CrmUnavailable`, something left and no verdict came ->
`OutcomeUnknown`.
"""

import json
import time
from collections.abc import Container, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential
from yarl import URL

from connector.adapter.dialect import Dialect
from connector.adapter.oauth import MemoryTokens, Tokens
from connector.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    CrmUnavailable,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from connector.observe import metrics
from connector.observe.redact import HIDDEN, mask_numbers, redact
from connector.outbound import Progress, lost, passing, retry_after, whole

#: Monotonic time before which the bytes of a write must leave: the end of the claim minus the CRM's settling time.
send_before: ContextVar[float | None] = ContextVar("send_before", default=None)

#: How long to wait after a 429 that does not say (Freshdesk's, seen without the header).
_RETRY_UNTOLD_S = 60.0
#: A read that failed is repeated only while this little time has gone: somebody may be waiting, and a claim ends.
_REPEAT_READS_FOR_S = 10.0
#: How long `CrmHttp.known` remembers.
_KNOWN_S = 3600.0


class Budget(Protocol):
    """The account's gate, as the client sees it."""

    async def spend(self, bucket: str) -> None:
        """Takes one request from the bucket, waiting briefly for its turn. Raises `RateLimited` where that is long."""

    def learn(self, headers: Mapping[str, str]) -> None:
        """Reads what an answer tells of the quota."""

    def blocked(self, bucket: str, for_s: float) -> None:
        """The CRM answered 429: nothing in this bucket for so many seconds."""


class Unlimited:
    """A budget that never refuses: for `check`, and for tests of adapters."""

    async def spend(self, bucket: str) -> None:
        return

    def learn(self, headers: Mapping[str, str]) -> None:
        return

    def blocked(self, bucket: str, for_s: float) -> None:
        return


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: `body` is decoded JSON, or text, or None where it was empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


class CrmHttp:
    """What an adapter sees as `self.http`. Paths are relative to the adapter's `root`.

    Raises `CrmUnavailable` and `RateLimited` (nothing was written), `OutcomeUnknown` (a write may have been),
    `AuthFailed`, `Rejected`, `NotFound`, `LeaseLost`, `ConfigError` (a redirect, a private address; nothing written).
    """

    def __init__(self, client: aiohttp.ClientSession, budget: Budget, tokens: Tokens | None = None) -> None:
        self._client = client
        self._budget = budget
        self._tokens = tokens or MemoryTokens(client)
        self._adapter: Dialect[Any] | None = None
        #: Path and query -> when it is asked again (monotonic), and the answer.
        self._known: dict[str, tuple[float, Answer]] = {}

    def bind(self, adapter: Dialect[Any]) -> None:
        """Names the adapter whose root, headers and error tables apply."""
        self._adapter = adapter

    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        bucket: str = "all",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded body of a read."""
        return (await self.read(path, query, bucket=bucket, headers=headers)).body

    async def read(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        bucket: str = "all",
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
    ) -> Answer:
        """A read with its headers; repeated twice on a passing fault. `accept`: statuses that are an answer here."""
        begun = time.monotonic()
        try:
            return await self._send("GET", path, query=query, bucket=bucket, headers=headers, accept=accept)
        except CrmUnavailable as error:  # rare: to set the retrying below up costs as much as a request
            left_s = begun + _REPEAT_READS_FOR_S - time.monotonic()
            if not passing(error) or left_s <= 0:
                raise
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(passing),
            stop=stop_after_attempt(2) | stop_after_delay(left_s),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        ):
            with attempt:
                return await self._send("GET", path, query=query, bucket=bucket, headers=headers, accept=accept)
        raise AssertionError("unreachable: tenacity reraises")  # pragma: no cover

    async def post(self, path: str, body: Any = None, *, bucket: str = "all", **how: Any) -> Any:
        """The decoded body of a write; `how` as in `write`."""
        return (await self.write("POST", path, body, bucket=bucket, **how)).body

    async def put(self, path: str, body: Any = None, *, bucket: str = "all", **how: Any) -> Any:
        """The decoded body of a write; `how` as in `write`."""
        return (await self.write("PUT", path, body, bucket=bucket, **how)).body

    async def patch(self, path: str, body: Any = None, *, bucket: str = "all", **how: Any) -> Any:
        """The decoded body of a write; `how` as in `write`."""
        return (await self.write("PATCH", path, body, bucket=bucket, **how)).body

    async def known(self, path: str, query: Mapping[str, str] | None = None, *, accept: Container[int] = ()) -> Answer:
        """A read of what an account seldom changes, such as the names of its fields; remembered for an hour."""
        place = path + "?" + urlencode(query or {})
        kept = self._known.get(place)
        if kept is None or time.monotonic() >= kept[0]:
            answer = await self.read(path, query, accept=accept)
            kept = self._known[place] = (time.monotonic() + _KNOWN_S, answer)
        return kept[1]

    async def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        form: aiohttp.FormData | None = None,
        bucket: str = "all",
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
    ) -> Answer:
        """One request that changes something: `body` as JSON, or `form` as a form. Sent once, before the claim ends.

        `accept` names statuses that are an answer here and no error, such as a 409 that tells which record is there.
        """
        return await self._send(
            method, path, query=query, body=body, form=form, bucket=bucket, headers=headers, accept=accept
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        bucket: str = "all",
    ) -> Any:
        """The decoded body of a read that the API wants as POST (a search): it changes nothing, so is never unsure."""
        return (await self._send(method, path, query=query, body=body, bucket=bucket, writes=False)).body

    def refusal(self, answer: Answer, *, bucket: str = "all") -> CrmError | ConfigError:
        """The error that a write's answer is after all, whose status `accept` let pass."""
        if self._adapter is None:
            raise RuntimeError("CrmHttp.bind was not called")
        return self._error(self._adapter, answer.status, answer.headers, answer.body, writes=True, bucket=bucket)

    async def _send(self, method: str, path: str, **how: Any) -> Answer:
        adapter = self._adapter
        if adapter is None:
            raise RuntimeError("CrmHttp.bind was not called")
        grant = adapter.grant()
        if grant is None:
            return await self._sent(adapter, method, path, **how)
        token = await self._tokens.token(grant)
        try:
            return await self._sent(adapter, method, path, token=token, **how)
        except AuthFailed as error:
            # Some CRMs end a token before its time, for instance when too many are out; a 401 wrote nothing.
            if error.status != 401:
                raise
            return await self._sent(adapter, method, path, token=await self._tokens.token(grant, refused=token), **how)

    async def _sent(
        self,
        adapter: Dialect[Any],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        form: aiohttp.FormData | None = None,
        bucket: str = "all",
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
        writes: bool | None = None,
        token: str | None = None,
    ) -> Answer:
        writes = method != "GET" if writes is None else writes
        await self._budget.spend(bucket)
        # urlencode writes `+` as %2B; yarl alone would leave a raw plus, which CRMs read as a blank.
        url = adapter.root + path + ("?" + urlencode(query) if query else "")
        data: Any = form
        sent_headers = {"Accept": "application/json", **adapter.headers(), **(headers or {})}
        if token is not None:
            sent_headers["Authorization"] = adapter.authorization.format(token=token)
        if body is not None:
            # "replace": a lone surrogate, which some client's text may hold, is no UTF-8
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            sent_headers["Content-Type"] = "application/json"
        begun = time.monotonic()
        status: int | None = None
        progress = Progress(send_before.get() if writes else None, has_body=data is not None)
        try:
            async with self._client.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=sent_headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=adapter.timeout_s, connect=min(10.0, adapter.timeout_s)),
                trace_request_ctx=progress,
            ) as response:
                raw = await whole(response)
                status, answered = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError, LeaseLost) as error:
            # aiohttp's errors may quote the URL, and with it a number: they are named by their type only.
            if progress.stopped and not progress.left:
                raise LeaseLost("The claim ended before the request left.") from None
            raise lost(error, "The CRM", unsure=writes and progress.left) from None
        finally:
            metrics.crm_answered(adapter.name, status, time.monotonic() - begun)
        self._budget.learn(answered)
        decoded = _decode(raw)
        if isinstance(decoded, str) and status < 300 and "html" in answered.get("Content-Type", ""):
            # somebody's page on the way (maintenance, a proxy) instead of the API: no verdict, whatever the status says
            raise lost(aiohttp.ClientPayloadError(), "The CRM", unsure=writes)
        status = adapter.verdict(status, decoded)
        if 200 <= status < 300 or status in accept:
            return Answer(status, answered, decoded)
        raise self._error(adapter, status, answered, decoded, writes=writes, bucket=bucket)

    def _error(
        self, adapter: Dialect[Any], status: int, headers: Mapping[str, str], body: Any, *, writes: bool, bucket: str
    ) -> CrmError | ConfigError:
        code = adapter.error_code(body)
        kind = adapter.errors.get((status, code)) or adapter.errors.get((status, None))
        if kind is None and 300 <= status < 400:
            # never followed: it would carry the credentials elsewhere
            return ConfigError(
                f"{adapter.title} answers with a redirect: the address in the settings is not the one of its API "
                "(a host name of your own does not work here).",
                log=f"{adapter.name} answered {status}",
            )
        kind = kind or _general(status, writes=writes)
        words = {part: _discreet(text, adapter)[:300] for part, text in adapter.error_words(body).items()}
        said = "; ".join(f"{part}: {text}" if part else text for part, text in words.items())
        text = f"{adapter.title} answered {status}" + (f" ({said[:500]})" if said else "") + "."
        logged = f"{adapter.name} answered {status} {code or ''}".rstrip()
        if issubclass(kind, CrmUnavailable):
            wait_s = retry_after(headers)
            wait_s = adapter.wait_s(body) if wait_s is None else wait_s
            if issubclass(kind, RateLimited):
                wait_s = _RETRY_UNTOLD_S if wait_s is None else wait_s
                self._budget.blocked(bucket, wait_s)
            return kind(text, status=status, retry_after_s=wait_s, log=logged)
        if issubclass(kind, Rejected):
            return kind(text, parts=tuple(part for part in words if part), words=words, status=status, log=logged)
        return kind(text, status=status, log=logged)


def _discreet(text: str, adapter: Dialect[Any]) -> str:
    """A CRM's words without what it repeats of ours: a key, a number."""
    for secret in adapter.secrets():
        text = text.replace(secret, HIDDEN)
    return mask_numbers(redact(text))


def _general(status: int, *, writes: bool) -> type[CrmError]:
    if status in (401, 403):
        return AuthFailed
    if status in (404, 410):
        return NotFound
    if status == 429:
        return RateLimited
    if status in (408, 425) or status >= 500:
        return OutcomeUnknown if writes else CrmUnavailable
    return Rejected


def _decode(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):  # no JSON, or nested to make us fail
        return raw.decode("utf-8", "replace")
