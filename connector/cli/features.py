"""The README's feature table, made by asking the plan: CRM × event × what it becomes.

`python -m connector.cli.features README.md` writes it between the marks; a test fails when it is stale.
"""

import sys
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from connector.adapter import Adapter, Chat, EditableNotes, Sales, registry
from connector.adapter.options import DeskOptions, Options, RecordOptions, TaskOptions
from connector.exotel.model import Call, Digits
from connector.pipeline.delivery.plan import plan
from connector.pipeline.delivery.story import Target, tell
from connector.tenants.model import Connection, Tenant

_BEGIN, _END = "<!-- features: begin -->", "<!-- features: end -->"
_RECORDING: Final = "https://recordings.exotel.com/exotelrecordings/acme1/1.mp3"
_TALKED: Final = {"duration_s": 64, "recording_url": _RECORDING, "over": True}

_EVENTS: Final[dict[str, Call]] = {
    "missed, caller gone while it rang": Call(
        call_sid="1", kinds=frozenset({"missed"}), outcome="missed", missed=True, over=True
    ),
    "voicemail": Call(call_sid="1", kinds=frozenset({"voicemail"}), outcome="voicemail", voicemail=True, **_TALKED),
    "IVR and gather inputs": Call(
        call_sid="1",
        kinds=frozenset({"ivr", "gather", "end"}),
        outcome="ivr",
        digits=(Digits(label="lang", digits="2"),),
        over=True,
    ),
    "answered": Call(call_sid="1", kinds=frozenset({"answered"}), outcome="answered", **_TALKED),
    "outbound (click to call)": Call(
        call_sid="1", direction="outbound", kinds=frozenset({"status"}), outcome="answered", **_TALKED
    ),
}
_WORDS: Final = {"call_log": "call log", "conversation": "message in the conversation", "message": "second message"}


def table() -> str:
    """The table as Markdown; cells in brackets come where an option asks for them."""
    adapters = registry.adapters()
    lines = [
        "| | " + " | ".join(adapter.title for adapter in adapters.values()) + " |",
        "| --- |" + " --- |" * len(adapters),
    ]
    for event, call in _EVENTS.items():
        cells = [_cell(adapter, call) for adapter in adapters.values()]
        lines.append(f"| {event} | " + " | ".join(cells) + " |")
    lines.append("| recording comes late | " + " | ".join(_late(adapter) for adapter in adapters.values()) + " |")
    return "\n".join(lines)


def _cell(adapter: type[Adapter[Any]], call: Call) -> str:
    usual = _kinds(adapter, call, asked=False)
    asked = [kind for kind in _kinds(adapter, call, asked=True) if kind not in usual]
    words = ", ".join(usual)
    if asked:
        words += (" " if words else "") + f"({', '.join(asked)})"
    return words or "the agent decides"


def _kinds(adapter: type[Adapter[Any]], call: Call, *, asked: bool) -> list[str]:
    options = adapter.options_model.model_validate(dict(adapter.default_options))
    if asked:
        options = _asked(options)
    connection = Connection(
        id="1", tenant_id=1, name="", adapter=adapter.name, account="", enabled=True, revision=1, settings={},
        options=options,
    )  # fmt: skip
    steps = plan(tell(call, Target(_tenant(), connection, adapter), now=0.0)).steps
    made = [step for step in steps if not step.only_update and not step.only_on_open]
    slots = {step.slot for step in made}
    return list(dict.fromkeys(_WORDS.get(step.kind, step.kind) for step in made if slots.issuperset(step.needs)))


def _asked(options: Options) -> Options:
    wishes: dict[str, Any] = {}
    if isinstance(options, DeskOptions):
        wishes["answered"] = "ticket"
    if isinstance(options, TaskOptions):
        wishes["follow_up"] = "task"
    if isinstance(options, RecordOptions):
        wishes["records"] = ("sales", "desk")
    return options.model_copy(update=wishes)


def _late(adapter: type[Adapter[Any]]) -> str:
    if issubclass(adapter, Chat):
        return "a further message"
    if issubclass(adapter, Sales):
        return "the call log is updated"
    return "the note is updated" if issubclass(adapter, EditableNotes) else "a further note"


def _tenant() -> Tenant:
    nothing = SecretStr("")
    return Tenant(
        id=1, sid="acme1", region="singapore", country="IN", time_zone="Asia/Kolkata", api_key=nothing,
        api_token=nothing, hook_token=nothing,
    )  # fmt: skip


def written(readme: str) -> str:
    """The README with the table as it is now."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
