"""What a tenant enters to connect a Zoho organisation, where its data centre is, and what may be changed."""

from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr

from connector.adapter import SalesOptions, Settings, TaskOptions, region

#: Data centre, where an organisation lives -> domain (docs/reference/zoho_desk.md §2.1, docs/reference/zoho_crm.md §2).
DOMAINS: Final = {
    "us": "zoho.com",
    "eu": "zoho.eu",
    "in": "zoho.in",
    "au": "zoho.com.au",
    "jp": "zoho.jp",
    "ca": "zohocloud.ca",
    "sa": "zoho.sa",
    "uk": "zoho.uk",
    "cn": "zoho.com.cn",
}


class ZohoCrmSettings(Settings):
    """What a tenant enters to connect a Zoho organisation."""

    data_center: Annotated[Literal["us", "eu", "in", "au", "jp", "ca", "sa", "uk", "cn"], region(DOMAINS)] = Field(
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

    @property
    def domain(self) -> str:
        """`zoho.in`, below which the login and the pages are that people open."""
        return DOMAINS[self.data_center]

    @property
    def api_host(self) -> str:
        """`www.zohoapis.in`"""
        return f"www.zohoapis.{self.domain.partition('.')[2]}"


class ZohoCrmOptions(SalesOptions, TaskOptions):
    """Call logs on contacts and leads, follow-ups in three forms."""

    #: Zoho CRM has no tickets; of company and deal it takes one, the deal where there is one.
    associate: tuple[Literal["contact", "company", "deal"], ...] = ("contact",)
    follow_up: str = Field(default="none", pattern="^(none|task|event|call)$")
    #: API name of a text field without duplicates that holds our keys, such as `Exotel_Key`; `prepare` makes it.
    key_field: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$", max_length=40)
