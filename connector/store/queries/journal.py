"""Journal: what a claim writes at the boundaries between two requests; nothing of it once the claim is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from connector.errors import LeaseLost
from connector.store.engine.dialects import LOCKED_DELIVERIES, locked
from connector.store.engine.held import GIVEN_BACK
from connector.store.engine.rows import as_list, as_rows, rows_of
from connector.store.queries.contacts import WRITE_CONTACT, ContactRow, contact_holders, contact_values
from connector.store.queries.deliveries import STEP_COLUMNS, StepRow, Work
from connector.store.queries.looks import Lack, write_lacks
from connector.store.queries.recordings import WRITE_RECORDING, RecordingRow, recording_values


@dataclass(frozen=True, slots=True)
class Finish:
    """How a claim ends. `due_at` counts for `pending` only."""

    state: str
    reason: str | None
    due_at: float
    attempts: int
    retried_s: float
    last_error: str | None
    warnings: str
    revision: int | None
    summary: str | None
    customer: str | None
    #: What Exotel is still to be asked for; None: the attempt does not tell, or nobody is asked.
    lack: Lack | None = None


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """What one attempt writes at one boundary between two requests; nothing of it if the claim was lost."""

    work: Work
    now: float
    steps: tuple[StepRow, ...] = ()
    contact: ContactRow | None = None
    finish: Finish | None = None
    lease_until: float | None = None
    recording: RecordingRow | None = None


# On PostgreSQL the rows are held from here on: an event that comes meanwhile raises `version` after the finish, and so
# opens the delivery again.
_HELD = text(
    f"select id, fence, owner, version from delivery where id in :ids {LOCKED_DELIVERIES}"  # noqa: S608
).bindparams(bindparam("ids", expanding=True))
_STEP_FIELDS = ("delivery_id", *STEP_COLUMNS.split(", "), "updated_at")
_TYPED_STEP = tuple(f"step.{name}" for name in _STEP_FIELDS)
_WRITE_STEP = text(
    f"insert into step ({', '.join(_STEP_FIELDS)}) select {', '.join(_STEP_FIELDS)} "  # noqa: S608
    f"from {rows_of(*_TYPED_STEP)} r where true "
    "on conflict (delivery_id, slot) do update set kind = excluded.kind, state = excluded.state,"
    " reason = excluded.reason, doing = excluded.doing, ref_id = excluded.ref_id, url = excluded.url,"
    " written = excluded.written, sent = excluded.sent, subject = excluded.subject, started_at = excluded.started_at,"
    " settle_at = excluded.settle_at, left_out = excluded.left_out, warning = excluded.warning,"
    " error = excluded.error, version = excluded.version, updated_at = excluded.updated_at"
)
_RENEW_HELD = text(
    f"update delivery set lease_until = r.lease_until from {rows_of('delivery.id', 'lease_until')} r"  # noqa: S608
    " where delivery.id = r.id"
)
_FINISH_FIELDS = (
    *("state", "reason", "due_at", "attempts", "retried_s", "last_error", "warnings", "revision", "replay", "priority"),
    "updated_at",
)
_FINISH = text(
    f"update delivery set {GIVEN_BACK}, "  # noqa: S608
    f"{', '.join(f'{name} = r.{name}' for name in _FINISH_FIELDS)} "
    f"from {rows_of('delivery.id', *(f'delivery.{name}' for name in _FINISH_FIELDS))} r where delivery.id = r.id"
)
_SUMMARY = text(
    f"update call set summary = r.summary, customer = r.customer from {rows_of('call_id', 'summary', 'customer')} r "  # noqa: S608
    "where call.id = r.call_id"
)


# Two connections' deliveries of one call are finished by two processes at once.
_HELD_CALLS = text(f"select id from call where id in :ids {locked('id')}").bindparams(  # noqa: S608
    bindparam("ids", expanding=True)
)


def write_journal(connection: Connection, rows: Sequence[JournalWrite]) -> list[LeaseLost | bool]:
    """Writes what each claim learned. `LeaseLost` where the claim is not held any more: nothing of it was written.

    True where a finish was overtaken by an event: the delivery is due again at once.
    """
    held = {
        row.id: row for row in connection.execute(_HELD, {"ids": as_list(sorted({write.work.id for write in rows}))})
    }
    about = [write.contact for write in rows if write.contact is not None]
    holders = contact_holders(connection, about) if about else {}
    results: list[LeaseLost | bool] = []
    steps: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    renewals: list[dict[str, Any]] = []
    finishes: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    recordings: list[dict[str, Any]] = []
    lacks: list[tuple[int, int, Lack]] = []
    for write in rows:
        work = write.work
        mine = held.get(work.id)
        if mine is None or mine.fence != work.fence or mine.owner != work.holder:
            results.append(LeaseLost("The claim ended; whoever holds the call now goes on."))
            continue
        if write.contact is not None:
            place = (write.contact.connection_id, write.contact.number)
            if holders.get(place, work.claimant) != work.claimant:
                results.append(LeaseLost("Another call finds out by now who the caller is."))
                continue
        for row in write.steps:
            steps.append(_step(work.id, row, write.now))
        if write.contact is not None:
            contacts.append(contact_values(write.contact, write.now))
        if write.recording is not None:
            recordings.append(recording_values(work.tenant_id, work.call_id, write.recording))
        if write.lease_until is not None:
            renewals.append({"id": work.id, "lease_until": write.lease_until})
        overtaken = False
        if write.finish is not None:
            overtaken = mine.version != work.version
            finishes.append(_finish(work, write.finish, write.now, overtaken=overtaken))
            if write.finish.summary is not None:
                summaries.append(
                    {
                        "summary": write.finish.summary,
                        "customer": write.finish.customer,
                        "call_id": work.call_id,
                    }
                )
            if write.finish.lack is not None:
                lacks.append((work.call_id, work.tenant_id, write.finish.lack))
        results.append(overtaken)
    if summaries and connection.dialect.name == "postgresql":
        connection.execute(_HELD_CALLS, {"ids": as_list(sorted({row["call_id"] for row in summaries}))})
    for statement, values in (
        (_WRITE_STEP, steps),
        (WRITE_CONTACT, contacts),
        (_RENEW_HELD, renewals),
        (_FINISH, finishes),
        (_SUMMARY, summaries),
        (WRITE_RECORDING, recordings),
    ):
        if values:
            connection.execute(statement, as_rows(values))
    if lacks:
        write_lacks(connection, lacks)
    return results


def _step(delivery_id: int, row: StepRow, now: float) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "slot": row.slot,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason,
        "doing": row.doing,
        "ref_id": row.ref_id,
        "url": row.url,
        "written": row.written,
        "sent": row.sent,
        "subject": row.subject,
        "started_at": row.started_at,
        "settle_at": row.settle_at,
        "left_out": row.left_out,
        "warning": row.warning,
        "error": row.error,
        "version": row.version,
        "updated_at": now,
    }


def _finish(work: Work, finish: Finish, now: float, *, overtaken: bool) -> dict[str, Any]:
    # An event came while the work ran: its facts were not in the fold, so the last word is not spoken. A delivery
    # that waits for its retry keeps its time; the retry will fold the new event too.
    again = overtaken and not (finish.state == "pending" and finish.reason in ("retrying", "quota", "paused"))
    return {
        "id": work.id,
        "state": "pending" if again else finish.state,
        "reason": "waiting" if again else finish.reason,
        "due_at": now if again else finish.due_at,
        "attempts": finish.attempts,
        "retried_s": finish.retried_s,
        "last_error": finish.last_error,
        "warnings": finish.warnings,
        "revision": finish.revision,
        "replay": work.replay if again or finish.state == "pending" else None,
        "priority": work.priority,
        "updated_at": now,
    }
