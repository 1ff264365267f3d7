"""A running ingress per test."""

from collections.abc import AsyncIterator

import pytest

from tests.web.stubs import Client, StubDirectories, StubPipeline, client_of, hook_app, tenant


@pytest.fixture
def pipeline() -> StubPipeline:
    return StubPipeline()


@pytest.fixture
def directories() -> StubDirectories:
    return StubDirectories(tenant())


@pytest.fixture
async def client(pipeline: StubPipeline, directories: StubDirectories) -> AsyncIterator[Client]:
    async with client_of(hook_app(pipeline, directories)) as client:
        yield client
