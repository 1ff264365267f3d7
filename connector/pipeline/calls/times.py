"""Times of a call that several rooms go by, in seconds."""

from typing import Final

#: No event for so long, and nobody is being rung: the call is over, whatever did not arrive.
QUIET_S: Final = 120.0

#: Where Call Details are asked, what only time tells waits so much longer for the answer: looks begin every 30 s.
ASKED_S: Final = 60.0

#: With an agent on the line nothing is concluded before Exotel's longest call.
LONGEST_CALL_S: Final = 4 * 3600.0

#: Exotel's own promise, as it comes with passthrus (docs/reference/exotel.md §9).
FILE_AFTER_S: Final = 300.0

#: After a terminal event an input that was overtaken on its way may still come.
LAST_INPUT_S: Final = 3.0
