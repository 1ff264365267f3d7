"""What a tenant enters to connect a Zoho Desk organisation, where its data centre is reached, and its options."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, model_validator

from connector.adapter import DeskOptions, SalesOptions, Settings, region

DataCenter = Literal["us", "eu", "in", "au", "jp", "ca", "sa", "uk", "cn"]
#: Data centre -> domain, the same for `accounts.` and `desk.` (docs/reference/zoho_desk.md §2.1).
DOMAINS: dict[DataCenter, str] = {
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
#: Hosts that a client secret may be sent to.
_ACCOUNTS = frozenset(f"accounts.{domain}" for domain in DOMAINS.values())
_ID = r"^[0-9]{1,20}$"


class ZohoDeskSettings(Settings):
    """The organisation, the department that tickets go to, and an OAuth client with a refresh token of its own."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # ids look like numbers in YAML

    data_center: Annotated[DataCenter, region(DOMAINS)] = Field(
        title="Data centre", description="Where the organisation lives: the end of its address, as in desk.zoho.in"
    )
    org_id: str = Field(title="Organisation id", description="Setup > Developer space > API", pattern=_ID)
    department_id: str = Field(title="Department id", description="Where tickets and calls are made", pattern=_ID)
    client_id: str = Field(title="Client id", description="api-console.zoho.com > Self Client", min_length=1)
    client_secret: SecretStr = Field(title="Client secret", min_length=1)
    refresh_token: SecretStr = Field(title="Refresh token", min_length=1)
    accounts_url: str | None = Field(
        default=None, title="Accounts server", description="Only where it is not the data centre's own"
    )

    @model_validator(mode="after")
    def _accounts(self) -> "ZohoDeskSettings":
        """The client's secret goes to Zoho's own servers only, unless the operator leads the connection elsewhere."""
        if self.accounts_url is None:
            return self
        told = urlsplit(self.accounts_url)
        known = told.scheme == "https" and told.netloc in _ACCOUNTS
        led = self.base_url is not None and told.scheme in ("http", "https") and bool(told.netloc)
        if not (known or led) or told.path not in ("", "/") or told.query:
            raise ValueError(f"accounts_url must be one of Zoho's: https://{', https://'.join(sorted(_ACCOUNTS))}")
        return self

    @property
    def desk_host(self) -> str:
        """`desk.zoho.in`"""
        return f"desk.{DOMAINS[self.data_center]}"

    @property
    def accounts(self) -> str:
        """`https://accounts.zoho.in`"""
        return f"https://accounts.{DOMAINS[self.data_center]}"


class ZohoDeskOptions(DeskOptions, SalesOptions):
    """A call is a ticket and a call activity here; there are no companies' or deals' activities."""

    associate: tuple[Literal["contact", "ticket"], ...] = ("contact", "ticket")

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")
