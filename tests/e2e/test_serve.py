"""`connector serve` as its own process: start, drain, one per store, inherited sockets; and the demo."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
SERVE = [sys.executable, "-m", "connector", "serve"]


class Served:
    """A running service; `url` is what its ready line says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        ready = next(line for line in lines if "serving on" in line)
        self.url = ready.split()[-1]

    def get(self, path: str) -> int:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return int(answer.status)


@contextlib.contextmanager
def served(folder: Path, *command: str, **how: object) -> Iterator[Served]:
    process = subprocess.Popen(
        command or (*SERVE, "--port", "0"), cwd=folder, env=ENVIRON, stdout=subprocess.PIPE, text=True, **how
    )  # type: ignore[call-overload]
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path) as service:
        assert service.get("/readyz") == 200
        for name in ("connector.db.key", "connector.db.token"):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        service.process.send_signal(number)
        assert service.process.wait(timeout=30) == 0


def test_a_second_one_on_the_same_store_is_refused(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        second = subprocess.run(
            [*SERVE, "--port", "0"], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=30, check=False
        )
        assert (second.returncode, second.stderr) == (1, "connector: another connector is serving connector.db\n")
        service.process.kill()
        service.process.wait()
    with served(tmp_path) as third:
        assert third.get("/healthz") == 200


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "--port", port], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 1
    assert f"connector: cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_an_inherited_socket_refuses_nobody_during_a_restart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.set_inheritable(True)
        command = f'exec {{fd}}<&0; export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&{listener.fileno()}; exec "$@"'
        shell = ("bash", "-c", command.replace("exec {fd}<&0; ", ""), "bash", *SERVE)
        with served(tmp_path, *shell, pass_fds=[listener.fileno()]) as first:
            assert first.url.endswith(f":{listener.getsockname()[1]}")
            assert first.get("/readyz") == 200
            first.process.terminate()
            first.process.wait(timeout=30)
        # Nobody serves now: a caller waits in the socket's queue until the next process takes it up.
        with socket.create_connection(listener.getsockname(), timeout=30) as caller:
            caller.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with served(tmp_path, *shell, pass_fds=[listener.fileno()]):
                assert caller.recv(64).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_the_demo_brings_every_record() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "connector", "demo", "--exit"],
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every record came." in done.stdout
    assert re.search(r"desk.* ticket \d+ appeared: Voicemail from \d+ +http://", done.stdout)
    assert done.stderr == ""
    assert time.monotonic() - began < 60
