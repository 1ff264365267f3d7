"""Runner: a claimed delivery in, its new state out. Every way that an attempt can end is decided here."""

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from connector.adapter.http import send_before
from connector.backoff import Backoff
from connector.clock import Clock
from connector.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    CrmUnavailable,
    LeaseLost,
    OutcomeUnknown,
    RateLimited,
    StoreBusy,
)
from connector.observe import metrics
from connector.pipeline.calls.folds import Folds
from connector.pipeline.calls.lacks import NOT_WRITTEN
from connector.pipeline.delivery.attempt import Attempt
from connector.pipeline.delivery.contacts import Contacts
from connector.pipeline.delivery.journal import Journal
from connector.pipeline.delivery.lacks import lack_of
from connector.pipeline.delivery.outcome import Waiting
from connector.pipeline.delivery.plan import Plan, plan
from connector.pipeline.delivery.story import Target, tell
from connector.pipeline.delivery.targets import Targets
from connector.pipeline.gates.accounts import Accounts
from connector.pipeline.gates.gate import Gate
from connector.pipeline.recordings.fetch import Recordings
from connector.store.engine.database import Database
from connector.store.queries.deliveries import Work
from connector.store.queries.journal import Finish
from connector.store.queries.looks import Lack

log = logging.getLogger(__name__)

#: Retries are spread over 28 h of open connection, then the delivery is dead (docs/design.md §7).
RETRY_FOR_S: Final = 28 * 3600.0
#: From 1 s to 15 min, all of it left to chance: what failed together does not come back together.
_RETRY: Final = Backoff(1.0, 15 * 60.0, sure=0.0)
_UNTOLD_S: Final = 60.0
_WARNINGS_KEPT: Final = 20
_NO_RECORDING: Final = "The recording never came: an hour after the call Exotel's record had none."


@dataclass(frozen=True, slots=True)
class Result:
    """A delivery's new state, and when it is due again if it is pending."""

    state: str
    reason: str | None
    due_at: float


class Runner:
    """Carries out claimed deliveries."""

    def __init__(
        self,
        db: Database,
        targets: Targets,
        accounts: Accounts,
        contacts: Contacts,
        recordings: Recordings,
        gate_changed: Callable[[Gate], None],
        clock: Clock,
        *,
        restored_at: float | None = None,
    ) -> None:
        """`gate_changed` stores a gate, beside the work."""
        self._db = db
        self._targets = targets
        self._accounts = accounts
        self._contacts = contacts
        self._recordings = recordings
        self._gate_changed = gate_changed
        self._clock = clock
        self._restored_at = restored_at
        self._folds = Folds()

    async def run(self, work: Work) -> Result | None:
        """One attempt. None where the claim was lost: whoever holds the delivery now goes on."""
        target = await self._targets.of(work)
        try:
            if target is not None and target.connection.enabled:
                result = await self._attempt(work, target)
            else:
                outcome = _Outcome(self._clock, work)
                outcome.waits(self._clock.now(), "paused", "The connection is disabled.")
                result = await self._finish(outcome, Journal(self._db, work, self._clock, 0))
        except LeaseLost:
            log.info("the claim was lost", extra={"delivery": work.id, "call_sid": work.call_sid})
        except StoreBusy as error:
            # The claim runs out by itself; what was sent is then looked up before anything is sent again.
            log.warning("the store is busy", extra={"delivery": work.id, "error": str(error)})
        else:
            if target is not None:
                metrics.delivered(target.connection.adapter, result.reason or result.state)
            return result
        return None

    async def _attempt(self, work: Work, target: Target) -> Result:
        adapter, gate = self._accounts.adapter(target.connection), self._accounts.gate(target.connection)
        outcome = _Outcome(self._clock, work)
        outcome.fields = {
            "tenant": target.tenant.sid,
            "connection": target.connection.name,
            "call_sid": work.call_sid,
            "delivery": work.id,
            "attempt": work.attempts + 1,
        }
        journal = Journal(self._db, work, self._clock, adapter.settle_s)
        send_before.set(self._clock.monotonic() + (work.lease_until - self._clock.now()) - adapter.settle_s)
        look_first = self._restored_at is not None and work.call_created_at <= self._restored_at
        planned: Plan | None = None
        attempt: Attempt | None = None
        try:
            call = self._folds.of(work, target.tenant, target.connection)
            planned = plan(tell(call, target, self._clock.now()))
            attempt = Attempt(
                planned, adapter, journal, self._contacts, self._recordings, self._clock, look_first=look_first
            )
            await attempt.run()
            if gate.succeeded():
                self._gate_changed(gate)
            outcome.settled(planned, attempt)
        except Waiting as waiting:
            if not waiting.failed:
                outcome.waits(waiting.until, waiting.state, waiting.reason)
            else:
                self._failed(gate)
                outcome.retries(waiting.reason, waiting.until)
        except (AuthFailed, ConfigError) as error:
            if await self._is_good(target, error, outcome):
                # The credentials are good: it is this request that is not allowed.
                if attempt is not None and planned is not None and attempt.give_up_file(error.message):
                    outcome.settled(planned, attempt)
                else:
                    words = "The credentials are good: it is this request that is not allowed."
                    outcome.dies("rejected", f"{error.message} {words}")
        except RateLimited as error:
            outcome.waits(self._clock.now() + (error.retry_after_s or _UNTOLD_S), "quota", error.message)
        except (CrmUnavailable, OutcomeUnknown) as error:
            self._failed(gate)
            told_s = error.retry_after_s if isinstance(error, CrmUnavailable) else None
            outcome.retries(error.message, self._clock.now() + (told_s or 0.0))
        except (LeaseLost, StoreBusy):
            raise
        except CrmError as error:
            outcome.dies("rejected", error.message)
        except Exception as error:
            log.error("a fault of ours", extra={**outcome.fields, "traceback": traceback.format_exc()})
            outcome.dies("bug", f"A fault of the connector ({type(error).__name__}); its log has the details.")
        if attempt is not None:
            outcome.warn(attempt.ended.warnings)
        if planned is not None:
            outcome.learned(planned)
        outcome.revision = target.connection.revision
        return await self._finish(outcome, journal)

    def _failed(self, gate: Gate) -> None:
        if gate.failed():
            self._gate_changed(gate)

    async def _is_good(self, target: Target, error: AuthFailed | ConfigError, outcome: "_Outcome") -> bool:
        """Whether the account's credentials are good although a request was refused; else what follows is settled."""
        try:
            await self._accounts.auth_failed(self._targets.newest(target))
        except AuthFailed as paused:
            outcome.waits(self._clock.now(), "paused", paused.message)
        except CrmError:
            outcome.retries(error.message, self._clock.now())  # neither proven nor disproven: asked again
        else:
            return True
        return False

    async def _finish(self, outcome: "_Outcome", journal: Journal) -> Result:
        overtaken = await journal.finish(outcome.finish())
        level = {"done": logging.INFO, "dead": logging.ERROR}.get(outcome.state, logging.DEBUG)
        if outcome.reason == "retrying":
            level = logging.WARNING
        if log.isEnabledFor(level):
            log.log(level, "delivery %s", outcome.state, extra={**outcome.fields, "error": outcome.last_error})
        if overtaken and outcome.reason not in ("retrying", "quota", "paused"):
            return Result("pending", "waiting", self._clock.now())
        return Result(outcome.state, outcome.reason, outcome.due_at)


class _Outcome:
    """The delivery's new state, as it is found out."""

    def __init__(self, clock: Clock, work: Work) -> None:
        self._clock = clock
        self.fields: dict[str, Any] = {}
        self.state = "done"
        self.reason: str | None = None
        self.due_at = clock.now()
        self.attempts = work.attempts
        self.retried_s = work.retried_s
        self.last_error: str | None = None
        self.warnings: list[str] = json.loads(work.warnings)
        self.revision = work.revision
        # What was learned of the call; nothing where the attempt did not come to read it.
        self._summary: str | None = None
        self._customer: str | None = None
        self._lack: Lack | None = None

    def settled(self, planned: Plan, attempt: Attempt) -> None:
        """Every step had its turn."""
        self.attempts = 0
        self.retried_s = 0.0
        if attempt.ended.dead is not None:
            self.dies(*attempt.ended.dead)
            return
        looks = [at for at in (planned.look_again_at, attempt.ended.again_at) if at is not None]
        if looks:
            self.state, self.reason, self.due_at = "pending", "waiting", min(looks)

    def waits(self, until: float, reason: str, words: str) -> None:
        """Nothing is counted: it goes on at a known time."""
        self.state, self.reason, self.due_at = "pending", reason, until
        self.last_error = words

    def retries(self, words: str, not_before: float) -> None:
        """Once more, later; dead after 28 h of trying."""
        self.attempts += 1
        delay_s = max(_RETRY.wait_s(self.attempts), not_before - self._clock.now())
        self.retried_s += delay_s
        self.last_error = words
        if self.retried_s > RETRY_FOR_S:
            self.state, self.reason = "dead", "expired"
        else:
            self.state, self.reason, self.due_at = "pending", "retrying", self._clock.now() + delay_s

    def dies(self, reason: str, words: str) -> None:
        """Somebody must change something."""
        self.state, self.reason, self.last_error = "dead", reason, words

    def learned(self, planned: Plan) -> None:
        """What the attempt tells of its call, however it ended."""
        call = planned.story.call
        if planned.not_due:
            self.warn([f"{NOT_WRITTEN}{planned.not_due}"])
        if call.recording_missing:
            self.warn([_NO_RECORDING])
        self._summary, self._customer = planned.story.summary(), call.customer_number
        self._lack = lack_of(planned)

    def warn(self, words: list[str]) -> None:
        """Adds what a person should know, once."""
        self.warnings.extend(word for word in words if word not in self.warnings)

    def finish(self) -> Finish:
        """As the journal takes it."""
        return Finish(
            state=self.state,
            reason=self.reason,
            due_at=self.due_at,
            attempts=self.attempts,
            retried_s=self.retried_s,
            last_error=self.last_error,
            warnings=json.dumps(self.warnings[-_WARNINGS_KEPT:], ensure_ascii=False),
            revision=self.revision,
            summary=self._summary,
            customer=self._customer,
            lack=self._lack,
        )
