"""Where the service listens: a host and port of its own, a port that workers share, or sockets that were inherited."""

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from connector.errors import ConnectorError

#: A burst of calls waits in the kernel rather than being refused.
_BACKLOG: Final = 1024
#: systemd hands sockets over from this descriptor on (sd_listen_fds(3)).
_FIRST_SOCKET: Final = 3


def inherited_sockets() -> list[socket.socket]:
    """Listening sockets that the service manager opened for this process (LISTEN_PID, LISTEN_FDS)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    # They are ours alone: a child must not take them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST_SOCKET, _FIRST_SOCKET + count)]
    for inherited in sockets:
        inherited.setblocking(False)
        inherited.set_inheritable(False)
    return sockets


@contextlib.contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Holds a port (0: any free one) that workers then listen on with SO_REUSEPORT. Raises `ConnectorError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as alone:
            # Shared by us alone: who listens there already, with whatever option, is found out by not asking to share.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            address = alone.getsockname()
        with socket.socket(family, kind, protocol) as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(address)  # never listened on, so that no connection waits in it
            yield int(address[1])
    except OSError as error:
        raise taken(host, port, error) from None


async def listen(
    runner: web.AppRunner, host: str, port: int, inherited: tuple[socket.socket, ...] = (), *, shared: bool = False
) -> None:
    """Listens on the inherited sockets, else on host and port, `shared` with other workers. Raises `ConnectorError`."""
    for one in inherited:
        await web.SockSite(runner, one, backlog=_BACKLOG).start()
    if inherited:
        return
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG, reuse_address=True, reuse_port=shared or None).start()
    except OSError as error:
        raise taken(host, port, error) from None


def taken(host: str, port: int, error: OSError) -> ConnectorError:
    """Says that an address cannot be listened on."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ConnectorError(f"cannot listen on {host}:{port}: {reason}")
