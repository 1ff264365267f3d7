"""The console script as its own process: help, wrong use, and commands on a store."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from connector.cli.main import run as run_command

COMMANDS = (
    *("serve", "demo", "apply", "check", "hook", "simulate", "calls", "deliveries", "replay", "adapters"),
    *("new-adapter", "migrate", "user", "user add", "backup", "rekey", "recordings", "call", "agents", "device"),
    *("statement", "reconcile", "backfill"),
)

FILE = """
tenants:
  - sid: exotel535
    api_key: demo_key
    api_token: "${EXOTEL_TOKEN}"
    connections: [{name: desk, adapter: local}]
"""


def connector(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
    return subprocess.run(
        [sys.executable, "-m", "connector", *arguments],
        cwd=cwd,
        env={**environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


Run = Callable[[str], tuple[int, str, str]]
Inside = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in a folder of its own: code, output, error. A new one takes half a second."""
    for name in os.environ:
        if name.startswith("CONNECTOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(arguments: str) -> tuple[int, str, str]:
        code = run_command(arguments.split())
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    """`connector` in this process."""

    def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("CONNECTOR_")]:
                patch.delenv(name)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.chdir(cwd)
            code = run_command(arguments)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, run: Run) -> None:
    code, out, err = run(f"{command} --help")
    assert code == 0
    assert out.startswith("Usage: connector")
    assert err == ""


def test_as_a_process() -> None:
    done = connector("calls", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: connector calls")
    assert done.stderr == ""
    done = connector("nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("connector: No such command 'nope'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "Missing command"),
        ("nope", "No such command 'nope'"),
        ("serve --port abc", "'abc' is not a valid integer"),
        ("serve --database-url mysql://x/y", "CONNECTOR_DATABASE_URL: 'mysql' is not supported"),
        ("serve --database-url sqlite:////no/such/folder/x.db", "CONNECTOR_DATABASE_URL: the folder"),
        ("apply", "Missing argument 'FILE'"),
        ("apply nofile.yaml", "nofile.yaml cannot be read: No such file or directory"),
        ("check t1", "there is no store"),
        ("hook t1", "there is no store"),
        ("simulate", "Missing argument 'URL'"),
        ("simulate http://h/h/token --mix nope", "--mix takes NAME=WEIGHT"),
        ("simulate http://key:tok@h/elsewhere", "the URL is no hook"),
        ("simulate http://h/h/token --calls 0", "0 is not in the range"),
        ("calls --since yesterday", "--since takes a time"),
        ("deliveries --state lost", "'lost' is not one of"),
        ("replay", "say either --call-sid, or --from and --to"),
        ("replay --call-sid x --from 1h", "say either --call-sid, or --from and --to"),
        ("user add", "Missing argument 'NAME'"),
        ("user add bob", "say either --tenant SID or --operator"),
        ("user add bob --operator --tenant t", "say either --tenant SID or --operator"),
        ("backup copy.db", "there is no store"),
        ("rekey", "there is no store"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: str, words: str, run: Run) -> None:
    code, out, err = run(arguments)
    assert code == 2
    assert err.startswith("connector: ")
    assert err.count("\n") == 1
    assert words in err
    assert out == ""


def test_a_setting_that_cannot_be_is_named() -> None:
    done = connector("calls", env={"CONNECTOR_LOG_FORMAT": "xml"})
    assert (done.returncode, done.stderr) == (2, "connector: CONNECTOR_LOG_FORMAT: 'xml' is neither text nor json\n")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "connector.db").write_text("hello\n" * 1000)
    for command in ("calls", "serve"):
        done = connector(command, cwd=tmp_path)
        assert done.returncode == 2
        assert "connector.db cannot be used as a store" in done.stderr
        assert done.stderr.count("\n") == 1


def test_from_a_file_to_hooks_users_and_backups(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "t.yaml").write_text(FILE)
    env = {"EXOTEL_TOKEN": "exotel-token", "CONNECTOR_PUBLIC_URL": "https://calls.example.com"}

    unset = inside("apply", "t.yaml", cwd=tmp_path)
    assert (unset.returncode, unset.stderr) == (
        2,
        "connector: tenants[0].api_token: the environment variable EXOTEL_TOKEN is not set\n",
    )
    assert inside("apply", "t.yaml", cwd=tmp_path, env=env).stdout.splitlines() == [
        "exotel535: added",
        "exotel535/desk: added (local, local/desk)",
    ]
    assert inside("apply", "t.yaml", cwd=tmp_path, env=env).stdout == "Nothing changed.\n"

    before = inside("hook", "exotel535", cwd=tmp_path, env=env).stdout
    after = inside("hook", "exotel535", "--rotate", cwd=tmp_path, env=env).stdout
    urls = [re.search(r"https://calls\.example\.com/h/\S+/pop", text) for text in (before, after)]
    assert urls[0]
    assert urls[1]
    assert urls[0][0] != urls[1][0]

    token = inside("user", "add", "Anita", "--token", "--tenant", "exotel535", cwd=tmp_path)
    assert re.fullmatch(r"ctk_[\w-]{43}\n", token.stdout)
    assert inside("calls", cwd=tmp_path).stdout == "No calls.\n"
    assert inside("deliveries", "--state", "dead", cwd=tmp_path).stdout == "No deliveries.\n"
    assert inside("replay", "--from", "1d", "--dry-run", cwd=tmp_path).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "connector.db")) as store, store:
        store.execute(
            "insert into tombstone (tenant_id, call_sid, connection_id, slot, kind, made_at)"
            " values (1, 'old', 'c', 'ticket', 'ticket', 0)"
        )
    pruned = inside("replay", "--call-sid", "old", cwd=tmp_path)
    assert (pruned.returncode, "its records stay" in pruned.stderr) == (2, True)
    assert "local" in inside("adapters", cwd=tmp_path).stdout

    assert inside("backup", "copy.db", cwd=tmp_path).stdout == "copy.db\ncopy.db.key\n"
    again = inside("backup", "copy.db", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "connector: copy.db is in the way; a backup never overwrites\n")
    assert inside("rekey", cwd=tmp_path).stdout == "Sealed 2 values with the newest key.\n"
    restored = {**env, "CONNECTOR_DATABASE_URL": "sqlite:///copy.db"}
    assert inside("apply", "t.yaml", cwd=tmp_path, env=restored).stdout == "Nothing changed.\n"
    assert "pop" in inside("hook", "exotel535", cwd=tmp_path, env=env).stdout


def test_recordings_are_listed_and_withdrawn(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "t.yaml").write_text(FILE, encoding="utf-8")
    assert inside("apply", "t.yaml", cwd=tmp_path, env={"EXOTEL_TOKEN": "t"}).returncode == 0
    assert inside("recordings", "exotel535", cwd=tmp_path).stdout == "No recordings.\n"
    refused = inside("recordings", "exotel535", "--revoke", "c1", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (2, "connector: exotel535 has no recording of a call 'c1'.\n")
    with sqlite3.connect(tmp_path / "connector.db") as sql:
        sql.execute("insert into call (id, tenant_id, call_sid, created_at) values (1, 1, 'c1', 0)")
        row = "1, 1, 'https://recordings.exotel.com/exotelrecordings/exotel535/c1.mp3', 'ready', 9, '0a'"
        sql.execute(f"insert into recording (tenant_id, call_id, url, state, size, name) values ({row})")
    listed = json.loads(inside("recordings", "exotel535", "--json", cwd=tmp_path).stdout)
    assert (listed["call_sid"], listed["bytes"], listed["withdrawn_at"]) == ("c1", 9, None)
    assert listed["open_until"] == "1970-01-31T00:00:00Z"
    assert inside("recordings", "exotel535", "--revoke", "c1", cwd=tmp_path).stdout == "Withdrew 1 link.\n"
    again = inside("recordings", "exotel535", "--revoke", "c1", cwd=tmp_path)
    assert again.stdout == "They were withdrawn before.\n"
    assert "ended with the old key" in inside("rekey", cwd=tmp_path).stdout


def test_what_is_lost_without_a_public_address_is_said(tmp_path: Path, inside: Inside) -> None:
    desk = "{name: help, adapter: freshdesk, settings: {domain: acme, api_key: k}}"
    (tmp_path / "t.yaml").write_text(f"tenants: [{{sid: t1, api_key: k, api_token: t, connections: [{desk}]}}]")
    said = inside("apply", "t.yaml", cwd=tmp_path).stderr
    assert said.startswith("connector: warning: CONNECTOR_PUBLIC_URL is not set: records of t1/help say")
    assert said.count("\n") == 1
    quiet = inside("apply", "t.yaml", cwd=tmp_path, env={"CONNECTOR_PUBLIC_URL": "https://calls.example.com"})
    assert quiet.stderr == ""
