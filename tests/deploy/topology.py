"""The compose file's topology as plain processes: PostgreSQL, two replicas, and Caddy with TLS in front.

Commands, environment and the proxy's file are the compose file's own; what a container engine would do (names,
volumes, the image) is done here: services have ports of 127.0.0.1, and PostgreSQL is the one of the test extra.
"""

import asyncio
import contextlib
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from cryptography.fernet import Fernet

from tests.e2e.service import CONNECTOR, ENVIRON, Process, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
REPLICAS = ("connector-1", "connector-2")
_START_S = 60.0


class Topology:
    """The services of the compose file, by name."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        self.ports = {name: free_port() for name in (*REPLICAS, "proxy", "http")}
        self.secret_key = Fernet.generate_key().decode()
        self._filled = {
            "POSTGRES_PASSWORD": secrets.token_hex(8),
            "PUBLIC_HOST": f"localhost:{self.ports['proxy']}",
        }
        self._database_url = database_url
        self.processes = {name: Process(folder / f"{name}.log") for name in (*REPLICAS, "proxy")}
        self.url = f"https://localhost:{self.ports['proxy']}"

    def environment(self, service: str) -> dict[str, str]:
        """A service's environment, as the compose file has it, at this machine's addresses."""
        told: Mapping[str, str] = self.compose[service]["environment"]
        filled = {name: self._fill(value) for name, value in told.items()}
        if service == "proxy":
            for name in REPLICAS:
                filled["UPSTREAMS"] = filled["UPSTREAMS"].replace(f"{name}:8080", f"127.0.0.1:{self.ports[name]}")
            return {**ENVIRON, **filled, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        filled["CONNECTOR_DATABASE_URL"] = self._database_url
        filled["CONNECTOR_TRUSTED_PROXIES"] = "127.0.0.1"
        return {**ENVIRON, **filled}

    def _fill(self, value: str) -> str:
        filled = {**self._filled, "CONNECTOR_SECRET_KEY": self.secret_key}
        return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: filled[match[1]], value)

    def start(self, service: str) -> None:
        """Starts a replica or the proxy."""
        env = self.environment(service)
        if service == "proxy":
            file = self.folder / "Caddyfile"
            # Port 80 is root's on a machine of one's own.
            ports = f"{{\n\thttp_port {self.ports['http']}\n"
            file.write_text((DEPLOY / "proxy" / "Caddyfile").read_text().replace("{\n", ports, 1))
            caddy = str(Path(sys.executable).with_name("caddy"))
            self.processes[service].spawn([caddy, "run", "--adapter", "caddyfile", "--config", str(file)], env)
            return
        command = [*CONNECTOR, *self.compose[service]["command"], "--port", str(self.ports[service])]
        self.processes[service].spawn(command, {**env, "CONNECTOR_HOST": "127.0.0.1"})

    async def run(self, *arguments: str, service: str = "connector-1") -> str:
        """What a command of the console script prints, in a service's environment; it must succeed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [*CONNECTOR, *arguments],
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    async def get(self, path: str, **how: Any) -> int:
        """The status that the proxy answers; 0 where none came."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path, ssl=False, **how) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0

    async def ready(self, service: str) -> None:
        """Returns once a replica answers that it is ready, or the proxy passes requests on."""
        url = self.url if service == "proxy" else f"http://127.0.0.1:{self.ports[service]}"
        async with asyncio.timeout(_START_S), aiohttp.ClientSession() as session:
            while True:
                assert self.processes[service].is_alive, self.processes[service].tail()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{url}/readyz", ssl=False) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    def logs(self) -> str:
        """All that any of the processes said."""
        return "\n".join(process.log.read_text(errors="replace") for process in self.processes.values())

    def end(self) -> None:
        """Ends every process."""
        for process in self.processes.values():
            process.kill()


@contextlib.asynccontextmanager
async def topology(folder: Path, database_url: str) -> AsyncIterator[Topology]:
    """The whole topology, started in the compose file's order: the schema first, then replicas, then the proxy."""
    made = Topology(folder, database_url)
    try:
        await made.run(*made.compose["migrate"]["command"], service="migrate")
        for name in REPLICAS:
            made.start(name)
        for name in REPLICAS:
            await made.ready(name)
        made.start("proxy")
        await made.ready("proxy")
        yield made
    finally:
        made.end()
