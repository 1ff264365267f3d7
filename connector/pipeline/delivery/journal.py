"""Journal: what one claim knows of its delivery's slots, written at every boundary between two requests.

`started` is committed before a create leaves, `done` with its `Ref` after it; no transaction is open in between. All
writes name the claim's fence: a claim that was lost writes nothing.
"""

import json
from dataclasses import replace
from typing import Any

from connector.adapter import Entry, Ref
from connector.adapter.http import send_before
from connector.clock import Clock
from connector.errors import AuthFailed, CrmUnavailable, LeaseLost, NotFound, Rejected
from connector.pipeline.delivery.render import sent
from connector.store.engine.database import Database
from connector.store.queries import journal
from connector.store.queries.contacts import ContactRow
from connector.store.queries.deliveries import StepRow, Work
from connector.store.queries.journal import Finish, JournalWrite
from connector.store.queries.recordings import RecordingRow

#: Seconds that a claim holds: renewed before every write, so that one request and its settling fit in, and while the
#: attempt goes on. Others take over what a dead process held within this time and a look.
LEASE_S = 24.0
#: What was written to the CRM must reach the journal: a busy store is waited for this long.
_PATIENCE_S = 60.0

#: After these errors of a write it is sure that the CRM holds nothing of it.
NOTHING_WRITTEN = (CrmUnavailable, AuthFailed, Rejected, NotFound, LeaseLost)


class Journal:
    """The steps of one claimed delivery."""

    def __init__(self, db: Database, work: Work, clock: Clock, settle_s: float) -> None:
        self._db = db
        self._clock = clock
        self._settle_s = settle_s
        self.work = work
        self.steps = work.steps
        self._unsaved: dict[str, StepRow] = {}
        self._recording: RecordingRow | None = None
        #: The earliest that another process may take the delivery and look for what this one began.
        self.lease_until = work.lease_until

    def ref(self, slot: str) -> Ref | None:
        """The record of a slot, if it has one that is there."""
        row = self.steps.get(slot)
        return ref_of(row) if row is not None and row.state in ("done", "adopted") else None

    async def start(self, slot: str, kind: str, written: str, sending: Entry, doing: str) -> StepRow:
        """Commits that a write is about to leave; `written` is the digest of what the record should say in the end.

        Raises `LeaseLost`.
        """
        began, now = self._clock.monotonic(), self._clock.now()
        was = self.steps.get(slot)
        row = StepRow(
            slot=slot,
            kind=kind,
            state="started",
            doing=doing,
            ref_id=was.ref_id if was and doing == "update" else None,
            url=was.url if was and doing == "update" else None,
            written=written,
            sent=json.dumps(sent(sending), ensure_ascii=False),
            # An update compares with the subject that we wrote last, not with the one that it brings.
            subject=was.subject if was and doing == "update" else sending.subject,
            started_at=now,
            # A process frozen here sends until `send_before` at the latest; after the lease nothing of it can settle.
            settle_at=now + LEASE_S + self._settle_s,
            left_out=was.left_out if was else "[]",
            warning=was.warning if was else None,
            version=self.work.version,
        )
        self.set(row)
        await self._renew(began, now)
        return row

    async def renew(self, contact: ContactRow) -> None:
        """Commits a contact row and a fresh lease before a write about the contact leaves. Raises `LeaseLost`."""
        await self._renew(self._clock.monotonic(), self._clock.now(), contact)

    async def _renew(self, began: float, now: float, contact: ContactRow | None = None) -> None:
        # Read before the commit: it may take long, and a process that freezes in it must not wake up with a full lease;
        # the monotonic clock first, so that one that freezes between the two sends for less long, not longer.
        await self._write(contact=contact, lease_until=now + LEASE_S)
        self.lease_until = now + LEASE_S
        send_before.set(began + LEASE_S - self._settle_s)

    # --- what became of a slot; written with what comes next, at the latest with the finish ---

    def done(self, slot: str, ref: Ref, subject: str) -> StepRow:
        """A started write came through, or its record was found."""
        return self._change(
            slot,
            state="done",
            reason=None,
            kind=ref.kind,
            ref_id=ref.id,
            url=ref.url,
            subject=subject,
            error=None,
        )

    def failed(self, slot: str) -> None:
        """The CRM holds nothing of a started write."""
        self._change(slot, state="failed")

    def settles(self, slot: str, settle_at: float) -> None:
        """No verdict came back: the CRM is asked for the record again at this time (Unix)."""
        self.set(replace(self.steps[slot], settle_at=settle_at))

    def gone(self, slot: str) -> None:
        """The record was deleted in the CRM."""
        self._change(slot, state="gone")

    def dead(self, slot: str, kind: str, reason: str, words: str) -> None:
        """It is not written before a person changes something."""
        self.steps.setdefault(slot, StepRow(slot, kind, "dead"))
        self._change(slot, state="dead", reason=reason, error=words)

    def adopted(self, slot: str, kind: str, ref: Ref, reason: str | None = None) -> None:
        """The slot is a record that was there: a person's choice, or (`open`) the caller's open one."""
        self.set(StepRow(slot, kind, "adopted", reason=reason, ref_id=ref.id, url=ref.url, version=self.work.version))

    def moved(self, slot: str, ref: Ref) -> None:
        """The record takes no more; what follows goes to this open one."""
        self.set(replace(self.steps[slot], state="adopted", reason="open", ref_id=ref.id, url=ref.url))

    def skipped(self, slot: str, kind: str, words: str) -> None:
        """The CRM does not get it."""
        self.set(StepRow(slot, kind, "skipped", warning=words, version=self.work.version))

    def found(self, slot: str, ref: Ref, note: str | None) -> None:
        """The record that others hang on, and how it was chosen."""
        self.set(StepRow(slot, ref.kind, "done", ref_id=ref.id, url=ref.url, warning=note, version=self.work.version))

    def left_out(self, slot: str) -> frozenset[str]:
        """Parts of the entry that the CRM refused before, and that the record does without."""
        row = self.steps.get(slot)
        return frozenset(json.loads(row.left_out)) if row is not None else frozenset()

    def leave_out(self, slot: str, parts: frozenset[str], said: str) -> None:
        """The CRM refused these parts, and said why."""
        words = f"written without {', '.join(sorted(parts))}: {said}"
        self.set(replace(self.steps[slot], left_out=json.dumps(sorted(parts)), warning=words))

    def drop(self, slot: str) -> None:
        """Forgets a row that this claim learned and has not written."""
        self.steps.pop(slot, None)
        self._unsaved.pop(slot, None)

    def _change(self, slot: str, **changes: Any) -> StepRow:
        """Ends what a row was doing."""
        row = replace(self.steps[slot], doing=None, settle_at=None, version=self.work.version, **changes)
        self.set(row)
        return row

    def set(self, row: StepRow) -> None:
        """Learns a row."""
        self.steps[row.slot] = self._unsaved[row.slot] = row

    def learn_recording(self, row: RecordingRow) -> None:
        """Learns what our link names; it is written with what comes next, so before the link leaves."""
        if self.work.recordings.get(row.url) != row:
            self._recording = row

    async def keep_contact(self, contact: ContactRow) -> None:
        """Commits a contact row. Raises `LeaseLost`."""
        await self._write(contact=contact)

    async def finish(self, finish: Finish) -> bool:
        """Ends the claim. True where an event overtook it: the delivery is due again. Raises `LeaseLost`."""
        return await self._write(finish=finish)

    async def _write(
        self,
        *,
        contact: ContactRow | None = None,
        finish: Finish | None = None,
        lease_until: float | None = None,
    ) -> bool:
        unsaved, self._unsaved = self._unsaved, {}
        recording, self._recording = self._recording, None
        now, rows = self._clock.now(), tuple(unsaved.values())
        write = JournalWrite(self.work, now, rows, contact, finish, lease_until, recording)
        result = await self._db.write_patiently(journal.write_journal, write, for_s=_PATIENCE_S)
        if isinstance(result, LeaseLost):
            raise result
        return result


def ref_of(row: StepRow) -> Ref | None:
    """The record that a row names."""
    return Ref(row.kind, row.ref_id, row.url) if row.ref_id is not None else None  # type: ignore[arg-type]
