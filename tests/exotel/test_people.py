"""Users and devices, numbers and text messages."""

from typing import Any

import pytest

from connector.errors import ExotelRefused, NotFound, OutcomeUnknown
from connector.exotel.api import Exotel
from connector.kit.exotel import ExotelAccount
from connector.kit.faults import Faults
from tests.exotel.conftest import AGENT, CUSTOMER, EXOPHONE


def user(number: int, **devices: bool) -> dict[str, Any]:
    """A user whose devices, by id, are on or off."""
    rows = [
        {
            "id": place,
            "name": name,
            "contact_uri": f"+91971158{number:04}" if place == 1 else f"sip:user{number}",
            "type": "tel" if place == 1 else "sip",
            "available": on,
            "verified": name != "unverified",
            "status": "free",
        }
        for place, (name, on) in enumerate(devices.items(), start=1)
    ]
    return {
        "id": f"u{number}",
        "first_name": "Asha",
        "last_name": "Rao",
        "email": f"u{number}@acme.example",
        "role": "user",
        "active_call": None,
        "devices": rows,
    }


class TestUsers:
    async def test_every_page(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(number, phone=True) for number in range(120)]
        users = await exotel.people.list_users()
        assert [one.id for one in users] == [f"u{number}" for number in range(120)]
        assert account.requests["GET /v2/accounts/{sid}/users"] == 3
        assert users[7].on == users[7].devices[0]
        assert users[7].devices[0].uri == "+919711580007"

    async def test_by_email_and_by_device(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=True), user(2, phone=True)]
        by_email = [one.id async for one in exotel.people.users(email="u2@acme.example")]
        by_device = [one.id async for one in exotel.people.users(device_uri="+919711580001")]
        assert (by_email, by_device) == (["u2"], ["u1"])

    async def test_no_number_in_a_repr(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=True)]
        assert "9711580001" not in repr(await exotel.people.list_users())
        assert "@" not in repr(await exotel.people.list_users())


class TestDevices:
    async def test_one_device_at_a_time(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=True, browser=False)]
        (one,) = await exotel.people.list_users()
        device = await exotel.people.switch_on(one, "2")
        assert (device.id, device.available) == ("2", True)
        assert [d["available"] for d in account.users[0]["devices"]] == [False, True]

    async def test_what_was_on_comes_back(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=True, unverified=False)]
        (one,) = await exotel.people.list_users()
        with pytest.raises(ExotelRefused) as caught:
            await exotel.people.switch_on(one, "2")
        assert (caught.value.why, caught.value.code) == ("device_unverified", "10809")
        assert [d["available"] for d in account.users[0]["devices"]] == [True, False]

    async def test_an_unsure_switch_is_left_alone(self, exotel: Exotel, account: ExotelAccount, faults: Faults) -> None:
        account.users = [user(1, phone=True, browser=False)]
        (one,) = await exotel.people.list_users()
        faults.script.extend(["ok", "error_after"])
        with pytest.raises(OutcomeUnknown):
            await exotel.people.switch_on(one, "2")
        assert [d["available"] for d in account.users[0]["devices"]] == [False, True]

    async def test_a_conflict_that_we_did_not_see(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=False, browser=False)]
        (one,) = await exotel.people.list_users()
        account.users[0]["devices"][0]["available"] = True
        with pytest.raises(ExotelRefused) as caught:
            await exotel.people.switch_on(one, "2")
        assert caught.value.why == "device_conflict"

    async def test_off(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.users = [user(1, phone=True)]
        (one,) = await exotel.people.list_users()
        assert (await exotel.people.switch_off(one, "1")).available is False
        with pytest.raises(NotFound):
            await exotel.people.switch_off(one, "9")


class TestNumbers:
    @pytest.mark.parametrize("has_v2_beta", [True, False])
    async def test_exophones(self, exotel: Exotel, account: ExotelAccount, has_v2_beta: bool) -> None:
        account.has_v2_beta = has_v2_beta
        account.exophones = {f"+9180474{number:05}": "Line" for number in range(120)}
        assert [phone.number for phone in await exotel.numbers.exophones()] == list(account.exophones)

    async def test_info(self, exotel: Exotel, account: ExotelAccount) -> None:
        account.dnd = {CUSTOMER}
        info = await exotel.numbers.info(CUSTOMER)
        assert (info.number, info.type, info.dnd) == (CUSTOMER, "Mobile", True)
        assert (await exotel.numbers.info(AGENT)).dnd is False


class TestLegs:
    async def test_of_a_running_call(self, exotel: Exotel, account: ExotelAccount) -> None:
        sid = account.add_call({"running": True})
        (leg,) = await exotel.legs.active(sid)
        assert (leg.call_sid, leg.number, leg.origin) == (sid, CUSTOMER, "inbound")
        listener = await exotel.legs.monitor(sid, "listen", "09711581199", custom_field="x")
        assert (listener.number, listener.origin, listener.last_action) == (AGENT, "monitor", "listen")
        whisper = await exotel.legs.upgrade(sid, listener.sid, "whisper", target_leg_sid=leg.sid)
        assert whisper.last_action == "whisper"
        assert [one.origin for one in await exotel.legs.active(sid)] == ["inbound", "monitor"]
        assert (await exotel.legs.hang_up(sid, leg.sid)).last_action == "hangup"
        assert await exotel.legs.active(sid) == []

    async def test_of_a_call_that_is_over(self, exotel: Exotel, account: ExotelAccount) -> None:
        sid = account.add_call()
        assert await exotel.legs.active(sid) == []
        first, second = await exotel.legs.finished(sid)
        assert (first.number, second.number) == (CUSTOMER, AGENT)
        assert (second.exophone, second.on_call_duration_s) == (EXOPHONE, 32)
        with pytest.raises(ExotelRefused) as caught:
            await exotel.legs.hang_up(sid, first.sid)
        assert caught.value.why == "not_running"

    async def test_a_leg_that_has_left(self, exotel: Exotel, account: ExotelAccount) -> None:
        with pytest.raises(ExotelRefused) as caught:
            await exotel.legs.hang_up(account.add_call({"running": True}), "0" * 32)
        assert caught.value.why == "not_running"

    async def test_a_whisper_to_nobody(self, exotel: Exotel) -> None:
        with pytest.raises(ValueError, match="whisper"):
            await exotel.legs.monitor("0" * 32, "whisper", "09711581199")
