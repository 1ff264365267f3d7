"""Every event 2-5 times at once, in three dialects, in any order: the same records and words as once and in order."""

import asyncio
import os
import random
import re
import time
from base64 import b64encode
from collections import defaultdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from connector.simulate.scenarios import SCENARIOS, Played, Request, utc_now
from tests.e2e.service import API_KEY, API_TOKEN, Service, Written, hook_token, service, stand_in, tenant

CALLS_EACH: Final = 6
IN_ORDER: Final = "exotel1"
SHUFFLED: Final = "exotel2"
BASIC: Final = {"Authorization": "Basic " + b64encode(f"{API_KEY}:{API_TOKEN}".encode()).decode()}
STAMP: Final = re.compile(r"\[ref ([^:]+):(\w+):ticket\]")
#: What Freshworks' URLs call an event.
_FRESHWORKS: Final = {"pop": "pop", "answered": "answered", "missed": "missed", "voicemail": "missed"}


def urls(request: Request, sid: str) -> list[str]:
    """The URLs that the event has in each dialect."""
    found = [f"/h/{hook_token(sid)}/{request.event}"]
    if request.is_post:
        return [*found, f"/v2/accounts/{sid}/status"]
    found.append(f"/v2/accounts/{sid}/call-events?event={request.event}")
    if request.event in _FRESHWORKS:
        tail = "?MissedCallType=voicemail" if request.event == "voicemail" else ""
        found.append(f"/{_FRESHWORKS[request.event]}/{sid}{tail}")
    query = urlencode([*request.query, *request.params], quote_via=quote)
    return [f"{url}{'&' if '?' in url else '?'}{query}" for url in found]


async def send(served: Service, request: Request, path: str) -> None:
    how: dict[str, Any] = {"data": dict(request.params)} if request.is_post else {}
    method = "POST" if request.is_post else "GET"
    async with served.session.request(method, served.url + path, headers=BASIC, **how) as answer:
        assert answer.status == 200, (path, await answer.text())


async def once_in_order(served: Service, played: Played) -> None:
    for request in played.requests:
        await send(served, request, urls(request, IN_ORDER)[0])


async def often_in_any_order(served: Service, played: Played, dice: random.Random) -> int:
    """Returns how many requests it took."""
    sent = [
        (request, dice.choice(urls(request, SHUFFLED)))
        for request in played.requests
        for _ in range(dice.randint(2, 5))
    ]
    dice.shuffle(sent)
    await asyncio.gather(*(send(served, request, path) for request, path in sent))
    return len(sent)


def said(written: Written) -> dict[tuple[str, str], list[Any]]:
    """(connection id, CallSid) -> all that each of its tickets says, without what tells the two tenants apart."""
    stamps = [STAMP.search(ticket["description"]) for ticket in written.tickets]
    apart = "|".join({IN_ORDER, SHUFFLED, *(stamp[1] for stamp in stamps if stamp)})
    tickets: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for ticket, stamp in zip(written.tickets, stamps, strict=True):
        assert stamp, ticket
        texts = [ticket["subject"], ticket["description"], *(note["body"] for note in ticket["conversations"])]
        texts = [re.sub(apart, "ONE OF TWO", text) for text in texts]
        tickets[stamp[1], stamp[2]].append((ticket["requester_id"], ticket["responder_id"], texts))
    return tickets


async def test_events_sent_often_in_several_dialects_and_in_any_order(tmp_path: Path) -> None:
    seed = int(os.environ.get("E2E_SEED") or time.time())
    print(f"E2E_SEED={seed}")
    dice = random.Random(seed)
    options = {"answered": "ticket", "assign": "agent"}
    now = utc_now()
    # Flows that end in silence take two minutes; their convergence is proven on a clock that can be moved.
    flows = [scenario for scenario in SCENARIOS.values() if not scenario.quiet_s]
    plays = [(scenario, dice.getrandbits(64)) for scenario in flows for _ in range(CALLS_EACH)]
    async with stand_in(tmp_path) as crm:
        tenants = [tenant(crm.url, sid=sid, options=options) for sid in (IN_ORDER, SHUFFLED)]
        async with service(tmp_path, *tenants) as served:
            await served.start()
            sent = 0
            for scenario, flow_seed in plays:
                # The same call twice: the same seed gives it the same CallSid, caller and times.
                first, second = (scenario.play(now, sid, random.Random(flow_seed)) for sid in (IN_ORDER, SHUFFLED))
                assert first.call_sid == second.call_sid
                _, count = await asyncio.gather(once_in_order(served, first), often_in_any_order(served, second, dice))
                sent += count
            print(f"{len(plays)} calls, {sent} requests")
            await served.settled(60)

            records: dict[str, dict[str, list[tuple[str, str]]]] = {IN_ORDER: {}, SHUFFLED: {}}
            for sid, slots in records.items():
                for row in await served.all("calls", tenant=sid):
                    details = await served.get(f"calls/{row['call_sid']}", tenant=sid)
                    slots[row["call_sid"]] = sorted((one["slot"], one["kind"]) for one in details["records"])
            assert len(records[IN_ORDER]) == len(plays)
            assert records[SHUFFLED] == records[IN_ORDER]

            written = await crm.written()
            assert set(written.numbers().values()) == {1}
            tickets = said(written)
            assert {key: len(found) for key, found in tickets.items() if len(found) != 1} == {}
            one, other = {connection for connection, _ in tickets}
            for call_sid in records[IN_ORDER]:
                assert tickets[one, call_sid] == tickets[other, call_sid]
            notes = sum(len(texts) - 2 for ((_, _, texts),) in tickets.values())
            assert notes == 2 * CALLS_EACH * sum(scenario.expected("ticket").note for scenario in flows)
