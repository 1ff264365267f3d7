"""What an adapter leaves in the CRM: records that are found again by their key, whole, and by nobody else."""

import contextlib
import re
from typing import Any, ClassVar

from connector.adapter import Adapter, Chat, Checked, Desk, Entry, Owners, Ref
from connector.errors import Rejected
from connector.kit.applies import for_family, where
from connector.kit.bench import CALL_SID, CHANGED, OTHER_NUMBER, WORDS, Bench, Connected, Write, caller, writes_of
from connector.kit.wire import Exchange

_SPECIAL = 'Fünf < 6 & "7" > <b>5</b>'

#: Words -> what they are called in a check's name; each with a part that must arrive.
WORDINGS: dict[str, tuple[Entry, tuple[str, ...]]] = {
    "non-latin": (
        Entry("ग्राहक 顧客 😀", "नमस्ते 你好 Ελλάδα 😀", "<p>नमस्ते 你好 Ελλάδα 😀</p>"),
        ("नमस्ते 你好 Ελλάδα 😀",),
    ),
    "html": (
        Entry("Fünf < 6 & mehr", _SPECIAL, "<p>Fünf &lt; 6 &amp; &#34;7&#34; &gt; &lt;b&gt;5&lt;/b&gt;</p>"),
        (_SPECIAL,),
    ),
    "long": (
        Entry("Long " * 100, "First " + "words " * 5000 + "last", "<p>First " + "words " * 5000 + "last</p>"),
        ("First words words",),
    ),
    "empty": (Entry(), ()),
}

#: Kinds whose words are the contract's `Entry`.
WORDED = ("ticket", "note", "call_log", "message", "task")


class WrittenChecks:
    """Checks of records, one run per kind that the adapter writes."""

    adapter: ClassVar[type[Adapter[Any]]]

    async def read_back(self, adapter: Adapter[Any], ref: Ref) -> str | None:
        """What the CRM shows of a record; None where the suite cannot know: then only what was sent is looked at."""
        return None

    async def test_check_names_the_account(self, bench: Bench) -> None:
        found = await (await bench.connect()).adapter.check()
        assert isinstance(found, Checked), "check() gives a Checked"
        assert found.account.strip(), "check() names no account"

    async def test_agents(self, bench: Bench) -> None:
        for agent in await (await bench.connect()).adapter.list_agents():
            assert isinstance(agent.id, str), f"an agent's id is {type(agent.id).__name__}"
            assert agent.id, "an agent has no id"

    async def test_a_stranger_gives_nothing(self, bench: Bench) -> None:
        crm = await bench.connect()
        assert await crm.adapter.find_contacts(crm.who) == []

    async def test_a_contact_is_found_by_number(self, bench: Bench) -> None:
        crm = await bench.connect()
        made = await crm.adapter.create_contact("exotel:919876543210", crm.who, "Asha")
        found = await crm.until(lambda: crm.adapter.find_contacts(crm.who))
        assert [ref.id for ref in found] == [made.id]

    async def test_a_caller_without_a_number(self, bench: Bench) -> None:
        """Somebody who withheld the number becomes a contact, and is nobody's namesake."""
        crm = await bench.connect()
        withheld = caller(self.adapter, None)
        assert await crm.adapter.find_contacts(withheld) == []
        made = await crm.adapter.create_contact("exotel:kit1:withheld", withheld, withheld.text)
        await _found(crm, writes_of(self.adapter)[0], "exotel:kit1:withheld", made, "it was written")

    async def test_a_repeated_create_is_one_contact(self, bench: Bench) -> None:
        """`create_contact` and `create_lead` give back who carries the key already, where the look-up is sure."""
        crm = await bench.connect()
        for write in writes_of(self.adapter):
            if write.kind in ("contact", "lead") and self.adapter.lookup.get(write.kind) == "unique":
                first = await crm.make(write, "exotel:919876543210")
                second = await crm.make(write, "exotel:919876543210")
                assert first.id == second.id, f"a second {write.kind} was made under the same key"

    async def test_refs_are_whole(self, bench: Bench, write: Write) -> None:
        """A write returns a `Ref` of its kind, with the id as text and a link that people can open, if any."""
        crm = await bench.connect()
        ref = await crm.make(write, crm.key(write.kind))
        assert isinstance(ref, Ref), f"a write gave {type(ref).__name__}"
        assert ref.kind == write.kind, f"the ref is of a {ref.kind}"
        assert isinstance(ref.id, str), f"the id is {type(ref.id).__name__}"
        assert ref.id.strip() not in ("", "None"), "the id is empty"
        assert ref.url is None or ref.url.startswith(("https://", "http://")), "url is no address"

    async def test_write_is_found_by_key(self, bench: Bench, write: Write) -> None:
        crm = await bench.connect()
        assert await crm.find(write, crm.key(write.kind)) is None, "found before it was written"
        made = await crm.make(write, crm.key(write.kind))
        await _found(crm, write, crm.key(write.kind), made, "it was written")

    @where(lambda suite: any(write.changes(suite.adapter) for write in writes_of(suite.adapter)))
    async def test_update_keeps_the_key(self, bench: Bench, changeable: Write) -> None:
        crm = await bench.connect()
        made = await crm.make(changeable, crm.key(changeable.kind))
        await crm.change(changeable, crm.key(changeable.kind), made)
        await _found(crm, changeable, crm.key(changeable.kind), made, "an update")

    async def test_key_survives_cleaning(self, bench: Bench, write: Write) -> None:
        """The key is still there when the CRM has cleaned the HTML: comments, hidden text and attributes go."""
        bench.wire.cleans = True
        crm = await bench.connect()
        made = await crm.make(write, crm.key(write.kind))
        await _found(crm, write, crm.key(write.kind), made, "the CRM cleaned the HTML")
        if write.changes(self.adapter):
            await crm.change(write, crm.key(write.kind), made)
            await _found(crm, write, crm.key(write.kind), made, "the CRM cleaned an update's HTML")

    async def test_key_is_matched_whole(self, bench: Bench, write: Write) -> None:
        """Neither a key that begins with ours nor one that ours begins with is ours."""
        crm = await bench.connect()
        long, short = crm.key(f"{write.kind}:recording:2"), crm.key(f"{write.kind}:recording")
        await crm.make(write, long)
        assert await crm.find(write, short) is None, "a longer key was found by a shorter one"
        other = crm.key(write.kind, CALL_SID[:-1])
        await crm.make(write, other)
        assert await crm.find(write, crm.key(write.kind)) is None, "a key was found by a longer one"

    async def test_connections_are_apart(self, bench: Bench, write: Write) -> None:
        """Two connections of one account never find each other's records."""
        one, two = await bench.connect("kit1"), await bench.connect("kit2")
        made = await one.make(write, one.key(write.kind))
        assert await two.find(write, two.key(write.kind)) is None, "the other connection's record was found"
        second = await two.make(write, two.key(write.kind))
        if self.adapter.lookup.get(write.kind) != "none":
            assert made.id != second.id, "two connections share one record"
            await _found(one, write, one.key(write.kind), made, "the other connection wrote, too")

    async def test_words_survive(self, bench: Bench, worded: Write, wording: str) -> None:
        """Long, empty, non-Latin and HTML texts arrive, and the key with them."""
        words, parts = WORDINGS[wording]
        crm = await bench.connect()
        bench.wire.exchanges.clear()
        made = await crm.make(worded, crm.key(worded.kind), words)
        await self._arrived(bench, crm, made, parts)
        await _found(crm, worded, crm.key(worded.kind), made, f"{wording} words")
        if worded.changes(self.adapter):
            first = await crm.make(worded, crm.key(f"{worded.kind}:2"))
            bench.wire.exchanges.clear()
            await crm.change(worded, crm.key(f"{worded.kind}:2"), first, words)
            await self._arrived(bench, crm, first, parts)
            await _found(crm, worded, crm.key(f"{worded.kind}:2"), first, f"an update with {wording} words")

    async def _arrived(self, bench: Bench, crm: Connected, ref: Ref, parts: tuple[str, ...]) -> None:
        sent = "\n".join(exchange.said for exchange in _writes(bench))
        shown = await self.read_back(crm.adapter, ref)
        for part in parts:
            assert part in sent, f"{part!r} was not sent"
            assert shown is None or part in shown, f"{part!r} is not in the record"

    async def test_fields_are_sent(self, bench: Bench) -> None:
        """`Entry.fields` reach the CRM under the tenant's names."""
        crm = await bench.connect()
        for write in writes_of(self.adapter):
            if write.kind in ("ticket", "call_log"):
                bench.wire.exchanges.clear()
                words = Entry(WORDS.subject, WORDS.text, WORDS.html, fields={"cf_kit": "by the tenant"})
                with contextlib.suppress(Rejected):  # by a CRM that has no such field
                    await crm.make(write, crm.key(write.kind), words)
                sent = "\n".join(exchange.body.decode("utf-8", "replace") for exchange in _writes(bench))
                assert "cf_kit" in sent, "a field's name was not sent"
                assert "by the tenant" in sent, "a field's value was not sent"

    async def test_the_agent_is_named(self, bench: Bench) -> None:
        """A ticket or call log is given to the entry's agent."""
        crm = await bench.connect()
        assert crm.agent is not None, "the stand-in has no agents: give it one, or name one in `agent`"
        for write in writes_of(self.adapter):
            if write.kind in ("ticket", "call_log", "conversation"):
                bench.wire.exchanges.clear()
                await crm.make(write, crm.key(write.kind), crm.by_agent(WORDS))
                ids = {crm.agent.id, *crm.agent.ids.values()}
                sent = "\n".join(exchange.said for exchange in _writes(bench))
                named = any(re.search(rf"(?<!\w){re.escape(id_)}(?!\w)", sent) for id_ in ids)
                assert named, f"the {write.kind} does not name the agent"

    @for_family(Desk)
    async def test_a_changed_subject_is_left_alone(self, bench: Bench) -> None:
        """An update leaves a ticket alone whose subject a person has changed."""
        crm = await bench.connect()
        write = next(write for write in writes_of(self.adapter) if write.kind == "ticket")
        ticket = await crm.make(write, crm.key("ticket"))
        bench.wire.exchanges.clear()
        await crm.any.update_ticket(crm.key("ticket"), ticket, CHANGED, "What it was called before a person came")
        shown = await self.read_back(crm.adapter, ticket)
        if shown is None:
            assert not _writes(bench), "the ticket was written over"
        else:
            assert CHANGED.text not in shown, "the ticket was written over"
            assert WORDS.text in shown

    @for_family(Desk)
    async def test_an_open_ticket_is_found(self, bench: Bench) -> None:
        crm = await bench.connect()
        contact, ticket = (next(w for w in writes_of(self.adapter) if w.kind == kind) for kind in ("contact", "ticket"))
        somebody = caller(self.adapter, OTHER_NUMBER)
        other = await crm.adapter.create_contact("exotel:919876501234", somebody, "Somebody else")
        await crm.any.create_ticket(crm.key(ticket.kind, CALL_SID[::-1]), other, WORDS)
        of = await crm.make(contact, crm.key("parent:contact"))
        assert await crm.any.find_open_ticket(of) is None, "a contact without tickets has an open one"
        made = await crm.any.create_ticket(crm.key(ticket.kind), of, WORDS)
        found = await crm.until(lambda: crm.any.find_open_ticket(of))
        assert found is not None, "the open ticket was not found"
        assert (found.kind, found.id) == ("ticket", made.id)

    @for_family(Chat)
    async def test_an_open_conversation_is_found(self, bench: Bench) -> None:
        crm = await bench.connect()
        of = await crm.make(writes_of(self.adapter)[0], crm.key("parent:contact"))
        assert await crm.any.find_open_conversation(of, crm.agent) is None, "found before it was opened"
        made = await crm.any.open_conversation(crm.key("conversation"), of, crm.by_agent(WORDS))
        found = await crm.until(lambda: crm.any.find_open_conversation(of, crm.agent))
        assert found is not None, "the open conversation was not found"
        assert (found.kind, found.id) == ("conversation", made.id)

    @for_family(Owners)
    async def test_an_owner_is_one_of_the_users(self, bench: Bench) -> None:
        crm = await bench.connect()
        made = await crm.adapter.create_contact("exotel:919876543210", crm.who, "Asha")
        owner = await crm.any.find_owner(made)
        assert owner is None or owner in {agent.id for agent in await crm.adapter.list_agents()}

    async def test_buckets_are_declared(self, bench: Bench) -> None:
        """Each bucket that a request names is in `limits`."""
        crm = await bench.connect()
        await crm.adapter.check()
        await crm.adapter.find_contacts(crm.who)
        for write in writes_of(self.adapter):
            await crm.make(write, crm.key(write.kind))
            await crm.find(write, crm.key(write.kind))
        assert bench.budget.buckets <= {"all", *self.adapter.limits}

    async def test_holds_no_state(self, bench: Bench) -> None:
        """An adapter knows its settings, its client and its home: anything else would differ between replicas."""
        crm = await bench.connect()
        for write in writes_of(self.adapter):
            await crm.make(write, crm.key(write.kind))
        assert set(vars(crm.adapter)) <= {"settings", "http", "home", "options"}


async def _found(crm: Connected, write: Write, key: str, made: Ref, after: str) -> None:
    if crm.adapter.lookup.get(write.kind) == "none":
        assert await crm.find(write, key) in (None, made), f"another {write.kind} was found after {after}"
        return
    found = await crm.find_soon(write, key)
    assert found is not None, f"the {write.kind} was not found by its key after {after}"
    assert (found.kind, found.id) == (write.kind, made.id), f"another record was found after {after}"


def _writes(bench: Bench) -> list[Exchange]:
    return [exchange for exchange in bench.wire.exchanges if not exchange.reads]
