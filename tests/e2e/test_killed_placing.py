"""Killed (SIGKILL) while Exotel works on a Connect: nobody is rung twice, and the call is bound by its own callback."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from tests.e2e.service import AGENT, SID, Service, stand_in, tenant
from tests.e2e.service import service as service_
from tests.rig.listening import Server
from tests.rig.waiting import until

WISH = {"tenant": SID, "connection": "support", "agent": "1", "number": "08884643606"}


def operators_token(service: Service) -> str:
    return Path(f"{service.database}.token").read_text().strip()


async def place(service: Service, **more: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {operators_token(service)}", "Idempotency-Key": "k1"}
    async with service.session.post(f"{service.url}/api/v1/calls", json={**WISH, **more}, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_killed_between_the_row_and_the_answer(tmp_path: Path) -> None:
    exotel, faults = ExotelAccount(sid=SID, sends_callbacks=False), Faults()
    faults.slow_s, faults.effect_after_s, faults.only = 120.0, 0.0, "connect"
    faults.script.append("late")
    agents = [{"crm_id": "1", "name": "Avnish", "phone": AGENT, "outbound": True}]
    async with Server(exotel_app(exotel, faults)) as at_exotel, stand_in(tmp_path) as crm:
        owner = tenant(crm.url, agents=agents) | {"api_url": str(at_exotel.make_url("/"))}
        async with service_(tmp_path / "service", owner) as service:
            service.env["CONNECTOR_PUBLIC_URL"] = service.url
            await service.start()
            placing = asyncio.create_task(place(service))
            await until(lambda: exotel.connects, 30)
            (form,) = exotel.connects
            service.kill()
            try:
                await placing
            except aiohttp.ClientError:
                pass
            else:
                raise AssertionError("it answered before it was killed")
            await service.start()

            status, body = await place(service)
            assert (status, body) == (202, {"id": form["CustomField"], "call_sid": None, "state": "unknown"})
            assert (await place(service, number="09711500009"))[0] == 422, "the key was used"

            (call,) = exotel.dump()["calls"]
            told = {
                "CallSid": call["Sid"],
                "EventType": "terminal",
                "Status": "completed",
                "From": form["From"],
                "To": form["To"],
                "PhoneNumberSid": form["CallerId"],
                "Direction": "outbound-api",
                "ConversationDuration": "12",
                "CustomField": form["CustomField"],
                "Legs[0][Status]": "completed",
                "Legs[1][Status]": "completed",
            }
            async with service.session.post(form["StatusCallback"], data=told) as answer:
                assert answer.status == 200
            await service.settled(60)
            assert await place(service) == (
                202,
                {"id": form["CustomField"], "call_sid": call["Sid"], "state": "placed"},
            )
            assert len(exotel.connects) == 1
            (await crm.written()).assert_exact([call["Sid"]], (1, 1), 1)
