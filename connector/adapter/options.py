"""What a tenant may change about how calls become records (docs/design.md §6).

One model per family; an adapter names the model that fits it (`options_model`) and may extend it with options of its
own. Unknown keys are refused when a connection is applied.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connector.phone import Spelling

DigitsRule = Literal["show", "mask", "drop"]
Template = Annotated[str, StringConstraints(max_length=8192)]


class Options(BaseModel):
    """Options that every adapter takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What happens with a caller whom the CRM does not know.
    unknown_caller: Literal["create_contact", "create_lead", "none"] = "create_contact"
    #: Which contact is meant when several have the number; `only` takes none of them.
    match: Literal["newest", "oldest", "only"] = "newest"
    #: Spellings of a number that contacts are looked up by; None means the adapter's own list.
    find_by: tuple[Spelling, ...] | None = None
    #: How the number of a new contact is written; None means the adapter's own way.
    save_as: Spelling | None = None
    recording: Literal["link", "attach", "none"] = "link"
    #: What is kept of keyed digits, for all or per tag; applied before anything is stored.
    digits: DigitsRule | dict[str, DigitsRule] = "show"
    #: Only calls of these ExoPhones; empty means all.
    exophones: tuple[str, ...] = ()
    #: Callers who are never recorded.
    ignore: tuple[str, ...] = ()
    #: What follows a write whose outcome cannot be found out; None: `ask` for tickets and logs, `repeat` for the rest.
    unsure: Literal["ask", "repeat"] | None = None
    #: CRM field -> template of its value.
    fields: dict[str, Template] = Field(default_factory=dict)
    #: Part (`subject`, `body`, `note`, ...) -> template, or outcome -> template.
    templates: dict[str, Template | dict[str, Template]] = Field(default_factory=dict)


class DeskOptions(Options):
    """For adapters that write tickets."""

    #: What a plain `answered` becomes; with `none` the agent decides.
    answered: Literal["none", "ticket"] = "none"
    missed: Literal["ticket", "open_ticket"] = "ticket"
    #: `agent`: the ticket is given to the agent who answered.
    assign: Literal["none", "agent"] = "none"


class SalesOptions(Options):
    """For adapters that write call logs."""

    #: What a call log is tied to, beside the contact that it is made for.
    associate: tuple[Literal["contact", "company", "deal", "ticket"], ...] = ("contact",)


class TaskOptions(Options):
    """For adapters that write follow-ups."""

    #: What a missed call or a voicemail becomes beside its call log; an adapter may know further kinds.
    follow_up: str = Field(default="none", pattern="^(none|task)$")


class ChatOptions(Options):
    """For adapters that write conversations."""

    #: Whether the customer may read what is written of a call.
    customer_sees: bool = False


class RecordOptions(Options):
    """For adapters that offer call logs and tickets, where the tenant chooses."""

    records: tuple[Literal["sales", "desk"], ...] = ("sales",)
