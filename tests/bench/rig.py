"""What the benchmarks share: processes started as users start them, what they cost, and figures of several rounds."""

import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from connector.kit.standins import standins
from tests.bench import crms
from tests.bench.store import Store

ROOT = Path(__file__).resolve().parents[2]
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_STOPS_WITHIN_S = 60


class Process:
    """A server in a process of its own, from its ready line until the block is left; killed if it does not go."""

    def __init__(self, *command: str, log: Path, cwd: Path = ROOT, environ: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", *command]
        self._log = log
        self._cwd = cwd
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
        self._environ |= environ or {}
        self.port = 0
        #: From the start to the ready line.
        self.start_s = 0.0

    def __enter__(self) -> Self:
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._cwd, env=self._environ, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "http://127.0.0.1:" in line:
                self.port = int(line.rpartition(":")[2])
                self.start_s = time.perf_counter() - began
                return self
        raise RuntimeError(f"{' '.join(self._command)} did not start: {self._log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def cpu_s(self) -> "Cpu":
        """Seconds of processor time so far: of the thread that runs the event loop, and of all."""
        return Cpu(_cpu_s(f"/proc/{self.pid}/task/{self.pid}/stat"), _cpu_s(f"/proc/{self.pid}/stat"))

    def written_kb(self) -> float:
        """What it has had written to disks so far."""
        counts = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
        return int(counts["write_bytes"]) / 1024

    def memory_mb(self) -> dict[str, float]:
        """Resident memory, now and at its highest."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        kilobytes = {"now": status["VmRSS"], "most": status["VmHWM"]}
        return {name: round(int(value.split()[0]) / 1024, 1) for name, value in kilobytes.items()}


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time of a process, in seconds."""

    loop: float
    all: float

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.loop - other.loop, self.all - other.all)

    def ms_per(self, count: int) -> dict[str, float]:
        """Milliseconds for each of `count`: all of it, and the event loop's part."""
        return {"all": round(1000 * self.all / count, 3), "loop": round(1000 * self.loop / count, 3)}


def _cpu_s(path: str) -> float:
    fields = Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def service(store: Store, *, source: Path = ROOT, profile: Path | None = None, slots: int | None = None) -> Process:
    """`connector serve` on this store. `source`: the checkout whose code it runs; `profile`: where its profile goes.

    `slots`: deliveries at once, where it is not the connector's own number.
    """
    module, environ = "connector", store.environ()
    if profile is not None:
        module, environ["BENCH_PROFILE"] = "tests.bench.profiled", str(profile)
    elif slots is not None:
        module, environ["BENCH_SLOTS"] = "tests.bench.slotted", str(slots)
    return Process(module, "serve", "--port", "0", log=store.folder / "service.log", cwd=source, environ=environ)


class StandIn(Process):
    """An adapter's stand-in, always at the same port: the store names it."""

    def __init__(self, folder: Path, port: int, adapter: str = crms.DEFAULT, *, latency_ms: float = 0.0) -> None:
        command = (standins()[adapter].module, "--port", str(port), "--latency-ms", str(latency_ms))
        super().__init__(*command, log=folder / "standin.log")
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __exit__(self, *_: object) -> None:
        self._line.close()
        super().__exit__()

    def state(self) -> dict[str, Any]:
        """Counts of requests by route, of answers by status, of records."""
        self._line.request("GET", "/_standin/state")
        answer: dict[str, Any] = json.load(self._line.getresponse())
        return answer

    def requests(self) -> int:
        """Requests so far."""
        return sum(self.state()["requests"].values())


@contextmanager
def workplace(keep: Path | None = None) -> Iterator[Path]:
    """A folder on the disk, not in memory, for the time of a benchmark; or one to keep."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def say(words: str) -> None:
    """A word of progress; standard output is for the result."""
    print(words, file=sys.stderr, flush=True)


def median(values: Sequence[float], digits: int = 1) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(round, name) for each run; every other round goes backwards, so that a drift of the machine favours nobody."""
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            yield number + 1, name


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "commit": commit or None,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def report(name: str, **figures: Any) -> None:
    """Prints the result."""
    print(json.dumps({"benchmark": name, "machine": machine(), **figures}, indent=2))
