"""Text messages (reference exotel.md §7)."""

from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.records import Sms


class Texts:
    """Sends text messages. Their fate comes to the callback `/h/{hook_token}/callback/sms`."""

    def __init__(self, http: ExotelHttp, urgency: Urgency) -> None:
        self._http = http
        self._urgency: Urgency = urgency

    async def send(
        self,
        sender: str,
        to: str,
        text: str,
        *,
        dlt_entity_id: str | None = None,
        dlt_template_id: str | None = None,
        custom_field: str | None = None,
        status_callback: str | None = None,
    ) -> Sms:
        """Sends one message of 2,000 characters at most. India asks for `dlt_entity_id` and `dlt_template_id`.

        Never repeated: `OutcomeUnknown` means that it may have gone out. Raises `ValueError` where it is too long.
        """
        raise NotImplementedError

    async def get(self, sms_sid: str) -> Sms:
        """The message's fate. Raises `NotFound` (Exotel answers 200 "No matching results")."""
        raise NotImplementedError
