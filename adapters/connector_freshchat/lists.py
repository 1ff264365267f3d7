"""What Freshchat lists: pages of records, a user's newest conversations, a conversation's messages.

See docs/reference/freshchat.md §8.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from connector.adapter import CrmHttp, Page, Pages, by_number
from connector_freshchat.wire import carries

#: What a first page is asked for with: the most that clients are seen to ask for, no maximum is documented.
FIRST: Mapping[str, str] = {"page": "1", "items_per_page": "50"}
#: So many conversations of a user are looked at.
_NEWEST = 4


def _total(body: Mapping[str, Any]) -> int:
    return int((body.get("pagination") or {}).get("total_pages") or 1)


def _older(page: Page) -> str | None:
    href = (page.answer.body.get("link") or {}).get("href") if page.rows else None
    return href.partition("/v2/")[2] if href else None  # the link is a path from the host on (§5)


#: Lists of the account: `agents`, `channels`.
LISTS = Pages(FIRST, by_number(lambda page: page.number < _total(page.answer.body)), most=None)
_MESSAGES = Pages(FIRST, _older, "messages", longer="The conversation has more than {seen} messages.")


async def newest(http: CrmHttp, user: str) -> AsyncIterator[dict[str, Any]]:
    """A user's newest conversations, newest first, each loaded, since the list tells their ids only.

    Nothing tells the list's order either (§4.2): the two at its ends do. A user who is gone has none.
    """
    path = f"users/{user}/conversations"
    answer = await http.read(path, FIRST, accept=(404,))
    ids = [] if answer.status == 404 else [row["id"] for row in answer.body["conversations"]]
    ends = {id_: await http.get(f"conversations/{id_}") for id_ in dict.fromkeys(ids[:1] + ids[-1:])}
    if ids and _created(ends[ids[0]]) < _created(ends[ids[-1]]):
        pages = _total(answer.body)
        if pages > 1:  # oldest first: the newest are on the last page
            last = await http.get(path, {**FIRST, "page": str(pages)})
            ids += [row["id"] for row in last["conversations"]]
        ids.reverse()
    for id_ in ids[:_NEWEST]:
        yield ends.get(id_) or await http.get(f"conversations/{id_}")


async def message_with(http: CrmHttp, key: str, conversation: str) -> str | None:
    """The id of the message that carries the key. Raises `CannotTell` where there are too many to read."""
    # where the conversation is gone, so is the message
    async for message in _MESSAGES.rows(http, f"conversations/{conversation}/messages", accept=(404,)):
        if carries(key, message):
            return str(message["id"])
    return None


def _created(conversation: Mapping[str, Any]) -> str:
    return str(conversation.get("created_time") or "")
