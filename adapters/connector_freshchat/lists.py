"""What Freshchat lists: pages of records, a user's newest conversations, a conversation's messages (reference §8)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from connector.adapter import CrmHttp
from connector.errors import CannotTell
from connector_freshchat.wire import carries

#: The most that clients are seen to ask for; no maximum is documented.
ROWS: Mapping[str, str] = {"items_per_page": "50"}
#: Pages of messages that are read in search of one.
_PAGES = 10
#: So many conversations of a user are looked at.
_NEWEST = 4


async def listed(http: CrmHttp, name: str) -> AsyncIterator[dict[str, Any]]:
    """All rows of a list of the account: `agents`, `channels`."""
    page, pages = 1, 1
    while page <= pages:
        rows = await http.get(name, {"page": str(page), **ROWS})
        for row in rows[name]:
            yield row
        page, pages = page + 1, _pages(rows)


async def newest(http: CrmHttp, user: str) -> AsyncIterator[dict[str, Any]]:
    """A user's newest conversations, newest first, each loaded, since the list tells their ids only.

    Nothing tells the list's order either (§4.2): the two at its ends do. A user who is gone has none.
    """
    path = f"users/{user}/conversations"
    answer = await http.read(path, {"page": "1", **ROWS}, accept=(404,))
    ids = [] if answer.status == 404 else [row["id"] for row in answer.body["conversations"]]
    ends = {id_: await http.get(f"conversations/{id_}") for id_ in dict.fromkeys(ids[:1] + ids[-1:])}
    if ids and _created(ends[ids[0]]) < _created(ends[ids[-1]]):
        pages = _pages(answer.body)
        if pages > 1:  # oldest first: the newest are on the last page
            last = await http.get(path, {"page": str(pages), **ROWS})
            ids += [row["id"] for row in last["conversations"]]
        ids.reverse()
    for id_ in ids[:_NEWEST]:
        yield ends.get(id_) or await http.get(f"conversations/{id_}")


async def message_with(http: CrmHttp, key: str, conversation: str) -> str | None:
    """The id of the message that carries the key. Raises `CannotTell` where there are too many to read."""
    path = f"conversations/{conversation}/messages?page=1&items_per_page={ROWS['items_per_page']}"
    for _ in range(_PAGES):
        answer = await http.read(path, accept=(404,))  # where the conversation is gone, so is the message
        messages = [] if answer.status == 404 else answer.body["messages"]
        for message in messages:
            if carries(key, message):
                return str(message["id"])
        href = (answer.body.get("link") or {}).get("href") if messages else None
        if not href:
            return None
        path = href.partition("/v2/")[2]  # the link is a path from the host on (§5)
    raise CannotTell(f"The conversation has more than {_PAGES * int(ROWS['items_per_page'])} messages.")


def _created(conversation: Mapping[str, Any]) -> str:
    return str(conversation.get("created_time") or "")


def _pages(rows: Mapping[str, Any]) -> int:
    return int((rows.get("pagination") or {}).get("total_pages") or 1)
