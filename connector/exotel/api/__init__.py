"""The client of Exotel's API for one tenant: `await exotel.calls.get(call_sid)`.

| part | does |
| --- | --- |
| `calls` | Connect, Call Details, bulk details, recording on and off |
| `legs` | legs of a call: active, finished; hang up, listen, whisper, barge |
| `people` | users and their devices, on and off |
| `numbers` | ExoPhones, what is known of a number |

Every method raises the errors of `ExotelHttp`, and `ValueError` where its docstring says so. Reads are repeated on
passing faults, writes never.
"""

from connector.exotel.api.calls import CallsApi
from connector.exotel.api.filters import CallFilter
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.legs import Legs
from connector.exotel.api.numbers import Numbers
from connector.exotel.api.people import People
from connector.exotel.api.records import CallPage, CallRecord

__all__ = ["CallFilter", "CallPage", "CallRecord", "Exotel", "ExotelHttp", "Urgency"]


class Exotel:
    """One tenant's client, for work of one urgency."""

    def __init__(self, http: ExotelHttp, urgency: Urgency = "caller") -> None:
        self._http = http
        self.calls = CallsApi(http, urgency)
        self.legs = Legs(http, urgency)
        self.people = People(http, urgency)
        self.numbers = Numbers(http, urgency)

    def at(self, urgency: Urgency) -> "Exotel":
        """The same client for work of another urgency."""
        return Exotel(self._http, urgency)
