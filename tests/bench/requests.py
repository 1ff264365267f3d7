"""Requests to the CRM for one call: of a new caller, of one whom the CRM knows, of one who called before."""

from typing import Any, Final

from connector.phone import parse_number
from connector.serve import run
from tests.bench.drain import wait
from tests.bench.load import Requests, closed_loop
from tests.bench.rig import Process, StandIn, free_port, report, service, workplace
from tests.bench.store import Store, new_store

_TARGETS: Final = {"new": 5, "known to the CRM": 3, "called before": 3}
_TIMEOUT_S: Final = 60.0


def measure(calls: int, connections: int) -> None:
    """Runs it and prints the result."""
    port = free_port()
    with workplace() as folder:
        store = new_store(folder / "store", connections, f"http://127.0.0.1:{port}")
        with StandIn(folder, port) as standin, service(store) as server:
            new, known = Requests(store.hooks, "freshdesk"), Requests(store.hooks, "freshdesk")
            for number in range(calls):
                standin.add_contact(name="Asha Rao", mobile=str(parse_number(known.caller(number), "IN")))
            rounds = {"new": new, "known to the CRM": known, "called before": new.again()}
            figures = {name: _calls(server, standin, store, requests, calls) for name, requests in rounds.items()}
    report("requests", calls=calls, targets=_TARGETS, **figures)


def _calls(server: Process, standin: StandIn, store: Store, requests: Requests, calls: int) -> dict[str, Any]:
    async def work() -> None:
        (await closed_loop(server.port, requests.some(calls), lines=1)).refuse_failures()

    before = standin.state()["requests"]
    run(work())
    wait(_TIMEOUT_S, lambda: not store.is_busy(), 0.05)
    after = standin.state()["requests"]
    routes = {route: round((count - before.get(route, 0)) / calls, 3) for route, count in after.items()}
    return {"requests_per_call": round(sum(routes.values()), 3), **{name: n for name, n in routes.items() if n}}
