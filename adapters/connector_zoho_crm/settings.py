"""What a tenant enters to connect a Zoho organisation, where its data centre is, and what may be changed."""

from typing import Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator

from connector.adapter import SalesOptions, Settings, TaskOptions


class DataCenter(NamedTuple):
    """Hosts of one data centre: login, API, and the pages that people open."""

    accounts: str
    api: str
    web: str


#: An organisation lives in one of these (reference zoho_desk.md §2.1, zoho_crm.md §2).
DATA_CENTERS = {
    "us": DataCenter("accounts.zoho.com", "www.zohoapis.com", "crm.zoho.com"),
    "eu": DataCenter("accounts.zoho.eu", "www.zohoapis.eu", "crm.zoho.eu"),
    "in": DataCenter("accounts.zoho.in", "www.zohoapis.in", "crm.zoho.in"),
    "au": DataCenter("accounts.zoho.com.au", "www.zohoapis.com.au", "crm.zoho.com.au"),
    "jp": DataCenter("accounts.zoho.jp", "www.zohoapis.jp", "crm.zoho.jp"),
    "ca": DataCenter("accounts.zohocloud.ca", "www.zohoapis.ca", "crm.zohocloud.ca"),
    "sa": DataCenter("accounts.zoho.sa", "www.zohoapis.sa", "crm.zoho.sa"),
    "uk": DataCenter("accounts.zoho.uk", "www.zohoapis.uk", "crm.zoho.uk"),
    "cn": DataCenter("accounts.zoho.com.cn", "www.zohoapis.com.cn", "crm.zoho.com.cn"),
}
#: The ends of Zoho's addresses, which people know their data centre by.
_ENDS = {"com": "us", "com.au": "au", "com.cn": "cn"}


class ZohoCrmSettings(Settings):
    """What a tenant enters to connect a Zoho organisation."""

    data_center: Literal["us", "eu", "in", "au", "jp", "ca", "sa", "uk", "cn"] = Field(
        title="Data centre", description="The end of the address at which you use Zoho CRM; `us` for crm.zoho.com"
    )
    client_id: str = Field(title="Client ID", description="Zoho API console > your client", min_length=1)
    client_secret: SecretStr = Field(title="Client secret", description="Zoho API console > your client", min_length=1)
    refresh_token: SecretStr = Field(
        title="Refresh token", description="Of an administrator's login with access_type=offline", min_length=1
    )
    accounts_url: str | None = Field(
        default=None,
        title="Accounts URL",
        description="Another address of Zoho's login service; only the operator sets it",
        pattern=r"^https?://[^/?#@]+/?$",
    )

    @field_validator("data_center", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        """Takes the end of an address for the data centre, too: `.com.au`, `zoho.in`."""
        if not isinstance(value, str):
            return value
        end = value.strip().lower().removeprefix("https://").rstrip("/").rpartition("zoho.")[2].lstrip(".")
        return _ENDS.get(end, end)


class ZohoCrmOptions(SalesOptions, TaskOptions):
    """Call logs on contacts and leads, follow-ups in three forms."""

    #: Zoho CRM has no tickets; of company and deal it takes one, the deal where there is one.
    associate: tuple[Literal["contact", "company", "deal"], ...] = ("contact",)
    follow_up: str = Field(default="none", pattern="^(none|task|event|call)$")
    #: API name of a text field without duplicates that holds our keys, such as `Exotel_Key`; `prepare` makes it.
    key_field: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$", max_length=40)
