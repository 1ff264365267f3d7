"""`AdapterSuite`: the checks that every adapter passes, ours and others' alike.

```python
class TestTallydesk(AdapterSuite):
    adapter = Tallydesk
    settings = {"domain": "acme.tallydesk.example", "api_key": "k-test"}
    exchanges = "tallydesk"  # the folder of recordings, beside this file under exchanges/

    def standin(self) -> web.Application:  # a small CRM to break things at; without it only recordings are replayed
        return tallydesk_app()
```
A check may be marked `xfail` with a reason, never dropped or overridden. Checks that a CRM must remember something for
need a stand-in; with recordings alone they are left out, and the tour through the recordings stands for them.
"""

import inspect
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from aiohttp import web

from connector.adapter import Adapter, Agent, Home
from connector.kit.applies import drop_what_does_not_apply, where
from connector.kit.bench import Bench, Maker, Refusal, bench_at, writes_of
from connector.kit.declared import DeclaredChecks
from connector.kit.failing import READS, WRITES, FailingChecks
from connector.kit.replay import Replay
from connector.kit.tour import tour
from connector.kit.wire import serving
from connector.kit.written import WORDED, WORDINGS, WrittenChecks


class AdapterSuite(DeclaredChecks, WrittenChecks, FailingChecks):
    """Checks an adapter; subclass it as shown in the module."""

    pytestmark = pytest.mark.asyncio

    adapter: ClassVar[type[Adapter[Any]]]
    #: Settings that the stand-in, or the recordings, know; `base_url` is added.
    settings: ClassVar[Mapping[str, Any]] = {}
    #: Name of a folder below `exchanges/`, beside the file of the subclass.
    exchanges: ClassVar[str | None] = None
    #: Refusals that the CRM documents, beyond the statuses that mean the same everywhere.
    refusals: ClassVar[tuple[Refusal, ...]] = ()
    #: Whom records are given to; None: the first of `list_agents`.
    agent: ClassVar[Agent | None] = None
    #: Longest that a lagging search is waited for, seconds.
    patience_s: ClassVar[float] = 5.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "adapter"):
            drop_what_does_not_apply(cls, AdapterSuite, has_standin=cls.standin is not AdapterSuite.standin)

    def standin(self) -> web.Application | None:
        """A new, empty CRM, started and stopped per check; None: there is none."""
        return None

    def settings_at(self, url: str) -> dict[str, Any]:
        """Settings for a CRM at `url`; overridden where further addresses lead there."""
        return {**self.settings, "base_url": url} if url else dict(self.settings)

    def home(self, connection: str, url: str) -> Home:
        """The connector itself, for an adapter that talks back to it."""
        return Home(url=url or "http://home.example", token=f"kit-home-token-of-{connection}")

    @classmethod
    def has_recordings(cls) -> bool:
        """Whether the suite says where recordings are."""
        return cls.exchanges is not None or cls.exchanges_folder is not AdapterSuite.exchanges_folder

    def exchanges_folder(self) -> Path | None:
        """Where the recordings are."""
        if self.exchanges is None:
            return None
        return Path(inspect.getfile(type(self))).parent / "exchanges" / self.exchanges

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One run of a check per kind of record, wording, status or refusal that it asks for."""
        writes = writes_of(self.adapter)
        changeable = [write for write in writes if write.changes(self.adapter)]
        runs: dict[str, dict[str, Any]] = {
            "write": {write.kind: write for write in writes},
            "changeable": {write.kind: write for write in changeable},
            "worded": {write.kind: write for write in writes if write.kind in WORDED},
            "wording": {name: name for name in WORDINGS},
            "read_status": {str(status): status for status in READS},
            "write_status": {str(status): status for status in WRITES},
            "refusal": {f"{refusal.status}-{place}": refusal for place, refusal in enumerate(self.refusals)},
        }
        for name, values in runs.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values.values()), ids=list(values))

    @pytest_asyncio.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        """The stand-in behind a wire."""
        app = self.standin()
        assert app is not None, "standin() is overridden, so it returns a CRM"
        async with serving(app) as url, bench_at(url, self._maker()) as bench:
            yield bench

    @where(lambda suite: suite.has_recordings() or suite.standin is AdapterSuite.standin)
    async def test_recordings_are_replayed(self) -> None:
        """A tour through the contract makes the recorded requests, all of them and no other."""
        folder = self.exchanges_folder()
        if folder is None:
            pytest.fail("nothing to check against: give `exchanges`, or standin()")
        replay = Replay.of(folder)
        async with serving(replay.app()) as url, bench_at(url, self._maker()) as bench:
            try:
                await tour(bench)
            finally:
                assert not replay.unrecorded, "requests that were not recorded:\n" + "\n".join(replay.unrecorded)
        assert not replay.unused, f"recordings that were not used: {', '.join(replay.unused)}"

    def _maker(self) -> Maker:
        return Maker(self.adapter, self.settings_at, self.home, self.agent, self.patience_s)
