"""`connector serve --workers N`: one port, several processes, one answer to Prometheus; refused on SQLite."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresStores, Server

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
CONNECTOR = [sys.executable, "-m", "connector"]


def test_an_sqlite_file_is_served_by_one_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CONNECTOR, "serve", "--workers", "2"],
        cwd=tmp_path,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = "--workers above 1 needs PostgreSQL: an SQLite file is served by one process, which alone delivers from it"
    assert (done.returncode, done.stderr) == (2, f"connector: {words}\n")
    assert list(tmp_path.iterdir()) == []


class Machine:
    """A service of several workers."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.env = env
        self.log = folder / "log"
        self.process: subprocess.Popen[str]
        self.url = ""

    def start(self, *command: str, **how: object) -> None:
        """Returns once it says that all workers serve."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=log, text=True, **how)  # type: ignore[call-overload]  # `how` is passed through
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "3 workers are serving on" in line, (line, self.log.read_text())
        self.url = line.split()[-1]

    def workers(self) -> set[int]:
        """Process ids of the workers that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}

    def status(self, path: str) -> int:
        """The status of a GET over a connection of its own."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def metric(self, name: str) -> float:
        """A metric's value, as whichever worker is asked tells it."""
        request = urllib.request.Request(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    @property
    def token(self) -> str:
        """An operator's token, made when it is first asked for."""
        if not hasattr(self, "_token"):
            command = [*CONNECTOR, "user", "add", "Tester", "--operator", "--token"]
            self._token = subprocess.run(
                command, env=self.env, capture_output=True, text=True, check=True
            ).stdout.strip()
        return self._token

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=40)
        return self.process.returncode


@pytest.fixture
def machine(tmp_path: Path, postgres: Server) -> Iterator[Machine]:
    stores = PostgresStores(postgres)
    config = stores.config(tmp_path)
    env = {**ENVIRON, "CONNECTOR_DATABASE_URL": config.database_url, "CONNECTOR_SECRET_KEY": config.secret_key or ""}
    made = Machine(tmp_path, env)
    try:
        yield made
    finally:
        with contextlib.suppress(AttributeError):
            made.process.kill()
            made.process.communicate()
        stores.give_back()


def until(holds: object, within_s: float = 60.0) -> None:
    """Returns once `holds()` is true."""
    end = time.monotonic() + within_s
    while not holds():  # type: ignore[operator]  # a function without arguments
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(pids: set[int]) -> bool:
    """Whether none of these processes lives."""
    return not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)


def test_workers_share_a_port_and_one_that_dies_comes_back(machine: Machine) -> None:
    machine.start(*CONNECTOR, "serve", "--port", "0", "--workers", "3")
    workers = machine.workers()
    assert len(workers) == 3
    refused = 'connector_events_refused_total{code="not_found"}'
    for _ in range(12):
        assert machine.status("/h/nobody/pop?CallSid=1") == 404
    # Whoever is asked tells of all; a worker that did not answer any of them would say less.
    assert {machine.metric(refused) for _ in range(6)} == {12}
    assert machine.metric("connector_process_max_fds") > 0
    port = machine.url.rpartition(":")[2]
    second = subprocess.run(
        [*CONNECTOR, "serve", "--port", port, "--workers", "2"],
        env=machine.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr
    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(machine.workers() - {victim}) == 3)
    until(lambda: machine.log.read_text().count("started anew") == 1)
    assert machine.status("/readyz") == 200
    until(lambda: machine.status("/h/nobody/pop?CallSid=1") == 404)
    assert machine.metric(refused) >= 13, "what the dead one counted is counted"
    workers = machine.workers()
    assert machine.stop() == 0, machine.log.read_text()
    until(lambda: gone(workers))


def test_workers_end_with_the_first_process(machine: Machine) -> None:
    machine.start(*CONNECTOR, "serve", "--port", "0", "--workers", "3")
    workers = machine.workers()
    # systemd sends SIGTERM to every process of a service; nobody takes it for a second one.
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    assert machine.stop() == 0, machine.log.read_text()
    assert gone(workers)
    machine.start(*CONNECTOR, "serve", "--port", "0", "--workers", "3")
    workers = machine.workers()
    machine.process.kill()
    until(lambda: gone(workers))


def test_workers_share_inherited_sockets(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.set_inheritable(True)
        command = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&{listener.fileno()}; exec "$@"'
        shell = ("bash", "-c", command, "bash", *CONNECTOR, "serve", "--workers", "3")
        machine.start(*shell, pass_fds=[listener.fileno()])
        assert machine.url.endswith(f":{listener.getsockname()[1]}")
        assert [machine.status("/readyz") for _ in range(6)] == [200] * 6
        assert machine.stop() == 0, machine.log.read_text()


def test_a_store_that_cannot_be_used_is_said_once(machine: Machine) -> None:
    machine.env["CONNECTOR_SECRET_KEY"] = ""
    done = subprocess.run(
        [*CONNECTOR, "serve", "--port", "0", "--workers", "3"],
        env=machine.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CONNECTOR_SECRET_KEY" in done.stderr
