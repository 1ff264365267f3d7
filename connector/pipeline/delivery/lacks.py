"""What a call lacks that Exotel's record may tell, and when to ask for it first."""

from typing import Final

from connector.pipeline.calls.lacks import RECORDING, VOICEMAIL
from connector.pipeline.delivery.plan import Plan
from connector.store.queries.looks import Lack

#: A call that lacks its recording alone is asked for when recordings tend to be there: the second look.
_RECORDING_FIRST: Final = 1


def lack_of(planned: Plan) -> Lack | None:
    """What Exotel is to be asked for; None where the attempt has no say: nobody can be asked, nothing is written."""
    story = planned.story
    call, target = story.call, story.target
    if planned.not_due or not target.tenant.api_key.get_secret_value():
        return None
    lacks: list[str] = []
    if not call.over and not call.closed:
        lacks += ["end", *(["outcome"] if call.outcome == "in-progress" else [])]
    if story.outcome == "answered" and not call.duration_s:
        lacks.append("talk")
    wants = target.connection.options.recording != "none" and not call.recording_url and not call.recording_missing
    if wants and story.outcome in ("answered", "voicemail"):
        lacks.append(VOICEMAIL if story.outcome == "voicemail" else RECORDING)
    first = _RECORDING_FIRST if lacks in ([RECORDING], [VOICEMAIL]) else 0
    return Lack(",".join(lacks), call.last_event_at, first)
