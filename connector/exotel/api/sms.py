"""Text messages (reference exotel.md §7)."""

from typing import Final
from urllib.parse import quote

from connector.errors import CrmUnavailable, OutcomeUnknown
from connector.exotel.api.answers import object_of
from connector.exotel.api.http import ExotelHttp, Urgency
from connector.exotel.api.parsing import parse_sms
from connector.exotel.api.records import Sms

_LONGEST: Final = 2000


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

        `sender`: an ExoPhone, or a sender ID that is linked to one. Never repeated: `OutcomeUnknown` means that it may
        have gone out. Raises `ValueError` where it is empty or too long.
        """
        if not 0 < len(text) <= _LONGEST:
            raise ValueError(f"a message has 1 to {_LONGEST} characters")
        told = {
            "DltEntityId": dlt_entity_id,
            "DltTemplateId": dlt_template_id,
            "CustomField": custom_field,
            "StatusCallback": status_callback,
        }
        form = {"From": sender, "To": to, "Body": text, "EncodingType": "plain" if text.isascii() else "unicode"}
        form |= {name: value for name, value in told.items() if value is not None}
        answer = await self._http.write("POST", f"{self._http.v1}/Sms/send.json", form=form, urgency=self._urgency)
        sms = parse_sms(object_of(answer, "SMSMessage"), self._http.country)
        if sms is None:
            raise OutcomeUnknown("Exotel's answer names no message.")
        return sms

    async def get(self, sms_sid: str) -> Sms:
        """The message's fate. Raises `NotFound` (Exotel answers 200 "No matching results")."""
        path = f"{self._http.v1}/SMS/Messages/{quote(sms_sid, safe='')}.json"
        sms = parse_sms(object_of(await self._http.read(path, urgency=self._urgency), "SMSMessage"), self._http.country)
        if sms is None:
            raise CrmUnavailable("Exotel's answer has no message in it.")
        return sms
