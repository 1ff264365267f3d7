"""The account that the stand-in of Exotel has in memory, and what drives it.

`PUT /_standin/account` sets the fields named in `changeable`; `POST /_standin/calls` adds calls
(`{"calls": [facts]}`, `facts` as `ExotelAccount.add_call` takes them).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from connector.kit.standin import StandinAccount

#: How a call that was originated by Connect ends.
Ending = Literal[
    "answered",
    "agent_no_answer",
    "agent_busy",
    "agent_hangup",
    "customer_busy",
    "customer_no_answer",
    "customer_failed",
    "machine",
]


@dataclass
class ExotelAccount(StandinAccount):
    """One account of Exotel. Whatever is public may be changed while it runs."""

    sid: str = "acme1"
    region: str = "singapore"
    api_key: str = "key"
    api_token: str = "token"  # noqa: S105 - made up
    #: Numbers of the account, E.164.
    exophones: list[str] = field(default_factory=lambda: ["+918047494574"])
    #: Endings of the next Connects, in order; then `ending`.
    endings: deque[Ending] = field(default_factory=deque)
    ending: Ending = "answered"
    #: Seconds between the steps of a call that Connect originated (rung, answered, talked).
    step_s: float = 0.05
    talk_s: int = 32
    #: Records say nothing of end, durations and legs for so long after the call's end; None: they never do.
    settle_s: float | None = 0.0
    #: A recording is 404 for so long after the call's end.
    recording_after_s: float = 0.0
    #: Requests a minute; more are answered 429.
    limit: int = 200
    #: Errors as XML although `.json` was asked.
    xml_errors: bool = False
    #: Signed recording links are offered.
    signed_links: bool = False

    changeable: ClassVar[frozenset[str]] = frozenset(
        {
            "ending",
            "endings",
            "step_s",
            "talk_s",
            "settle_s",
            "recording_after_s",
            "limit",
            "xml_errors",
            "signed_links",
        }
    )

    def add_call(self, facts: Mapping[str, Any]) -> str:
        """Adds a call that is over and returns its CallSid; fast, for thousands of them.

        `facts` (all optional): sid, direction (inbound, outbound-api, outbound-dial), customer, agent, exophone (E.164
        ending (answered, missed, busy, voicemail), created_at (Unix seconds), talk_s, duration_s, recorded,
        settle_s, custom_field.
        """
        raise NotImplementedError
