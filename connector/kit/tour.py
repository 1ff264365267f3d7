"""One tour through the contract, always with the same words: what is recorded against a real account, and replayed."""

from connector.adapter import Checked
from connector.kit.bench import Bench, writes_of

#: The contact's key, as the pipeline makes it of the number.
CONTACT = "exotel:919876543210"


async def tour(bench: Bench) -> None:
    """Makes each record that the adapter can make, looks it up before and after, and changes it."""
    crm = await bench.connect("kit1")
    adapter = type(crm.adapter)
    found = await crm.adapter.check()
    assert isinstance(found, Checked)
    assert found.account
    assert all(isinstance(agent.id, str) for agent in await crm.adapter.list_agents())
    assert await crm.adapter.find_contacts(crm.who) == [], "the stranger is known"
    for write in writes_of(adapter):
        sure = adapter.lookup.get(write.kind) != "none"
        key = CONTACT if write.kind == "contact" else crm.key(write.kind)
        assert await crm.find(write, key) is None, f"the {write.kind} was there before it was written"
        made = await crm.make(write, key)
        assert isinstance(made.id, str)
        assert made.id
        assert made.kind == write.kind
        crm.keep(made)
        if sure:
            again = await crm.find_soon(write, key)
            assert again is not None, f"the {write.kind} was not found by its key"
            assert again.id == made.id, f"another {write.kind} was found"
            assert await crm.find(write, crm.key(f"{write.kind}:2")) is None, "it was found by a longer key"
        if write.changes(adapter):
            await crm.change(write, key, made)
            if sure:
                again = await crm.find_soon(write, key)
                assert again is not None, f"the {write.kind} was not found by its key after an update"
                assert again.id == made.id, f"another {write.kind} was found after an update"
