"""What stands for Exotel's recordings in these tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.recordings.peer import Peer


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    """A running peer without recordings."""
    async with Peer().running() as running:
        yield running
