"""What a tenant enters to connect a Freshsales account, and what may be chosen for it."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from connector.adapter import SalesOptions, Settings, TaskOptions, pasted_host


class FreshsalesSettings(Settings):
    """What a tenant enters to connect a Freshsales account."""

    domain: str = Field(
        title="Domain",
        description="The account's address, as acme.myfreshworks.com (Classic: acme.freshsales.io)",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.(myfreshworks\.com|freshsales\.io)$",
    )
    api_key: SecretStr = Field(
        title="API key", description="Freshsales > profile picture > Settings > API Settings", min_length=1
    )

    @field_validator("domain", mode="before")
    @classmethod
    def _host(cls, value: object) -> object:
        """Takes the address as people paste it: with scheme, path, blanks, or the bare alias of a Suite account."""
        return pasted_host(value, ".myfreshworks.com")

    @property
    def classic(self) -> bool:
        """The older generation, which has leads beside contacts, and its API at another path."""
        return self.domain.endswith(".freshsales.io")


class FreshsalesOptions(SalesOptions, TaskOptions):
    """Options of call logs and tasks, and how this CRM is written to."""

    #: Body of `POST /phone_calls`: accounts differ in which one keeps the contact (reference freshsales.md §5).
    call_log_format: Literal["multipart", "json"] = "multipart"
    #: What a call becomes: an entry of the phone log, a sales activity of the type phone, or a note.
    log_as: Literal["phone_call", "sales_activity", "note"] = "phone_call"
