"""Digests decide whether a record is written anew: an update that changed one would rewrite every record there is."""

import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from connector.adapter import Agent, registry
from connector.pipeline.calls.events import known, read
from connector.pipeline.calls.fold import fold
from connector.pipeline.delivery.plan import plan
from connector.pipeline.delivery.render import digest, facts, render
from connector.pipeline.delivery.story import Target, tell
from connector.pipeline.recordings.links import LinkMaker
from connector.store.queries.deliveries import StepRow, StoredEvent, Work
from connector.store.secrets import SecretBox
from connector.tenants.masking import Mask
from connector.tenants.model import Connection, Tenant


@pytest.fixture(autouse=True)
def _on_both_databases() -> None:
    """What is tried here needs no store: it is not run once for each database."""


_AT = 1_760_000_000.0
_BOX = SecretBox([base64.urlsafe_b64encode(b"k" * 32).decode()], b"r" * 32)
_NOTHING = SecretStr("")
_ANSWERED = {
    "CallSid": "sid1",
    "CallFrom": "08884643606",
    "From": "08884643606",
    "CallTo": "08047494574",
    "To": "08047494574",
    "Direction": "incoming",
    "CallType": "completed",
    "DialCallStatus": "completed",
    "DialWhomNumber": "09711581199",
    "Legs[0][Number]": "09711581199",
    "Legs[0][OnCallDuration]": "4",
    "Legs[0][Type]": "single",
    "RecordingUrl": "https://recordings.exotel.com/exotelrecordings/acme1/c1.mp3",
}
_MISSED = {name: _ANSWERED[name] for name in ("CallSid", "CallFrom", "From", "CallTo", "To", "Direction")} | {
    "CallType": "incomplete",
    "DialCallStatus": "no-answer",
    "DialWhomNumber": "09711581199",
}


def _digests(
    crm: str, kind: str, params: dict[str, str], mask: Mask | None, options: dict[str, Any], *, no_file: bool
) -> dict[str, str]:
    """Slot -> digest of what its record should say, of a call that one event tells of."""
    adapter = registry.get(crm)
    agent = Agent(id="81", name="Avnish", email="avnish@acme.example", phone="+919711581199")
    connection = Connection(
        id="c1", tenant_id=1, name="support", adapter=crm, account="a", enabled=True, revision=1, settings={},
        options=adapter.options_model.model_validate({**adapter.default_options, **options}), agents=(agent,),
    )  # fmt: skip
    tenant = Tenant(
        id=1, sid="acme1", region="singapore", country="IN", time_zone="Asia/Kolkata", api_key=_NOTHING,
        api_token=_NOTHING, hook_token=_NOTHING, exophones={"+918047494574": "Support line"}, mask=mask,
        connections=(connection,),
    )  # fmt: skip
    work = Work(
        id=1, tenant_id=1, call_id=1, call_sid="sid1", connection_id="c1", holder="", fence=0, lease_until=0.0,
        version=0, priority=1, attempts=0, retried_s=0.0, revision=None, replay=None, warnings="[]",
        call_created_at=_AT,
        events=[StoredEvent(1, "exotel", None, kind, "GET", urlencode(params), None, None, _AT)],
        steps={"file": StepRow("file", "file", "skipped")} if no_file else {},
    )  # fmt: skip
    links = LinkMaker(_BOX, lambda _: "https://calls.example").of(work, adapter)
    target = Target(tenant, connection, adapter, links)
    call = fold(read(work.events, tenant.country), known(tenant, connection))
    planned = plan(tell(call, target, _AT))
    of_call, about = facts(planned.story), planned.story.settled()
    return {
        step.slot: digest(render(step, of_call, target), about if step.kind == "call_log" else None)
        for step in planned.steps
        if step.kind != "file"
    }


@pytest.mark.parametrize(
    ("crm", "kind", "params", "mask", "options", "no_file", "digests"),
    [
        (
            "freshdesk",
            "automated_answered",
            _ANSWERED,
            None,
            {},
            False,
            {"ticket": "c898c3956a9f", "note:call": "92ad2069f25f", "note:recording": "ea1b6fca2948"},
        ),
        (
            "freshdesk",
            "automated_answered",
            _ANSWERED,
            Mask(4),
            {"recording": "attach"},
            False,
            {"ticket": "96103b89e59b", "note:call": "ee91d2dcb865", "note:recording": "d7b792aac9a6"},
        ),
        (
            "freshdesk",
            "automated_answered",
            _ANSWERED,
            None,
            {"recording": "attach"},
            True,
            {"ticket": "c898c3956a9f", "note:call": "92ad2069f25f", "note:recording": "ea1b6fca2948"},
        ),
        (
            "freshdesk",
            "voicemail",
            {**_ANSWERED, "RecordingUrl": "https://a.example/1.mp3"},
            None,
            {},
            False,
            {"ticket": "cd9944c5ad6c", "note:call": "7721a8bbad6c", "note:recording": "83a62e9fae53"},
        ),
        (
            "zoho_desk",
            "missed",
            _MISSED,
            None,
            {},
            False,
            {"ticket": "b1efe0f7efda", "note:call": "7dca53708c23", "log": "9c6f16b5eef9"},
        ),
        ("hubspot", "automated_answered", _ANSWERED, None, {}, False, {"log": "192a02590c9d"}),
        ("zoho_crm", "automated_answered", _ANSWERED, Mask(4), {}, False, {"log": "1bc4638a672d"}),
        (
            "freshsales",
            "missed",
            _MISSED,
            None,
            {"follow_up": "task"},
            False,
            {"log": "9c6f16b5eef9", "task": "8815280f7987"},
        ),
        (
            "freshchat",
            "automated_answered",
            _ANSWERED,
            None,
            {},
            False,
            {"conversation": "3e37d7584746", "message:1": "3e37d7584746", "message:2": "7d17ff42e480"},
        ),
    ],
)
def test_a_call_has_the_digests_it_always_had(
    crm: str,
    kind: str,
    params: dict[str, str],
    mask: Mask | None,
    options: dict[str, Any],
    no_file: bool,
    digests: dict[str, str],
) -> None:
    found = _digests(crm, kind, params, mask, options, no_file=no_file)
    assert {slot: hashed[:12] for slot, hashed in found.items()} == digests
