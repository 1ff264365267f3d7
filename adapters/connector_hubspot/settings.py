"""What a tenant enters to connect a HubSpot account, and may change about it."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from connector.adapter import DeskOptions, RecordOptions, SalesOptions, Settings, TaskOptions

_LOGIN = ("client_id", "client_secret", "refresh_token")


class HubSpotSettings(Settings):
    """A private app's token, or an OAuth app's login: one of the two (docs/reference/hubspot.md §2)."""

    access_token: SecretStr | None = Field(
        default=None,
        title="Access token",
        description="Of a private app: HubSpot > Development > Legacy apps > Auth; begins with pat-",
        min_length=1,
    )
    client_id: str | None = Field(default=None, title="Client id", description="Of an OAuth app", min_length=1)
    client_secret: SecretStr | None = Field(
        default=None, title="Client secret", description="Of the same OAuth app", min_length=1
    )
    refresh_token: SecretStr | None = Field(
        default=None, title="Refresh token", description="What the OAuth app got when it was installed", min_length=1
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        lacks = [name for name in _LOGIN if getattr(self, name) is None]
        if self.access_token is not None and len(lacks) < len(_LOGIN):
            raise ValueError("takes either access_token, or client_id, client_secret and refresh_token, not both")
        if self.access_token is None and lacks:
            words = "needs access_token, or client_id, client_secret and refresh_token"
            raise ValueError(words if len(lacks) == len(_LOGIN) else f"{words}: {' and '.join(lacks)} missing")
        return self


class HubSpotOptions(SalesOptions, TaskOptions, DeskOptions, RecordOptions):
    """Options of call logs, tasks and tickets; `records` says which of logs and tickets are written."""

    def needs(self) -> list[tuple[str, str, str]]:
        """What these options ask for beside contacts and calls: object or list, scope, what is lost without it."""
        found = [("owners", "crm.objects.owners.read", "enter agents by hand, with HubSpot's owner ids")]
        for kind, objects in (("company", "companies"), ("deal", "deals")):
            if kind in self.associate:
                found.append((objects, f"crm.objects.{objects}.read", f"calls cannot be tied to {objects}"))
        if "desk" in self.records:
            found.append(("tickets", "tickets", "no tickets can be written"))
        return found
