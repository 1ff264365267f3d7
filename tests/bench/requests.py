"""Requests to the CRM for one call: of a new caller, of one whom the CRM knows, of one who called before."""

from pathlib import Path
from typing import Any, Final

from connector.serve.process import run
from tests.bench import crms
from tests.bench.drain import NotDone, wait
from tests.bench.load import Requests, closed_loop
from tests.bench.rig import Process, StandIn, free_port, report, say, service, workplace
from tests.bench.store import Store, new_store

#: Of an adapter that writes tickets.
_TARGETS: Final = {"new": 5, "known": 3, "called before": 3}
_TIMEOUT_S: Final = 60.0


def measure(adapter: str, calls: int, connections: int) -> None:
    """Runs it and prints the result: by route, or for `all` adapters how many there are."""
    if connections < 2:
        raise SystemExit("a caller is known to the CRM by a call to another tenant: there must be two")
    with workplace() as folder:
        if adapter != crms.ALL:
            figures = _one(folder, adapter, calls, connections)
        else:
            figures = {}
            for name in crms.NAMES:
                found = _one(folder, name, calls, connections)
                figures[name] = {callers: routes["requests_per_call"] for callers, routes in found.items()}
                say(f"requests, {name}: {figures[name]}")
    report("requests", adapter=adapter, calls=calls, targets=_TARGETS, **figures)


def _one(folder: Path, adapter: str, calls: int, connections: int) -> dict[str, Any]:
    port = free_port()
    store = new_store(folder / adapter, connections, f"http://127.0.0.1:{port}", adapter)
    with StandIn(folder, port, adapter) as standin, service(store) as server:
        new = Requests(store.hooks, "freshdesk")
        rounds = {"new": new, "known": new.elsewhere(), "called before": new.again()}
        return {name: _calls(server, standin, store, requests, calls) for name, requests in rounds.items()}


def _calls(server: Process, standin: StandIn, store: Store, requests: Requests, calls: int) -> dict[str, Any]:
    async def work() -> None:
        (await closed_loop(server.port, requests.some(calls), lines=1)).refuse_failures()

    before, last = standin.state()["requests"], store.last_delivery()
    run(work())
    wait(_TIMEOUT_S, lambda: not store.is_busy(), 0.05)
    states = store.ask("select state, count(*) from delivery where id > :last group by state", last=last)
    if states != [("done", calls)]:
        raise NotDone(f"{calls} calls were to be done, these are: {dict(states)}")
    after = standin.state()["requests"]
    routes = {route: round((count - before.get(route, 0)) / calls, 3) for route, count in after.items()}
    return {"requests_per_call": round(sum(routes.values()), 3), **{name: n for name, n in routes.items() if n}}
