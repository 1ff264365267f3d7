"""What an adapter may do wrongly in trouble."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from connector.adapter import Caller, Checked, Entry, Kind, Ref
from connector.errors import CrmError, CrmUnavailable, NotFound, OutcomeUnknown, RateLimited, Rejected
from tests.kit.broken import caught_by
from tests.kit.toy import Toy

log = logging.getLogger(__name__)


@caught_by("test_bad_credentials_are_refused", "DID NOT RAISE")
class AsksNobody(Toy):
    async def check(self) -> Checked:
        return Checked(self.settings.domain)


@caught_by("test_read_statuses", "no error, but None")
class SwallowsErrors(Toy):
    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        try:
            return await super().find_by_key(kind, key, parent)
        except CrmError:
            return None


@caught_by("test_write_statuses", "no error, but Ref")
class TakesErrorsForSuccess(Toy):
    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        try:
            return await super().create_ticket(key, contact, entry)
        except OutcomeUnknown:
            return Ref("ticket", "0")


@caught_by("test_write_statuses", "under 503: CrmUnavailable")
class SureOfNothing(Toy):
    """Says that a 503 wrote nothing, which nobody promised."""

    errors: ClassVar[Mapping[tuple[int, str | None], type[CrmError]]] = {(503, None): CrmUnavailable}


@caught_by("test_write_statuses", "changing a note under 404: no error")
class GoneIsFine(Toy):
    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        try:
            await super().update_note(key, note, entry)
        except NotFound:
            return


@caught_by("test_refusals", "names the parts ()")
class NamesNoParts(Toy):
    def error_words(self, body: Any) -> dict[str, str]:
        return {}


@caught_by("test_retry_after_is_read", "lost Retry-After")
class IgnoresRetryAfter(Toy):
    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        try:
            return await super().create_ticket(key, contact, entry)
        except RateLimited as error:
            raise RateLimited("Too many requests.") from error


@caught_by("test_a_hung_write_is_unsure", "CrmUnavailable")
class SureOfSilence(Toy):
    async def post_message(self, key: str, conversation: Ref, entry: Entry) -> Ref:
        try:
            return await super().post_message(key, conversation, entry)
        except OutcomeUnknown as error:
            raise CrmUnavailable("Nothing came back, so nothing was done.") from error


@caught_by("test_a_hung_read_is_not", "OutcomeUnknown")
class UnsureOfReads(Toy):
    async def list_agents(self) -> Any:
        try:
            return await super().list_agents()
        except CrmUnavailable as error:
            raise OutcomeUnknown("Who knows.") from error


@caught_by("test_a_write_is_sent_once", "wrote 2 times under 400")
class TriesAgain(Toy):
    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        try:
            return await super().create_ticket(key, contact, entry)
        except Rejected:
            return await super().create_ticket(key, contact, Entry(entry.subject, entry.text, entry.html))


@caught_by("test_a_lost_answer_is_found", "the conversation was done, and not found")
class StampsLater(Toy):
    """Writes the key with a second request, which a lost answer prevents."""

    async def open_conversation(self, key: str, contact: Ref, entry: Entry) -> Ref:
        made = await self.make("conversation", None, contact, {**self.words(entry), "html": entry.html})
        await self.http.put(f"conversations/{made.id}", self.note(key, entry))
        return made


@caught_by("test_tells_no_secret_and_no_number", "a number is told")
class LeaksTheKey(Toy):
    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        try:
            return await super().create_contact("exotel:919876543210", caller, name)
        except Rejected as error:
            raise Rejected(f"No contact was made for {caller.e164} ({key}).") from error


@caught_by("test_tells_no_secret_and_no_number", "a secret is told")
class LogsHeaders(Toy):
    def headers(self) -> dict[str, str]:
        headers = super().headers()
        log.debug("request", extra={"headers": headers})
        return headers


@caught_by("test_tells_no_secret_and_no_number", "a secret is told")
class ShowsItself(Toy):
    def __repr__(self) -> str:
        return f"ShowsItself({self.headers()})"
