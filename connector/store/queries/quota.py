"""Quota: the requests of an account's bucket, handed out to replicas in short-lived chunks. One row per bucket."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, text

from connector.store.engine.dialects import NOW
from connector.store.window import Window

#: A chunk may be spent for so long.
CHUNK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Draw:
    """A replica's wish for `want` requests, and what became of its last chunk, which this one replaces."""

    account: str
    bucket: str
    holder: str
    #: Unix seconds; where the database has a clock, that one decides.
    now: float
    #: What is declared of the bucket, where nobody drew from it before.
    limit: int
    per_s: float
    #: Requests sent of the last chunk, the last of them so many seconds ago.
    used: int
    used_ago_s: float
    want: int
    kept: float
    #: How many replicas share the account: none takes all that is left.
    replicas: int
    #: What answers told so many seconds ago; the fields of `adapter.Quota`.
    told: dict[str, Any] = field(default_factory=dict)
    told_ago_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """`granted` requests may leave within `CHUNK_S` of the wish; `wait_s`: until more may, where none was granted."""

    granted: int
    wait_s: float
    limit: int
    per_s: float
    #: What counts against the limit now, the grant included.
    counted: int


# Locks the row: what another replica drew is seen, and the next one waits until this is committed.
_LOCK = text(
    f"insert into quota (account, bucket, state, updated_at) values (:account, :bucket, '', {NOW})"  # noqa: S608 - ours
    " on conflict (account, bucket) do update set updated_at = excluded.updated_at returning state, updated_at"
)
_KEEP = text("update quota set state = :state where account = :account and bucket = :bucket")


def draw(connection: Connection, wishes: Sequence[Draw]) -> list[Drawn]:
    """For each wish what it got."""
    drawn: dict[int, Drawn] = {}
    # In one order everywhere: two replicas never wait for each other.
    for place, wish in sorted(enumerate(wishes), key=lambda one: (one[1].account, one[1].bucket)):
        names = {"account": wish.account, "bucket": wish.bucket}
        state, now = connection.execute(_LOCK, {**names, "now": wish.now}).one()
        window = Window.load(state) if state else Window(wish.limit, wish.per_s)
        drawn[place] = _grant(window, wish, now)
        connection.execute(_KEEP, {**names, "state": window.dump()})
    return [drawn[place] for place in range(len(wishes))]


def _grant(window: Window, wish: Draw, now: float) -> Drawn:
    window.settle(wish.holder, wish.used, now - wish.used_ago_s)
    if wish.told:
        window.correct(now - wish.told_ago_s, **wish.told)
    free = window.free(now, wish.kept)
    granted = min(wish.want, free, max(1, free // (2 * wish.replicas)))
    if granted > 0:
        window.hold(wish.holder, granted, now + CHUNK_S)
    wait_s = 0.0 if granted > 0 else window.wait_s(now, wish.kept)
    return Drawn(granted, wait_s, window.limit, window.per_s, window.counted(now))
