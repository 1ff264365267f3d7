"""How Freshchat writes messages, numbers and refusals."""

import re
from collections.abc import Mapping
from typing import Any

from connector.adapter import Entry, signed, stamped

#: No limit of a message is documented; the reference advises to stay below 4000 characters
#: (docs/reference/freshchat.md §8).
_LONGEST = 3900
#: The connector's own link to a recording, wherever it stands in the text.
_RECORDING = re.compile(r"https?://\S+/r/[0-9a-f]{32}\.\S+")
_NUMBER = re.compile(r"[+\d\s().\-/]+")
_PROPERTY = re.compile(r"\bcf_\w+|\bpriority\b|\bassigned_group_id\b")
_OLD = "not the latest conversation"
#: Code that `error_code` gives to the refusal of a message for a conversation that a newer one followed.
NOT_LATEST = "NOT_LATEST_CONVERSATION"


def is_number(text: str) -> bool:
    """Whether this is a number that a user may have as `phone`; a `sip:` address and words are not."""
    return bool(_NUMBER.fullmatch(text)) and any(map(str.isdecimal, text))


def same_phone(phone: str | None, spelling: str) -> bool:
    """Whether a user's number ends in the same ten digits: nothing tells if the filter compares all of it (§3.1)."""
    return bool(phone) and _last(str(phone)) == _last(spelling)


def _last(number: str) -> str:
    return re.sub(r"\D", "", number)[-10:]


def parts(key: str, entry: Entry) -> list[dict[str, Any]]:
    """`message_parts`: the entry's text with the key as its last line, and a button where a recording is linked."""
    text = entry.text.strip()
    room = _LONGEST - len(signed("", key)) - 1
    if len(text) > room:
        text = text[: room - 1].rstrip() + "…"
    made: list[dict[str, Any]] = [{"text": {"content": signed(text, key)}}]
    if recording := _RECORDING.search(entry.text):
        made.append({"url_button": {"label": "View recording", "url": recording[0], "target": "_blank"}})
    return made


def carries(key: str, message: Mapping[str, Any]) -> bool:
    """Whether a message was written with this key. Only its last line counts: what stands above may be a caller's."""
    texts = ((part.get("text") or {}).get("content") or "" for part in message.get("message_parts") or ())
    return any(stamped(key, text.rstrip().rpartition("\n")[2]) for text in texts)


def conversation_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The tenant's `fields` as members of a new conversation; an empty value leaves its field alone."""
    told = {name: value.strip() for name, value in fields.items() if value.strip()}
    group = told.pop("assigned_group_id", None)
    return ({"assigned_group_id": group} if group else {}) | ({"properties": told} if told else {})


def code_of(body: Any) -> str | None:
    """The `status` of an error body; a code of our own where only the words tell what happened."""
    if not isinstance(body, dict):
        return None
    if _OLD in str(body.get("message")).casefold():
        return NOT_LATEST
    return body["status"] if isinstance(body.get("status"), str) else None


def words_of(body: Any) -> dict[str, str]:
    """An error body's message under the part of the entry that it is about, as far as its words tell.

    Freshchat names no field: `{"code": 404, "status": "AGENT_NOT_FOUND", "message": "agent not found"}` (§7).
    """
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        return {}
    message = body["message"]
    said = f"{body.get('status')} {message}".casefold()
    if found := _PROPERTY.search(said):
        return {f"fields.{found[0]}": message}
    if re.search(r"(?:\b|_)(?:agent|actor)(?:\b|_)", said):
        return {"agent": message}
    return {"contact" if re.search(r"(?:\b|_)users?(?:\b|_)", said) else "": message}
