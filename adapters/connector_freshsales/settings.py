"""What a tenant enters to connect a Freshsales account, and what may be chosen for it."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from connector.adapter import SalesOptions, Settings, TaskOptions, own_host, pasted


class FreshsalesSettings(Settings):
    """What a tenant enters to connect a Freshsales account."""

    domain: Annotated[str, pasted(".myfreshworks.com")] = Field(
        title="Domain",
        description="The account's address, as acme.myfreshworks.com (Classic: acme.freshsales.io)",
        pattern=own_host(r"\.(myfreshworks\.com|freshsales\.io)"),
    )
    api_key: SecretStr = Field(
        title="API key", description="Freshsales > profile picture > Settings > API Settings", min_length=1
    )

    @property
    def classic(self) -> bool:
        """The older generation, which has leads beside contacts, and its API at another path."""
        return self.domain.endswith(".freshsales.io")


class FreshsalesOptions(SalesOptions, TaskOptions):
    """Options of call logs and tasks, and how this CRM is written to."""

    #: Body of `POST /phone_calls`: accounts differ in which one keeps the contact (docs/reference/freshsales.md §5).
    call_log_format: Literal["multipart", "json"] = "multipart"
    #: What a call becomes: an entry of the phone log, a sales activity of the type phone, or a note.
    log_as: Literal["phone_call", "sales_activity", "note"] = "phone_call"
