"""The whole service behind a socket, with a CRM's stand-in and Exotel's, for applets that ask while a caller waits."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from connector.config import Config
from connector.kit.exotel import ExotelAccount, exotel_app
from connector.kit.faults import Faults
from connector.store.opening import opened
from connector.tenants.apply import apply
from connector.tenants.file import TenantFile
from connector.web.keys import DIRECTORIES
from tests.databases import config_in
from tests.rig.clock import ManualClock
from tests.rig.crm import standin_of
from tests.rig.listening import listening
from tests.rig.service import Service, service
from tests.rig.tenant import CALLER, EXOPHONE, HOOK, SID, connection, tenant
from tests.rig.waiting import until

__all__ = ["CALLER", "EXOPHONE", "HOOK", "SID", "Switchboard", "switchboard"]

PUBLIC: Final = "https://calls.acme.example"
#: Agents, as Exotel and the tenant know them.
ASHA, BINA, CHETAN = "+919711581101", "+919711581102", "+919711581103"
FRONT_DESK: Final = "+918047494999"


@dataclass
class Switchboard(Service):
    """A running service with one tenant."""

    crm: Any
    crm_faults: Faults
    exotel: ExotelAccount
    exotel_faults: Faults
    tenant: dict[str, Any]

    async def answer(self, applet: str = "connect", call_sid: str = "c1", **params: str) -> dict[str, Any]:
        """The JSON that Exotel gets, asking as its documents say."""
        answer = await self.get(applet, call_sid, **params)
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "application/json"
        found: dict[str, Any] = json.loads(await answer.text())
        return found

    async def get(self, applet: str, call_sid: str | None = "c1", **params: str) -> Any:
        """A request of Exotel's."""
        asked = {"CallSid": call_sid, "CallFrom": CALLER, "From": CALLER, "To": EXOPHONE, "CallTo": EXOPHONE}
        asked |= {"Direction": "incoming", "CallType": "call-attempt", "DialCallDuration": "0", **params}
        query = {name: value for name, value in asked.items() if value is not None}
        return await self.client.get(f"/h/{HOOK}/{applet}", params=query, headers={"Exotel-Version": "1.0"})

    async def failed(self, number: str, call_sid: str = "c1", status: str = "no-answer", **params: str) -> Any:
        """The request after an attempt to ring `number`."""
        told = {"DialWhomNumber": f"0{number[3:]}", "DialCallStatus": status, "CallType": "incomplete"}
        return await self.answer("connect", call_sid, **{**told, "DialCallDuration": "17", **params})

    async def change(self, **changes: Any) -> None:
        """Applies the tenant with these changes, as another process would."""
        self.tenant |= changes
        await asyncio.to_thread(put, self.config, self.tenant)
        await self.app[DIRECTORIES].refresh()

    async def event(self, kind: str, call_sid: str, **params: str) -> None:
        """An event of a call, and what becomes of it."""
        async with self.client.get(f"/h/{HOOK}/{kind}", params={"CallSid": call_sid, **params}) as answer:
            assert answer.status == 200

    async def until_folded(self, call_sid: str) -> None:
        """Returns once the call's facts are in the store."""
        query = "select summary from call where call_sid = :call_sid and summary is not null"
        await until(lambda: self.rows(query, call_sid=call_sid))


def user(number: str, *, on: bool = True, status: str = "free", call: str | None = None) -> dict[str, Any]:
    """A user of Exotel's with one telephone."""
    device = {"id": int(number[-4:]), "name": "phone", "contact_uri": number, "type": "tel", "verified": True}
    return {
        "id": f"u{number[-4:]}",
        "email": f"a{number[-4:]}@acme.example",
        "first_name": "A",
        "last_name": "B",
        "role": "user",
        "active_call": call,
        "last_login": None,
        "devices": [{**device, "available": on, "status": status}],
    }


def put(config: Config, tenant: Mapping[str, Any]) -> None:
    """Applies a file with one tenant."""
    with opened(config, make=True) as store:
        apply(TenantFile.model_validate({"tenants": [tenant]}), store.db, store.box)


@contextlib.asynccontextmanager
async def switchboard(
    folder: Path, crm: str = "hubspot", connect: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncIterator[Switchboard]:
    """A switchboard whose Connect applet is `connect`, beside a fallback; `changes` go into the tenant."""
    clock = ManualClock()
    account = standin_of(crm).Account(clock=clock.now)
    exotel = ExotelAccount(sid=SID, api_key="demo_key", api_token="demo_token")
    exotel.users = [user(number) for number in (ASHA, BINA, CHETAN)]
    crm_faults, exotel_faults = Faults(), Faults()
    async with (
        listening(standin_of(crm).standin(account, crm_faults)) as crm_url,
        listening(exotel_app(exotel, exotel_faults)) as exotel_url,
    ):
        people = [
            {"crm_id": crm_id, "name": name, "phone": number}
            for crm_id, name, number in zip(users_of(account), ("Asha", "Bina"), (ASHA, BINA), strict=False)
        ]
        wish = {
            "hook_token": HOOK,
            "api_url": exotel_url,
            "applets": {"connect": {"main": {"fallback": [FRONT_DESK], **(connect or {})}}},
            **changes,
        }
        file = tenant(connection(crm, crm_url, "crm", agents=people), **wish)
        config = replace(config_in(folder), public_url=PUBLIC)
        await asyncio.to_thread(put, config, file)
        async with service(config, clock) as s:
            yield Switchboard(s.client, config, clock, s.operator, account, crm_faults, exotel, exotel_faults, file)


def users_of(account: Any) -> list[str]:
    """Ids of the users of a stand-in's CRM, as records name them."""
    for name in ("owners", "users", "agents"):
        found = getattr(account, name, None)
        if isinstance(found, dict) and found:
            return [str(id_) for id_ in found]
    raise AssertionError("the stand-in has no users")
