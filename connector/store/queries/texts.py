"""Text messages that Exotel sent for us: their fate, as its callbacks tell it (reference exotel.md §4.3)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class TextFate:
    """What a callback tells of a message. `sent_at`, `updated_at`: Unix seconds."""

    tenant_id: int
    sms_sid: str
    status: str | None
    detailed_status: str | None
    detailed_status_code: int | None
    custom_field: str | None
    sent_at: float | None
    updated_at: float


_COLUMNS = "tenant_id, sms_sid, status, detailed_status, detailed_status_code, custom_field, sent_at, updated_at"
# What a callback does not tell stays as an earlier one told it.
_KEPT = ("status", "detailed_status", "detailed_status_code", "custom_field", "sent_at")
_WRITE_FATE = text(
    f"insert into text_message ({_COLUMNS}) values (:{_COLUMNS.replace(', ', ', :')})"  # noqa: S608 - our own names
    " on conflict (tenant_id, sms_sid) do update set "
    + ", ".join(f"{name} = coalesce(excluded.{name}, text_message.{name})" for name in _KEPT)
    + ", updated_at = excluded.updated_at"
)
_FATE = text(f"select {_COLUMNS} from text_message where tenant_id = :tenant_id and sms_sid = :sms_sid")  # noqa: S608


def write_fates(connection: Connection, fates: Sequence[TextFate]) -> list[None]:
    """Keeps what callbacks told."""
    for fate in fates:
        connection.execute(_WRITE_FATE, asdict(fate))
    return [None] * len(fates)


def fate_of(connection: Connection, tenant_id: int, sms_sid: str) -> TextFate | None:
    """The fate of a message; None while no callback told of it."""
    row = connection.execute(_FATE, {"tenant_id": tenant_id, "sms_sid": sms_sid}).first()
    return None if row is None else TextFate(*row)
