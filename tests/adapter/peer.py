"""The other side of a client under test: a server that says what it is told to, and remembers every byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Answer = Callable[["Peer", asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """The other side: reads whole requests, remembers every byte, answers as it is told."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.received = b""
        self.requests: list[str] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.received += head
                lines = head.decode().lower().split("\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
                self.received += await reader.readexactly(length)
                self.requests.append(head.decode().partition(" HTTP/")[0])
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(self, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def says(status: int = 200, body: Any = None, **headers: str) -> Answer:
    """Answers with JSON (or bytes as they are)."""

    async def answer(_peer: Peer, writer: asyncio.StreamWriter) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()

    return answer


def cuts(after_s: float = 0.0) -> Answer:
    """Cuts the connection instead of an answer."""

    async def answer(_peer: Peer, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(after_s)
        writer.transport.abort()

    return answer


def hangs() -> Answer:
    """Never answers."""

    async def answer(_peer: Peer, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return answer


@asynccontextmanager
async def peer(*answers: Answer) -> AsyncIterator[Peer]:
    """A peer that listens; its connections end with the block."""
    there = Peer(*answers)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(there.serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
