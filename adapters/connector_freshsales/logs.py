"""Call logs: their ids, what an answer says of a new one, and how one is found among a contact's activities."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connector.adapter import Ref, stamped

#: How an activity names what was done, without underscores and in small letters.
_OURS = ("call", "note", "salesactivity")


@dataclass(frozen=True, slots=True)
class LogId:
    """The id of a call log, `<call>/<note>/<contact or lead>/<its id>`: an update needs the note and its target.

    `head` is `note` or `activity` where the call was logged as such; `id` then is that record's.
    """

    head: str
    id: str
    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.head}/{self.id}/{self.kind}/{self.target}"

    @property
    def of(self) -> Ref:
        """The contact or lead."""
        return Ref("lead" if self.kind == "lead" else "contact", self.target)

    @classmethod
    def parse(cls, text: str) -> "LogId":
        """The id that `str` gave."""
        head, id_, kind, target = text.split("/")
        return cls(head, id_, kind, target)


def logged(body: Any, contact: Ref) -> LogId | None:
    """The call log that `POST /phone_calls` tells of; None where it is not on the contact, or has no note.

    An account that reads another format answers 200 all the same, and drops the target
    (docs/reference/freshsales.md §5).
    """
    calls = body.get("phone_calls") if isinstance(body, dict) else None
    call = calls[0] if calls else {}
    notes = body.get("notes") or [{}] if calls else [{}]
    note = call.get("note_id") or notes[0].get("id")
    if str((call.get("targetable") or {}).get("id")) != contact.id or note is None:
        return None
    return LogId(str(call["id"]), str(note), contact.kind, contact.id)


class Timeline:
    """One page of `GET /contacts/{id}/activities`.

    Its items name records, `actionable_type` and `actionable_id`; whether their words come along is not documented
    (§11), so they are read wherever they stand, and where they are missing nothing is concluded from it.
    """

    def __init__(self, body: Any) -> None:
        self._records = list(_records(body))
        self._items = [record for record in self._records if "actionable_type" in record]
        self._body = body

    @property
    def has_next(self) -> bool:
        """Whether older activities are on a next page."""
        return bool((self._body.get("meta") or {}).get("has_next"))

    @property
    def is_untold(self) -> bool:
        """Whether there is a call, note or sales activity whose words are missing."""
        return not all(map(self._is_told, self._items))

    def log_with(self, key: str, contact: Ref) -> LogId | None:
        """The call log whose words carry the key."""
        for record in self._records:
            if "id" not in record:
                continue
            if isinstance(record.get("notes"), str) and stamped(key, record["notes"]):
                return LogId("activity", str(record["id"]), contact.kind, contact.id)
            if stamped(key, _words(record)):
                calls = (str(call["id"]) for call in self._records if _note_of(call) == str(record["id"]))
                return LogId(next(calls, "note"), str(record["id"]), contact.kind, contact.id)
        return None

    def _is_told(self, item: dict[str, Any]) -> bool:
        done = str(item["actionable_type"]).lower().replace("_", "")
        if not any(word in done for word in _OURS):
            return True
        id_ = str(item.get("actionable_id"))
        ids = {id_, *(_note_of(call) for call in self._records if "call" in done and str(call.get("id")) == id_)}
        return any(
            str(record.get("id")) in ids and (_words(record) or isinstance(record.get("notes"), str))
            for record in self._records
        )


def _note_of(call: dict[str, Any]) -> str | None:
    return str(call["note_id"]) if "id" in call and call.get("note_id") is not None else None


def _words(record: dict[str, Any]) -> str:
    return str(record.get("description") or record.get("html_content") or "")


def _records(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a body, side-loaded ones included."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _records(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _records(inner)
