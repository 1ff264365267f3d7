"""The walk of one delivery: the files that its work goes through, and how often it passes from one to another.

An answered call of a caller whom the CRM does not know; contact, ticket and note are written to the adapter's stand-in.
Watched is the event loop's thread from the stored event until the delivery is done, and of it `connector` and the
adapters alone. An earlier call has warmed what is made once. `changes`: how often a call, or a coroutine that goes on,
takes control into another file than the one it is in; returns are not counted. `by_file`: such visits, and calls.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, Final
from urllib.parse import urlencode

from connector.config import Config
from connector.pipeline.calls.accept import Received
from connector.pipeline.service import Pipeline
from connector.serve.process import run
from connector.store.engine.database import Database
from connector.store.secrets import open_box
from connector.tenants.directory import Directories
from connector.tenants.model import Tenant
from tests.bench.drain import NotDone
from tests.bench.rig import ROOT, StandIn, free_port, report, workplace
from tests.bench.store import PUBLIC_URL, FileStore, new_store

_OURS: Final = (f"{ROOT}/connector/", f"{ROOT}/adapters/")
_TIMEOUT_S: Final = 30.0
#: The dispatcher has done with a delivery by then.
_SETTLES_S: Final = 0.2


def measure(adapter: str, top: int) -> None:
    """Runs it and prints the result."""
    port = free_port()
    walk = Walk()
    with workplace() as folder:
        store = new_store(folder / "store", 1, f"http://127.0.0.1:{port}", adapter)
        with StandIn(folder, port, adapter) as standin:
            run(_deliver(store, walk, standin))
    report(
        "walk",
        adapter=adapter,
        requests=walk.requests,
        files=len(walk.calls),
        functions=len(walk.functions),
        calls=walk.calls.total(),
        changes=walk.visits.total(),
        by_file={file: f"{visits} visits, {walk.calls[file]} calls" for file, visits in walk.visits.most_common(top)},
    )


class Walk:
    """What ran of our code while it was watched."""

    def __init__(self) -> None:
        #: File -> how often control came into it from another one.
        self.visits: Counter[str] = Counter()
        #: File -> calls of its functions.
        self.calls: Counter[str] = Counter()
        self.functions: set[tuple[str, str]] = set()
        #: Requests to the CRM.
        self.requests = 0
        #: Where control is; None in code that is not ours.
        self._file: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches this thread."""
        sys.setprofile(self._seen)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS):
            return
        file = file.removeprefix(f"{ROOT}/")
        if event == "call":
            self.calls[file] += 1
            self.functions.add((file, frame.f_code.co_qualname))
            self.visits[file] += file != self._file
            self._file = file
        elif event == "return":
            self._file = _ours_below(frame) or self._file


def _ours_below(frame: FrameType) -> str | None:
    """The file of ours that a frame returns to; None where it is the event loop that goes on."""
    below = frame.f_back
    while below is not None and not below.f_code.co_filename.startswith(_OURS):
        below = below.f_back
    if below is None or below.f_code.co_filename == run.__code__.co_filename:
        return None
    return below.f_code.co_filename.removeprefix(f"{ROOT}/")


async def _deliver(store: FileStore, walk: Walk, standin: StandIn) -> None:
    config = Config.from_env(store.environ())
    db = Database(config.database_url)
    box = open_box(config, db)
    directories = Directories(db, box)
    async with db.running():
        await directories.refresh()
        pipeline = Pipeline(db, box, directories, home_url=lambda: "", link_url=lambda _: PUBLIC_URL)
        (tenant,) = directories.current.tenants_by_id.values()
        async with pipeline.running():
            for call_sid, caller in (("first", "09876500001"), ("walked", "09876500002")):
                before = standin.requests()
                await pipeline.accept(_answered(tenant, call_sid, caller))
                with walk.watching() if call_sid == "walked" else nullcontext():
                    await _done()
                walk.requests = standin.requests() - before
    states = store.ask("select state, last_error from delivery")
    if states != [("done", None)] * 2:
        raise NotDone(f"the deliveries ended as {states}")


async def _done() -> None:
    """Returns when the delivery that begins next is done."""
    begun: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(_TIMEOUT_S):
        while not begun:
            await asyncio.sleep(0)
            begun = [task for task in asyncio.all_tasks() if task.get_name() == "delivery"]
        await asyncio.wait(begun)
    await asyncio.sleep(_SETTLES_S)


def _answered(tenant: Tenant, call_sid: str, caller: str) -> Received:
    exophone, agent = "08047494574", "09810012345"
    params = {
        "CallSid": call_sid,
        "CallFrom": caller,
        "From": caller,
        "CallTo": exophone,
        "To": exophone,
        "Direction": "incoming",
        "CallType": "completed",
        "DialCallStatus": "completed",
        "DialWhomNumber": agent,
        "Legs[0][Number]": agent,
        "Legs[0][OnCallDuration]": "4",
        "Legs[0][Type]": "single",
        "RecordingUrl": f"https://recordings.exotel.com/exotelrecordings/{tenant.sid}/{call_sid}.mp3",
    }
    return Received(
        tenant_id=tenant.id,
        call_sid=call_sid,
        kind="automated_answered",
        method="GET",
        query=urlencode(params),
        content_type=None,
        body=None,
        params=list(params.items()),
        connection_id=None,
        received_at=time.time(),
    )
