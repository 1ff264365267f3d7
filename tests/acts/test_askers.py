"""Who may ask for what: decided by the acts alone, whatever the face."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from connector.acts import agents, calls, connections, deliveries, devices, people, recordings, statements
from connector.acts.asker import CLI, Act, Asker
from connector.acts.office import Means, Office
from connector.acts.table import ACTS
from connector.clock import SYSTEM
from connector.config import Config
from connector.errors import Declined
from connector.store.secrets import SecretBox
from connector.tenants.directory import Directories
from connector.tenants.file import TenantFile
from tests.web.stored import MINE, PRUNED, THEIRS, call_sid, filled
from tests.web.stubs import StubDirectories, tenant

EVERYTHING = frozenset({"read", "replay", "call", "manage", "numbers"})
STRANGER = Asker("api:3", 2, EVERYTHING)

#: What each act that concerns one tenant is asked for.
WISHES: dict[Act[Any, Any], Any] = {
    calls.list_calls: calls.ListCalls(MINE),
    calls.get_call: calls.GetCall(MINE, call_sid(1)),
    calls.place_call: calls.PlaceCall(MINE, "1", "08884643606"),
    deliveries.list_deliveries: deliveries.ListDeliveries(MINE),
    deliveries.replay: deliveries.WriteAgain(MINE, call_sid(1)),
    recordings.list_recordings: recordings.ListRecordings(MINE),
    recordings.revoke_recording: recordings.RevokeRecording(MINE, call_sid(1)),
    agents.list_agents: agents.ListAgents(MINE),
    agents.put_agents: agents.PutAgents(MINE, "support", []),
    agents.sync_agents: agents.SyncAgents(MINE),
    devices.list_devices: devices.ListDevices(MINE, "a@acme.example"),
    devices.set_device: devices.SetDevice(MINE, "a@acme.example", on=True),
    statements.statement: statements.CountDays(MINE),
    statements.reconcile: statements.Reconcile(MINE),
    statements.backfill: statements.Backfill(MINE, SYSTEM.now() - 60),
    connections.check_tenant: connections.CheckTenant(MINE),
    connections.show_hooks: connections.ShowHooks(MINE),
    connections.rotate_hook: connections.ShowHooks(MINE),
    people.add_user: people.AddUser("Anita", MINE),
}
#: What concerns all tenants.
FOR_ALL: dict[Act[Any, Any], Any] = {
    connections.apply: connections.ApplyFile(TenantFile(tenants=[])),
    people.add_user: people.AddUser("Anita", None),
    people.rekey: people.Rekey(contextlib.nullcontext),
}
OF_NOBODY = {connections.list_adapters}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """A store of two tenants; whatever goes beyond it is out of reach, so that a test fails that gets so far."""
    db, directories = filled(tmp_path), StubDirectories(tenant(MINE, 1), tenant(THEIRS, 2, hook="other"))
    box, means = cast(SecretBox, None), cast(Means, None)
    async with db.running():
        yield Office(Config(), db, box, cast(Directories, directories), SYSTEM, means)


def named(act: Act[Any, Any]) -> str:
    return act.name


def test_every_act_is_walked() -> None:
    assert {listed.act for listed in ACTS} == WISHES.keys() | FOR_ALL.keys() | OF_NOBODY


@pytest.mark.parametrize("act", [listed.act for listed in ACTS], ids=named)
async def test_without_its_scope_nothing_is_looked_at(office: Office, act: Act[Any, Any]) -> None:
    others = Asker("api:1", None, EVERYTHING - {act.scope})
    with pytest.raises(Declined, match=f"This token has no scope '{act.scope}'") as refused:
        await act(office, others, None)
    assert refused.value.code == "forbidden"


@pytest.mark.parametrize("act", WISHES, ids=named)
async def test_a_stranger_is_told_the_same_as_of_a_tenant_that_is_not_there(office: Office, act: Act[Any, Any]) -> None:
    with pytest.raises(Declined) as refused:
        await act(office, STRANGER, WISHES[act])
    error = refused.value
    assert (error.code, error.field, error.message) == ("not_found", "tenant", f"There is no tenant {MINE!r}.")


@pytest.mark.parametrize("act", FOR_ALL, ids=named)
async def test_what_concerns_all_is_an_operators(office: Office, act: Act[Any, Any]) -> None:
    with pytest.raises(Declined) as refused:
        await act(office, STRANGER, FOR_ALL[act])
    assert refused.value.code == "forbidden"


async def test_an_operator_is_told_which_tenants_there_are(office: Office) -> None:
    with pytest.raises(Declined, match=rf"There is no tenant 'nobody'; known: {MINE}, {THEIRS}\."):
        await statements.statement(office, CLI, statements.CountDays("nobody"))


async def test_a_list_without_a_tenant_is_of_all_that_are_the_askers(office: Office) -> None:
    for asker, whose in ((CLI, {MINE, THEIRS}), (STRANGER, {THEIRS})):
        assert {one.tenant for one in await calls.list_calls(office, asker, calls.ListCalls())} == whose
        found = await deliveries.list_deliveries(office, asker, deliveries.ListDeliveries())
        assert {one.tenant for one in found} == whose


async def test_credentials_that_a_crm_echoed_are_hidden(office: Office) -> None:
    found = await deliveries.list_deliveries(office, CLI, deliveries.ListDeliveries(MINE, "dead"))
    assert [one.last_error for one in found if "demo_token" in (one.last_error or "no error")] == []


async def test_a_pruned_call_is_named_as_such(office: Office) -> None:
    with pytest.raises(Declined, match="its records stay") as refused:
        await deliveries.replay(office, CLI, deliveries.WriteAgain(MINE, PRUNED))
    assert (refused.value.code, refused.value.field) == ("pruned", "call_sid")
