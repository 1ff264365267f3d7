"""The service and a CRM's stand-in as processes of their own, started as people start them and spoken to over HTTP."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from connector.config import Config
from tests.rig import tenant as rig
from tests.rig.tenant import AGENT, API_KEY, API_TOKEN, EXOPHONE, SID, agent, connection

__all__ = ["AGENT", "API_KEY", "API_TOKEN", "EXOPHONE", "SID"]

ENVIRON: Final = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
CONNECTOR: Final = (sys.executable, "-m", "connector")
#: The same program with one thing changed, which no user can change; see `patched`.
PATCHED: Final = (sys.executable, "-m", "tests.e2e.patched")
_ROOT: Final = Path(__file__).parents[2]
#: Below the ports that outgoing connections take: a port is still free when its service starts again.
_PORTS: Final = range(12_000, 30_000)
_START_S: Final = 60.0
_INSIST_S: Final = 120.0
_CALL_SID: Final = re.compile(r"CallSid : (\w+)")


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = random.choice(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return port


def hook_token(sid: str = SID) -> str:
    """The tenant's hook token in `tenant`."""
    return f"hook-of-{sid}"


def tenant(*urls: str, sid: str = SID, **changes: Any) -> dict[str, Any]:
    """A tenant of a tenant file, with a Freshdesk connection per URL; `changes` go into each connection."""
    connections = [
        connection("freshdesk", url, f"support{number or ''}", **{"agents": [agent("81007555518")], **changes})
        | {"settings": {"domain": f"{sid}-{number}.freshdesk.com", "api_key": "fd-key", "base_url": url}}
        for number, url in enumerate(urls)
    ]
    return rig.tenant(*connections, sid=sid, hook_token=hook_token(sid))


def caller(number: int) -> str:
    """A made-up caller."""
    return f"0888{number:07d}"


def missed(call_sid: str, caller: str) -> dict[str, str]:
    """The passthru of a call that nobody took: one ticket."""
    return {
        "CallSid": call_sid,
        "CallFrom": caller,
        "From": caller,
        "CallTo": EXOPHONE,
        "To": EXOPHONE,
        "Direction": "incoming",
        "CallType": "incomplete",
        "DialCallStatus": "no-answer",
        "DialWhomNumber": AGENT,
    }


def answered(call_sid: str, caller: str, sid: str = SID) -> dict[str, str]:
    """The passthru after a conversation: with `automated_answered` one ticket and one note, with the recording."""
    return {
        **missed(call_sid, caller),
        "CallType": "completed",
        "DialCallStatus": "completed",
        "DialCallDuration": "9",
        "Legs[0][Number]": AGENT,
        "Legs[0][OnCallDuration]": "4",
        "Legs[0][Type]": "single",
        "RecordingUrl": f"https://recordings.exotel.com/exotelrecordings/{sid}/{call_sid}.mp3",
    }


class Process:
    """A child process; what it says goes to a file."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    def spawn(self, command: Sequence[str], env: Mapping[str, str] = ENVIRON, **how: Any) -> None:
        """Starts it."""
        assert self.popen is None or self.popen.poll() is not None, "it runs"
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(command, cwd=_ROOT, env=env, stdout=out, stderr=out, **how)

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.popen is not None
        return self.popen.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs (or is stopped)."""
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it on the spot, if it is there."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait()

    async def ended(self, within_s: float) -> int:
        """Its exit code (negative: the signal that ended it), once it has ended."""
        assert self.popen is not None
        return await asyncio.to_thread(self.popen.wait, within_s)

    async def frozen(self, within_s: float = 30.0) -> None:
        """Returns once it is stopped (SIGSTOP)."""
        await self._seen(lambda: "T" in self._state(), within_s)

    async def _seen(self, what: Any, within_s: float) -> None:
        until = time.monotonic() + within_s
        while not what():
            assert self.is_alive, f"it ended: {self.tail()}"
            assert time.monotonic() < until, f"not within {within_s} s: {self.tail()}"
            await asyncio.sleep(0.02)

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def tail(self) -> str:
        """The last that it said."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(it said nothing)"


class StandIn(Process):
    """Freshdesk's stand-in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(folder / f"standin-{self.port}.log")

    async def start(self, *options: str) -> None:
        """Returns once it answers."""
        self.spawn([sys.executable, "-m", "standins.freshdesk", "--port", str(self.port), *options])
        await self._seen(lambda: self.url in self.tail(), _START_S)

    async def control(self, what: str, method: str = "GET", body: Any = None) -> Any:
        """Asks the control endpoint."""
        async with aiohttp.request(method, f"{self.url}/_standin/{what}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def faults(self, **values: Any) -> None:
        """Sets what goes wrong; see `connector.kit.faults.Faults`."""
        await self.control("faults", "PUT", values)

    async def writes(self) -> int:
        """How many requests came that write something."""
        requests: dict[str, int] = (await self.control("state"))["requests"]
        return sum(count for path, count in requests.items() if not path.startswith("GET "))

    async def wrote_more_than(self, writes: int, within_s: float = 60.0) -> None:
        """Returns once more than so many have come."""
        until = time.monotonic() + within_s
        while await self.writes() <= writes:
            assert time.monotonic() < until, f"no write within {within_s} s: {self.tail()}"
            await asyncio.sleep(0.01)

    async def written(self) -> "Written":
        """All its records."""
        return Written(**await self.control("dump"))


class Written:
    """The records of a stand-in."""

    def __init__(self, contacts: list[dict[str, Any]], tickets: list[dict[str, Any]]) -> None:
        self.contacts = contacts
        self.tickets = tickets

    def calls(self) -> dict[str, tuple[int, int]]:
        """CallSid -> how many tickets, how many notes on them. Every ticket says its call."""
        tickets: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        for ticket in self.tickets:
            found = _CALL_SID.search(ticket["description_text"])
            assert found, f"a ticket of no call: {ticket}"
            tickets[found[1]] += 1
            notes[found[1]] += len(ticket["conversations"])
        return {call_sid: (tickets[call_sid], notes[call_sid]) for call_sid in tickets}

    def numbers(self) -> Counter[str]:
        """Mobile number -> how many contacts have it."""
        return Counter(contact["mobile"] for contact in self.contacts)

    def assert_exact(self, calls: Iterable[str], each: tuple[int, int], callers: int) -> None:
        """Every call has so many tickets and notes, there is nothing else, and no caller is there twice."""
        found, wanted = self.calls(), dict.fromkeys(calls, each)
        wrong = {sid: found.get(sid) for sid in {*found, *wanted} if found.get(sid) != wanted.get(sid)}
        assert not wrong, f"{len(wrong)} of {len(wanted)} calls, by (tickets, notes): {dict(list(wrong.items())[:20])}"
        assert len(self.tickets) == len(wanted)
        assert set(self.numbers().values()) == {1}
        assert len(self.contacts) == callers


class Service(Process):
    """`connector serve` on a store of its own, or as a replica on the store of `config`."""

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "service.log")
        self.folder = folder
        self.database = folder / "connector.db"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**ENVIRON, "CONNECTOR_DATABASE_URL": f"sqlite:///{self.database}"}
        if config is not None:
            key = config.secret_key or ""
            self.env |= {"CONNECTOR_DATABASE_URL": config.database_url, "CONNECTOR_SECRET_KEY": key}
        self._session: aiohttp.ClientSession | None = None

    async def run(
        self, *arguments: str, program: Sequence[str] = CONNECTOR, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of the console script on this store."""
        return await asyncio.to_thread(
            subprocess.run,
            [*program, *arguments],
            cwd=_ROOT,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def apply(self, *tenants: dict[str, Any]) -> None:
        """`connector apply` of a file with these tenants."""
        file = self.folder / "tenants.json"
        file.write_text(json.dumps({"tenants": tenants}))
        done = await self.run("apply", str(file))
        assert done.returncode == 0, done.stderr

    async def start(self, patch: Mapping[str, Any] | None = None, *, ready: bool = True, **how: Any) -> None:
        """`connector serve`; returns once it is ready. `patch`: what `patched` changes."""
        env, program = self.env, CONNECTOR
        if patch is not None:
            env, program = {**env, "CONNECTOR_E2E_PATCH": json.dumps(patch)}, PATCHED
        self.spawn([*program, "serve", "--port", str(self.port)], env, **how)
        if ready:
            await self.ready()

    async def ready(self) -> None:
        """Returns once it is ready."""
        until = time.monotonic() + _START_S
        while await self._status("GET", "/readyz") != 200:
            assert self.is_alive, f"it did not start: {self.tail()}"
            assert time.monotonic() < until, f"never ready: {self.tail()}"
            await asyncio.sleep(0.03)

    async def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(within_s)

    @property
    def session(self) -> aiohttp.ClientSession:
        """A client that opens as many connections as are asked for."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=0, force_close=True)
            )
        return self._session

    async def close(self) -> None:
        """Ends the process and the client."""
        self.kill()
        if self._session is not None:
            await self._session.close()

    # --- hooks ---

    async def _status(self, method: str, path: str, **how: Any) -> int:
        try:
            async with self.session.request(method, self.url + path, **how) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0

    async def hook(self, event: str, params: Mapping[str, str], sid: str = SID) -> int:
        """Sends one event to the capability URL. Its status, 0 where no answer came."""
        return await self._status("GET", f"/h/{hook_token(sid)}/{event}", params=params)

    async def insist(self, event: str, params: Mapping[str, str], sid: str = SID) -> None:
        """Sends one event, again and again until it is acknowledged."""
        until = time.monotonic() + _INSIST_S
        while (status := await self.hook(event, params, sid)) != 200:
            assert time.monotonic() < until, f"{status}: {self.tail()}"
            await asyncio.sleep(0.1)

    # --- the API ---

    async def get(self, path: str, **query: Any) -> Any:
        """A GET of the API with the operator's token."""
        headers = {"Authorization": f"Bearer {self._token()}"}
        async with self.session.get(f"{self.url}/api/v1/{path}", params=query, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def take_token(self) -> None:
        """Makes an operator's token; a store that is not new has none beside it."""
        done = await self.run("user", "add", "Tester", "--operator", "--token")
        assert done.returncode == 0, done.stderr
        await asyncio.to_thread(Path(f"{self.database}.token").write_text, done.stdout)

    def _token(self) -> str:
        return Path(f"{self.database}.token").read_text().strip()

    async def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every row of a list of the API."""
        page = await self.get(path, limit=200, **query)
        rows: list[dict[str, Any]] = page[path]
        while page["next_cursor"]:
            page = await self.get(path, limit=200, cursor=page["next_cursor"], **query)
            rows += page[path]
        return rows

    async def settled(self, within_s: float) -> None:
        """Returns once every delivery is done, or waits for the call's silence alone; fails with late and dead ones."""
        until = time.monotonic() + within_s
        while left := [row for row in await self.all("deliveries", state="pending") if not _waits_for_silence(row)]:
            assert time.monotonic() < until, f"{len(left)} deliveries are still pending: {left[:5]}\n{self.tail()}"
            await asyncio.sleep(0.25)
        dead = await self.all("deliveries", state="dead")
        assert not dead, dead[:5]


def _waits_for_silence(row: Mapping[str, Any]) -> bool:
    # All is written that is known to be due; the call is looked at once more when it has been silent for two minutes.
    return bool(row["reason"] == "waiting" and datetime.fromisoformat(row["due_at"]).timestamp() > time.time() + 20)


@contextlib.asynccontextmanager
async def service(folder: Path, *tenants: dict[str, Any]) -> AsyncIterator[Service]:
    """A service with these tenants applied, not yet started."""
    made = Service(folder)
    try:
        if tenants:
            await made.apply(*tenants)
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def stand_in(folder: Path, *options: str) -> AsyncIterator[StandIn]:
    """A stand-in that runs."""
    made = StandIn(folder)
    try:
        await made.start(*options)
        yield made
    finally:
        made.kill()


@contextlib.asynccontextmanager
async def both(folder: Path, *options: str, **changes: Any) -> AsyncIterator[tuple[Service, StandIn]]:
    """A stand-in that runs, and a service with one tenant whose CRM it is, not yet started."""
    async with stand_in(folder, *options) as crm, service(folder, tenant(crm.url, **changes)) as served:
        yield served, crm
