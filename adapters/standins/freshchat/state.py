"""The records of one Freshchat account, kept as the JSON that the API gives back."""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from standins.freshchat.rules import refusal

from connector.kit.standin import Refused, StandinAccount
from connector.kit.standin.limits import Windows

Record = dict[str, Any]

AVNISH = "8b1f0a52-6a5c-4f0e-9d0b-0a5a7c9e1101"
MANISH = "8b1f0a52-6a5c-4f0e-9d0b-0a5a7c9e1102"
PRIYA = "8b1f0a52-6a5c-4f0e-9d0b-0a5a7c9e1103"
TOPIC = "3d2c1b0a-1111-4222-8333-944455556666"

_AGENTS = (
    (AVNISH, "Avnish", "Kumar", "+919711581199"),
    (MANISH, "Manish", "Singh", "+919810012345"),
    (PRIYA, "Priya", "Nair", ""),
)
_CHANNELS = (
    (TOPIC, "Phone-Exotel", "WEB"),
    ("3d2c1b0a-1111-4222-8333-944455557777", "Inbox", "WEB"),
    ("3d2c1b0a-1111-4222-8333-944455558888", "Support mail", "EMAIL"),
)
#: What a token may do where its scopes are not told.
ALL_SCOPES = frozenset(
    {"agent:read", "user:read", "user:create", "conversation:read", "conversation:create", "conversation:update"}
    | {"message:create", "message:get", "channel:read", "account:read"}
)


def _agents() -> dict[str, Record]:
    return {
        id_: {
            "id": id_,
            "first_name": first,
            "last_name": last,
            "email": f"{first.lower()}@acme.example",
            **({"phone": phone} if phone else {}),
            "is_deactivated": False,
            "is_deleted": False,
            "groups": [],
        }
        for id_, first, last, phone in _AGENTS
    }


def _channels() -> list[Record]:
    return [{"id": id_, "name": name, "source": source, "enabled": True} for id_, name, source in _CHANNELS]


@dataclass
class Account(StandinAccount):
    """One account. Whatever is public may be changed while it runs."""

    domain: str = "acme-810075555-1a2b3c4d.freshchat.com"
    #: Token -> its scopes; None: every token may do everything.
    tokens: Mapping[str, frozenset[str]] | None = None
    #: False: nobody has this host, every request gets a 404.
    exists: bool = True
    #: Requests a minute; None: no limit, and the headers tell of a very large one.
    per_minute: int | None = None
    #: A new user is answered with 202, and cannot be used or read for so long.
    processing_s: float = 0.0
    #: Creates are answered with 202, without what was made.
    tells_ids: bool = True
    #: A second user with the same number or `reference_id` is a 409, as one client saw it.
    unique_users: bool = False
    #: A user's conversations are listed oldest first.
    oldest_first: bool = False
    #: Any conversation that a newer one followed takes no messages; else only a resolved one.
    only_latest: bool = False
    #: Numbers match by their last digits, as a filter that compares no whole numbers would.
    loose_match: bool = False
    agents: dict[str, Record] = field(default_factory=_agents)
    channels: list[Record] = field(default_factory=_channels)
    #: Custom properties of conversations that an admin defined.
    properties: tuple[str, ...] = ("cf_exotel_call_sid",)
    users: dict[str, Record] = field(default_factory=dict)
    conversations: dict[str, Record] = field(default_factory=dict)
    #: Conversation id -> its messages, oldest first.
    messages: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    changeable: ClassVar[frozenset[str]] = frozenset(
        {"search_lag_s", "exists", "per_minute", "processing_s", "tells_ids", "oldest_first", "only_latest"}
    )

    def __post_init__(self) -> None:
        self._visible_at: dict[str, float] = {}
        self._usable_at: dict[str, float] = {}
        self._by_user: defaultdict[str, list[str]] = defaultdict(list)
        self.windows = Windows()
        self._made = 0

    def not_found(self) -> Refused:
        return refusal(404, "NOT_FOUND", "The requested resource is not found")

    def counts(self) -> dict[str, int]:
        messages = sum(map(len, self.messages.values()))
        return {"users": len(self.users), "conversations": len(self.conversations), "messages": messages}

    def dump(self) -> dict[str, Any]:
        conversations = [{**row, "messages": self.messages[id_]} for id_, row in self.conversations.items()]
        return {"users": list(self.users.values()), "conversations": conversations}

    # --- users ---

    def add_user(self, values: Mapping[str, Any], *, indexed: bool = False) -> Record:
        """Makes a user; `indexed`: seen at once, as one who has been there for long."""
        now = self.now()
        user = {"id": str(uuid.uuid4()), "created_time": now, "updated_time": now, "properties": [], **values}
        self.users[user["id"]] = user
        self._usable_at[user["id"]] = 0.0 if indexed else self.clock() + self.processing_s
        self._visible_at[user["id"]] = 0.0 if indexed else self.clock() + max(self.search_lag_s, self.processing_s)
        return user

    def user(self, id_: str) -> Record:
        """A user who is ready for use. Raises `Refused`."""
        if id_ not in self.users or self._usable_at[id_] > self.clock():
            raise refusal(404, "USER_NOT_FOUND", "user not found")
        return self.users[id_]

    def users_where(self, filters: Mapping[str, str]) -> list[Record]:
        """Users whom a filter fits to the letter, newest first, as far as they are indexed."""
        now = self.clock()
        found = [user for user in self.users.values() if self._visible_at[user["id"]] <= now]
        for name, wanted in filters.items():
            if name == "phone_no" and self.loose_match:
                found = [user for user in found if user.get("phone", "")[-4:] == wanted[-4:]]
            else:
                found = [user for user in found if user.get("phone" if name == "phone_no" else name) == wanted]
        return found[::-1]

    def is_taken(self, values: Mapping[str, Any]) -> bool:
        """Whether somebody has this number or `reference_id`, indexed or not."""
        phone, reference_id = values.get("phone", "")[-10:], values.get("reference_id")
        return any(
            (phone and user.get("phone", "")[-10:] == phone)
            or (reference_id and user.get("reference_id") == reference_id)
            for user in self.users.values()
        )

    # --- conversations and messages ---

    def add_conversation(self, values: Mapping[str, Any], user_id: str, origin: str) -> Record:
        """Makes a conversation of this user; its messages are added apart."""
        now, id_ = self.now(), str(uuid.uuid4())
        row: Record = {
            "conversation_id": id_,
            "conversation_internal_id": 7000000 + len(self.conversations),
            "status": "new",
            "user_id": user_id,
            "properties": {"priority": "Low"},
            "created_time": now,
            "updated_time": now,
            "url": f"{origin}/inbox/{id_}",
            **values,
        }
        self.conversations[id_] = row
        self._by_user[user_id].append(id_)
        return row

    def conversation(self, id_: str) -> Record:
        """Raises `Refused`; the numeric id is none."""
        if id_ not in self.conversations:
            raise refusal(404, "CONVERSATION_NOT_FOUND", "conversation not found")
        return self.conversations[id_]

    def conversations_of(self, user_id: str) -> list[str]:
        """Ids of a user's conversations, in the account's order."""
        ids = self._by_user[user_id]
        return ids if self.oldest_first else ids[::-1]

    def takes_messages(self, row: Record) -> bool:
        """Whether messages may be posted: a conversation that a newer one followed is closed to them.

        See docs/reference/freshchat.md §4.2.
        """
        is_latest = self._by_user[row["user_id"]][-1] == row["conversation_id"]
        return is_latest or not (self.only_latest or row["status"] == "resolved")

    def add_message(self, row: Record, values: Mapping[str, Any]) -> Record:
        """Adds a message to a conversation."""
        message = {
            "id": str(uuid.uuid4()),
            **values,
            "conversation_id": row["conversation_id"],
            "channel_id": row["channel_id"],
            "created_time": self.now(),
            "message_source": "api",
        }
        self.messages[row["conversation_id"]].append(message)
        row["updated_time"] = message["created_time"]
        return message

    def agent(self, id_: str) -> Record:
        """An agent who may act. Raises `Refused`."""
        agent = self.agents.get(id_)
        if agent is None or agent["is_deactivated"] or agent["is_deleted"]:
            raise refusal(404, "AGENT_NOT_FOUND", "agent not found")
        return agent

    def now(self) -> str:
        """The time as the API writes it; what was made later has a later one."""
        self._made += 1
        at = datetime.fromtimestamp(int(self.clock()), UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{self._made % 1_000_000:06d}Z"
