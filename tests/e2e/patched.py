"""`python -m tests.e2e.patched serve`: the connector with one thing changed, to stand where no signal can be timed.

`CONNECTOR_E2E_PATCH` is a JSON object:

| key | does |
| --- | --- |
| `timeout_s` | how long Freshdesk's answers are waited for: 20 s each is long for a test of many time-outs |
| `lease_s`, `settle_s` | a claim's length, and how long the CRM works on: a freeze must outlast both |
| `look_every_s` | how often a replica looks for due work by itself: others' claims are taken over sooner |
| `at`, `do` | stops (SIGSTOP) or kills (SIGKILL) the process itself at the n-th boundary: a signal from outside lands |
| | somewhere, not between a commit and the bytes that follow it |
| `boundaries` | a file to which the boundaries are written as they are passed: the test knows that it tried all |
| `freeze` | a file: names the place where the process stops (SIGSTOP) next, and is deleted as it does |
| `ahead_s` | how far the machine's clock is ahead (behind: negative) |
| `full` | a file: while it is there, the store may not grow by a page; for those who may not mount a small disk |

A boundary lies between two steps that can be lost separately: after each commit of the journal, before anything else
happens in the process, and after each write to the CRM was answered. `freeze` stops at boundaries, at the start of
their names, and amid the store's work on PostgreSQL: `_BEFORE` and `_AFTER` have the places.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PATCH: dict[str, Any] = json.loads(os.environ.pop("CONNECTOR_E2E_PATCH"))
if "ahead_s" in _PATCH:
    # Before anything is imported that takes the function by name.
    _time = time.time
    time.time = lambda: float(_time() + _PATCH["ahead_s"])

import connector.pipeline.delivery.journal as journal_module  # noqa: E402

if "lease_s" in _PATCH:
    # Before the others are imported: they take the constant by name.
    assert "connector.pipeline.delivery.dispatch" not in sys.modules
    assert "connector.pipeline.delivery.contacts" not in sys.modules
    journal_module.LEASE_S = _PATCH["lease_s"]

from connector_freshdesk import Freshdesk  # noqa: E402
from sqlalchemy import Connection, Engine, event  # noqa: E402

from connector.adapter.http import CrmHttp  # noqa: E402
from connector.cli import main  # noqa: E402
from connector.pipeline.delivery import dispatch  # noqa: E402
from connector.pipeline.delivery.journal import Journal  # noqa: E402
from connector.store.engine.sqlite import SqliteStore  # noqa: E402

_passed = 0
#: Where the store's work can freeze -> how the statement begins, or what of it nothing else has.
_BEFORE = {"accepting": "with given as"}  # the request is read, nothing of it is sent
_AFTER = {
    "accepted": "with given as",  # committed, not acknowledged
    "claiming": "update delivery set owner = $",  # in a transaction that holds the rows, as is the next
    "journalling": "select id, fence, owner, version from delivery",
}


def _boundary(name: str) -> None:
    global _passed
    _passed += 1
    if "boundaries" in _PATCH:
        with Path(_PATCH["boundaries"]).open("a") as file:
            file.write(f"{name}\n")
    if _passed == _PATCH.get("at"):
        os.kill(os.getpid(), signal.Signals[_PATCH["do"]])
    _freeze(name)


def _freeze(name: str) -> None:
    if "freeze" not in _PATCH:
        return
    order = Path(_PATCH["freeze"])
    if order.exists() and name.startswith(order.read_text()):
        order.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


def _patch_statements() -> None:
    def freezing(places: dict[str, str]) -> Any:
        def executed(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            for place, begins in places.items():
                # A claim that got nothing holds nothing.
                if statement.startswith(begins) and cursor.rowcount != 0:
                    _freeze(place)

        return executed

    event.listen(Engine, "before_cursor_execute", freezing(_BEFORE))
    event.listen(Engine, "after_cursor_execute", freezing(_AFTER))


def _patch_boundaries() -> None:
    write, send = Journal._write, CrmHttp.write

    async def journal_write(self: Journal, **what: Any) -> bool:
        result = await write(self, **what)
        # A commit that opens a write, and the journal's words for it; `done` rows travel with the next commit.
        started = [row.slot for row in self.steps.values() if row.state == "started"]
        if what.get("finish") is not None:
            name = "finished"
        elif what.get("contact") is not None:
            name = f"contact {what['contact'].state}"
        else:
            name = f"started {', '.join(started)}"
        _boundary(name)
        return result

    async def crm_write(self: CrmHttp, method: str, path: str, *args: Any, **how: Any) -> Any:
        answer = await send(self, method, path, *args, **how)
        _boundary(f"{method} {path.rpartition('/')[2]}")
        return answer

    Journal._write = journal_write  # type: ignore[method-assign]
    CrmHttp.write = crm_write  # type: ignore[method-assign]


def _patch_room() -> None:
    writer = SqliteStore._writing

    def limited(self: SqliteStore) -> Connection:
        connection = writer(self)
        raw: Any = connection.connection.dbapi_connection
        pages = 1 if Path(_PATCH["full"]).exists() else 1 << 30  # never fewer than there are
        raw.execute(f"PRAGMA max_page_count={pages}").fetchall()
        return connection

    SqliteStore._writing = limited  # type: ignore[method-assign]


if __name__ == "__main__":
    Freshdesk.timeout_s = _PATCH.get("timeout_s", Freshdesk.timeout_s)
    Freshdesk.settle_s = _PATCH.get("settle_s", Freshdesk.settle_s)
    if "look_every_s" in _PATCH:
        dispatch._SHARED_LOOK_EVERY_S = _PATCH["look_every_s"]  # type: ignore[misc]
    if _PATCH.keys() & {"at", "boundaries", "freeze"}:
        _patch_boundaries()
    if "freeze" in _PATCH:
        _patch_statements()
    if "full" in _PATCH:
        _patch_room()
    main()
