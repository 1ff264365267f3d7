"""What a call may lack, and what is said of one that nothing is written of."""

from typing import Final

#: Begins the warning that says why nothing is written.
NOT_WRITTEN: Final = "nothing is written: "


#: A voicemail without its recording: one must come, where an answered call may just not be recorded.
VOICEMAIL: Final = "voicemail"


RECORDING: Final = "recording"
