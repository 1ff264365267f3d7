"""Files: a recording that the CRM gets as a file, once Exotel has it, without holding anything else back.

It is a slot of its own, planned last. While Exotel has no file the delivery is looked at again at set times; what keeps
the file away for good is said once with the call, and our link stands in for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from connector.adapter import Adapter, Entry, Files
from connector.clock import Clock
from connector.exotel.recordings import File, RecordingTrouble
from connector.pipeline.delivery.journal import Journal
from connector.pipeline.delivery.outcome import Ended
from connector.pipeline.delivery.story import Story
from connector.pipeline.recordings.fetch import LATE_S, Recordings
from connector.pipeline.recordings.links import FILE, file_name
from connector.store.queries.deliveries import StepRow

#: Seconds after the call's end at which a file that was not there is looked for again.
_LOOKS_S: Final = (120.0, 300.0, 900.0, 3600.0)
#: An Exotel that does not answer is asked for so long; it keeps the file meanwhile.
_AWAY_S: Final = 28 * 3600.0
_AWAY_LOOK_S: Final = 3600.0
#: Files are held in memory between Exotel and the CRM, so they take turns.
_TURN_S: Final = 5.0


class FileSlot:
    """The file of one delivery's call."""

    def __init__(
        self,
        story: Story,
        adapter: Adapter[Any],
        journal: Journal,
        recordings: Recordings,
        clock: Clock,
        ended: Ended,
    ) -> None:
        links, url = story.target.links, story.recording
        assert links is not None, "an attempt has links"
        assert url is not None, "the file is planned where there is a recording"
        self._story = story
        self._links = links
        self._url = url
        self._call_sid = story.call.call_sid or ""
        self._adapter = adapter
        self._journal = journal
        self._recordings = recordings
        self._clock = clock
        self._ended = ended

    def entry(self) -> Entry:
        """What the journal keeps of the file: its name in the CRM, and ours for the recording."""
        return Entry(subject=file_name(self._call_sid, self._url), text=self._links.row(self._url).name)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether this file may be fetched and sent now; where others are, it is looked at again soon."""
        with self._recordings.turn() as mine:
            if not mine:
                self._ended.look_again(self._clock.now() + _TURN_S)
            yield mine

    def is_wanted(self, row: StepRow | None) -> bool:
        """Whether the file is still to come. One that was given up is looked for anew when something newer is known."""
        if row is not None and row.state == "skipped" and row.version >= self._journal.work.version:
            self._ended.warn(f"{FILE}: {row.warning}")
            return False
        if self._links.row(self._url).is_revoked:
            self.skip("its links were withdrawn, so it is not given to the CRM")
            return False
        return True

    async def fetch(self) -> File | None:
        """The file; None where it is waited for, or is not to come."""
        assert isinstance(self._adapter, Files), "the file is planned for adapters that take files"
        tenant, most = self._story.target.tenant, self._adapter.largest_file
        try:
            return await self._recordings.whole(tenant, self._call_sid, self._url, most)
        except RecordingTrouble as trouble:
            at = self._next_look(trouble)
            if at is None:
                self.skip(_WORDS.get(trouble.why, trouble.message))
            else:
                self._ended.look_again(at)
            return None

    def skip(self, words: str) -> None:
        """The CRM does not get the file. Its other records are looked at again: they now show the link."""
        self._ended.warn(f"{FILE}: {words}")
        row = self._journal.steps.get(FILE)
        if row is not None and row.ref_id is not None:
            return  # an earlier recording of the call is there
        self._journal.skipped(FILE, "file", words)
        if not self._links.no_file:
            self._ended.look_again(self._clock.now())

    def attached(self) -> None:
        """The CRM has the file. Records that show the link, since it seemed not to come, are looked at again."""
        if self._links.no_file:
            self._ended.look_again(self._clock.now())

    def _next_look(self, trouble: RecordingTrouble) -> float | None:
        """When a file that cannot be had now may be there; None where that is not to be expected."""
        if trouble.why not in ("absent", "unavailable", "unauthorized"):
            return None
        now, over_at = self._clock.now(), self._story.call.terminal_at or self._story.call.last_event_at
        looks = sorted({*(over_at + after_s for after_s in _LOOKS_S), self._story.available_by + LATE_S})
        later = next((at for at in looks if at > now), None)
        if later is None and trouble.why != "absent" and now < over_at + _AWAY_S:
            return now + max(_AWAY_LOOK_S, trouble.retry_after_s or 0.0)
        return later


_WORDS: Final = {"absent": "Exotel never had the recording; the link stands in for the file, should it still come"}
