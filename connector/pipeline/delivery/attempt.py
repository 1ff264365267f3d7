"""Attempt: one try of a delivery: compare the plan with the journal, do what differs, in order.

A step that fails for good stops itself and what needs it; the others go on. What concerns the whole delivery (the CRM
is away, the credentials are refused, a write must settle first) ends the attempt: it is raised; what was learned by
then is in the journal.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, TypeVar

from connector.adapter import Adapter, Caller, EditableNotes, Entry, Kind, Ref
from connector.clock import Clock
from connector.errors import CannotTell, CrmError, NotFound, OutcomeUnknown, Rejected
from connector.pipeline.delivery.contacts import Contacts, caller_for
from connector.pipeline.delivery.file_slot import FileSlot
from connector.pipeline.delivery.journal import NOTHING_WRITTEN, Journal, ref_of
from connector.pipeline.delivery.outcome import Ended, Waiting
from connector.pipeline.delivery.plan import Plan, Step
from connector.pipeline.delivery.render import digest, facts, optional, render, without
from connector.pipeline.delivery.writes import Records
from connector.pipeline.recordings.fetch import Recordings
from connector.store.queries.deliveries import StepRow

T = TypeVar("T")

#: Times that a write is sent in one attempt: whole, without what was refused, without what was refused then.
_TIMES_SENT: Final = 3
#: What follows a write that cannot be looked up, where the option `unsure` does not say.
_REPEATED: Final[frozenset[Kind]] = frozenset({"note", "message", "task", "file", "contact", "lead"})
CONTACT: Final = "contact"
#: Kinds that cannot be changed once they are written: what is learned later becomes a further record.
_FIXED: Final[frozenset[Kind]] = frozenset({"message", "conversation"})
_GONE: Final = "the record was deleted in the CRM; what would follow is left out"


class _Unsure(Exception):
    """The outcome of a write cannot be found out, and the tenant wants to be asked."""


class Attempt:
    """One try of one claimed delivery."""

    def __init__(
        self,
        plan: Plan,
        adapter: Adapter[Any],
        journal: Journal,
        contacts: Contacts,
        recordings: Recordings,
        clock: Clock,
        *,
        look_first: bool = False,
    ) -> None:
        self._plan = plan
        self._story = plan.story
        self._connection = plan.story.target.connection
        self._adapter = adapter
        self._journal = journal
        self._contacts = contacts
        self._recordings = recordings
        self._clock = clock
        self._look_first = look_first
        self._recreate = bool(journal.work.replay and json.loads(journal.work.replay).get("recreate"))
        self._recreated: set[str] = set()
        self._records = Records(adapter, plan.story.settled(), journal)
        self._sends_file = False
        self.ended = Ended()

    async def run(self) -> None:
        """Does what the journal lacks. Raises CRM errors that concern the whole delivery, and `Waiting`."""
        if not self._plan.steps:
            return
        self._learn_recording()
        known = facts(self._story)
        blocked: set[str] = set()
        for step in self._plan.steps:
            if blocked.intersection(step.needs) or not await self._step(step, known):
                blocked.add(step.slot)

    def _learn_recording(self) -> None:
        links, url = self._story.target.links, self._story.recording
        if links is not None and url is not None:
            self._journal.learn_recording(links.row(url, self._story.available_by))

    async def _step(self, step: Step, known: Mapping[str, Any]) -> bool:
        """Carries a step out. False where there is no record that others could hang on."""
        row = self._journal.steps.get(step.slot)
        if step.adopt is not None:
            return self._adopt(step, step.adopt, row)
        if row is not None and row.state == "gone" and not self._recreate:
            self.ended.warn(f"{step.slot}: {_GONE}")
            return False
        if row is not None and row.state == "dead" and row.version >= self._journal.work.version:
            self.ended.dead = self.ended.dead or (row.reason or "rejected", row.error or "")
            return False
        if not self._applies(step, row):
            return False
        if step.kind == "file":
            return await self._file(step, row)
        try:
            return await self._carry_out(step, row, self._render(step, known))
        except Rejected as error:
            return self._kill(step, "rejected", error.message)
        except _Unsure:
            return self._kill(
                step, "unsure", "The CRM did not say whether it wrote the record, and it cannot be found."
            )

    def _render(self, step: Step, known: Mapping[str, Any]) -> Entry:
        entry = render(step, known, self._story.target)
        if step.part != "ticket" and self._story.heard.warning:
            self.ended.warn(self._story.heard.warning)
        return entry

    def _kill(self, step: Step, reason: str, words: str) -> bool:
        self._journal.dead(step.slot, step.kind, reason, words)
        self.ended.dead = self.ended.dead or (reason, words)
        return False

    def _gone(self, slot: str) -> bool:
        self._journal.gone(slot)
        self.ended.warn(f"{slot}: {_GONE}")
        return False

    def _keep(self, slot: str, ref: Ref, entry: Entry) -> bool:
        row = self._journal.done(slot, ref, entry.subject)
        if row.warning:
            self.ended.warn(f"{slot}: {row.warning}")
        return True

    def _applies(self, step: Step, row: StepRow | None) -> bool:
        if step.only_on_open is not None:
            there = self._journal.steps.get(step.only_on_open)
            return there is not None and there.state == "adopted" and there.reason == "open"
        if step.slot == "note:link":
            there = self._journal.steps.get("ticket")
            return there is not None and there.state == "done"
        return not (step.only_update and (row is None or row.ref_id is None))

    async def _carry_out(self, step: Step, row: StepRow | None, entry: Entry) -> bool:
        if row is not None and row.state == "started" and row.doing == "create":
            row = await self._settle(step, row)
        if row is None or row.ref_id is None or row.state == "gone" or self._recreated.intersection(step.needs):
            if row is not None and row.state == "gone":
                self._recreated.add(step.slot)
            return await self._create(step, entry)
        if row.state == "adopted" or step.kind == "task":
            return True  # a person's record keeps its words, and so does what a person was asked to do
        if row.state == "done" and row.written == self._digest(step, entry):
            return True
        return await self._update(step, row, entry)

    @cached_property
    def _file_slot(self) -> FileSlot:
        return FileSlot(self._story, self._adapter, self._journal, self._recordings, self._clock, self.ended)

    async def _file(self, step: Step, row: StepRow | None) -> bool:
        """The recording itself; what the CRM refuses of it is said, and costs nothing else."""
        if row is not None and row.state == "started" and row.doing == "create":
            row = await self._settle(step, row)
        slot, entry = self._file_slot, self._file_slot.entry()
        if row is not None and row.state == "done" and row.written == self._digest(step, entry):
            return True
        if not slot.is_wanted(row):
            return False
        with slot.turn() as mine:
            file = await slot.fetch() if mine else None
            if file is None:
                return False
            self._records = replace(self._records, file=file)
            self._sends_file = True
            try:
                is_there = row is not None and row.state == "done"
                made = await (self._further(step, entry) if is_there else self._create(step, entry))
            except Rejected as error:
                self.give_up_file(error.message)
                return False
            finally:
                self._records = replace(self._records, file=None)
            self._sends_file = False
        if made:
            slot.attached()
        return made

    def give_up_file(self, words: str) -> bool:
        """Whether it was a file that the CRM refused, and nothing else: the link then stands in for it."""
        if self._sends_file:
            self._file_slot.skip(f"{words} The link stands in for the file.")
        return self._sends_file

    def _digest(self, step: Step, entry: Entry) -> str:
        return digest(entry, self._records.call if step.kind == "call_log" else None)

    # --- create ---

    async def _create(self, step: Step, entry: Entry) -> bool:
        for may_look_again in (True, False):
            parent = await self._parent(step)
            if parent is None:
                self.ended.warn(f"{step.slot}: nothing was written, the caller has no contact")
                return False
            if step.prefer_open and await self._adopt_open(step, parent, entry):
                return True
            try:
                return self._keep(step.slot, await self._write(step, parent, entry), entry)
            except NotFound:
                if step.kind == "message":
                    return await self._post_elsewhere(step, entry)
                if step.needs:
                    return self._gone(step.needs[0])
                if not may_look_again:
                    raise
            except Rejected as error:
                # A pinned contact that was deleted is refused by some CRMs as a bad value instead of with 404.
                if step.needs or CONTACT not in error.parts or not may_look_again:
                    raise
            await self._forget_contact(parent)
        return False

    async def _write(self, step: Step, parent: Ref, entry: Entry) -> Ref:
        """Sends a create. Raises `Waiting` where it stays unsure."""
        key = self.key(step.slot)
        if self._look_first and (found := await self._adapter.find_by_key(step.kind, key, parent)) is not None:
            await self._journal.start(step.slot, step.kind, self._digest(step, entry), entry, "create")
            return found
        try:
            return await self._send(
                step, entry, "create", lambda sending, _was: self._records.make(step.kind, key, parent, sending)
            )
        except NOTHING_WRITTEN:
            self._journal.failed(step.slot)
            raise
        except OutcomeUnknown:
            return await self._look_at_once(step, parent)

    async def _send(self, step: Step, entry: Entry, doing: str, send: Callable[[Entry, str], Awaitable[T]]) -> T:
        """Sends a write, again without optional parts that are refused. `send` gets the subject that we wrote last."""
        left_out = self._journal.left_out(step.slot)
        times = 0
        while True:
            times += 1
            sending = without(entry, left_out)
            row = await self._journal.start(step.slot, step.kind, self._digest(step, entry), sending, doing)
            try:
                return await send(sending, row.subject or "")
            except Rejected as error:
                refused = optional(sending, error.parts)
                if refused:
                    left_out |= refused
                    self._journal.leave_out(step.slot, left_out, error.message)
                if not refused or times == _TIMES_SENT:
                    raise

    async def _post_elsewhere(self, step: Step, entry: Entry) -> bool:
        """The conversation takes no more messages: the newest open one gets it, else a new one begins with it."""
        contact = await self._contact()
        if contact is None:
            return False
        was = ref_of(self._journal.steps[step.needs[0]])
        open_one = await self._records.find_open("conversation", contact, entry.agent)
        is_elsewhere = open_one is not None and (was is None or open_one.id != was.id)
        parent = open_one if open_one is not None and is_elsewhere else contact
        made = await self._write(step, parent, entry)
        self._journal.moved(step.needs[0], made if made.kind == "conversation" else parent)
        return self._keep(step.slot, made, entry)

    async def _parent(self, step: Step) -> Ref | None:
        """What the record hangs on: the record of the slot that it needs, or the contact."""
        if step.needs:
            link = self._story.link
            if link is not None and step.needs[0] == "ticket" and step.slot != "note:link":
                return Ref("ticket", link.id, link.url)
            return ref_of(self._journal.steps[step.needs[0]])
        return await self._contact()

    async def _contact(self) -> Ref | None:
        """The caller's record, pinned for this call."""
        pinned = self._journal.ref(CONTACT)
        if pinned is not None:
            return pinned
        ref, note = await self._contacts.ensure(self._connection, self._adapter, self._caller(), self._journal)
        if ref is not None:
            self._journal.found(CONTACT, ref, note)
        if note is not None:
            self.ended.warn(f"contact: {note}")
        return ref

    def _caller(self) -> Caller:
        number, tenant = self._story.call.customer_number, self._story.target.tenant
        return caller_for(number, tenant, self._connection, self._adapter)

    async def _forget_contact(self, ref: Ref) -> None:
        self._journal.drop(CONTACT)
        await self._contacts.forget(self._connection, self._caller(), ref)

    def key(self, slot: str) -> str:
        """What is left in the CRM, so that the record is found again."""
        return f"{self._connection.id}:{self._journal.work.call_sid}:{slot}"

    # --- writes without a verdict ---

    async def _look_at_once(self, step: Step, parent: Ref) -> Ref:
        """Found, it is done; not found proves nothing before the CRM had its time to settle."""
        settle_at = self._clock.now() + self._adapter.settle_s
        self._journal.settles(step.slot, settle_at)
        if self._adapter.lookup.get(step.kind, "none") != "none":
            try:
                found = await self._adapter.find_by_key(step.kind, self.key(step.slot), parent)
            except CrmError:
                found = None  # the look after settling will tell
            if found is not None:
                return found
        raise Waiting(
            "the CRM did not say whether it wrote the record; it is looked for before it is written again",
            until=settle_at,
            state="retrying",
            failed=True,
        )

    async def _settle(self, step: Step, row: StepRow) -> StepRow | None:
        """What became of a create that an earlier attempt began: its row as done, or None where it may be repeated."""
        lookup = self._adapter.lookup.get(step.kind, "none")
        settle_at = row.settle_at or 0.0
        if lookup == "search":
            settle_at = max(settle_at, (row.started_at or 0.0) + self._adapter.findable_after_s)
        begun = self._clock.now()
        found: Ref | None = None
        cannot_tell = lookup == "none"
        if not cannot_tell:
            parent = await self._parent(step)
            try:
                found = await self._adapter.find_by_key(step.kind, self.key(step.slot), parent)
            except CannotTell:
                cannot_tell = True
        if found is not None:
            return self._journal.done(step.slot, found, row.subject or "")
        if begun < settle_at:
            words = "a record may have been written; it is looked for before it is written again"
            raise Waiting(words, until=settle_at, state="retrying")
        if cannot_tell and self._unsure(step.kind) == "ask":
            raise _Unsure
        return None

    def _unsure(self, kind: Kind) -> str:
        return self._connection.options.unsure or ("repeat" if kind in _REPEATED else "ask")

    # --- update ---

    async def _update(self, step: Step, row: StepRow, entry: Entry) -> bool:
        ref = ref_of(row)
        assert ref is not None
        if step.kind in _FIXED or (step.kind == "note" and not isinstance(self._adapter, EditableNotes)):
            return await self._further(step, entry)
        key = self.key(step.slot)
        try:
            await self._send(
                step, entry, "update", lambda sending, was: self._records.change(step.kind, key, ref, sending, was)
            )
        except NotFound:
            return self._gone(step.slot)
        return self._keep(step.slot, ref, entry)

    async def _further(self, step: Step, entry: Entry) -> bool:
        """Where a record cannot be edited, what changed becomes a further note or message, once."""
        number = 2
        while (row := self._journal.steps.get(f"{step.slot}:{number}")) is not None and row.state == "done":
            if row.written == self._digest(step, entry):
                return True
            number += 1
        further = replace(step, slot=f"{step.slot}:{number}", prefer_open=False)
        if step.kind == "conversation":
            further = replace(further, kind="message", needs=(step.slot,))
        if row is not None and row.state == "started" and await self._settle(further, row) is not None:
            return True
        return await self._create(further, entry)

    # --- adopt ---

    def _adopt(self, step: Step, ref: Ref, row: StepRow | None) -> bool:
        """The record that a person chose. One that we had made already stays ours, and gets a note with the link."""
        if row is not None and row.state in ("done", "started"):
            return True
        if row is None or row.ref_id != ref.id or row.state != "adopted":
            self._journal.adopted(step.slot, step.kind, ref)
        return True

    async def _adopt_open(self, step: Step, contact: Ref, entry: Entry) -> bool:
        found = await self._records.find_open(step.kind, contact, entry.agent)
        if found is None:
            return False
        self._journal.adopted(step.slot, step.kind, found, "open")
        return True
