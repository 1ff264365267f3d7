"""HubSpot: a call is a call engagement of its contact; tasks follow missed calls, tickets are written where asked for.

API: CRM v3 objects and v4 associations, https://developers.hubspot.com/docs/api, as docs/reference/hubspot.md has it.
Auth: a private app's token, or OAuth with access tokens of 30 minutes. Limits: per portal and ten seconds, told in
headers; searches five a second, shared by all apps, told nowhere; a 429 names its policy instead of Retry-After.
Quirks: the search lags behind, associations and reads by a unique property do not; property values are text; talk time
is in milliseconds; association types have a direction; telephone numbers are not unique.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import quote

from connector.adapter import (
    Adapter,
    Agent,
    Caller,
    Checked,
    Desk,
    EditableNotes,
    Entry,
    Grant,
    Kind,
    Owners,
    Probe,
    QuotaHeaders,
    Ref,
    Sales,
    Tasks,
    TicketRule,
    agent_of,
    below,
    fingerprint,
    given_to,
    grant_of,
    has_number,
    iso_utc,
    signed,
    stamp,
    stamped,
    subject_of,
)
from connector.errors import CannotTell, CrmUnavailable
from connector.exotel.model import Call
from connector_hubspot.fields import BODY, KEY, KEY_PROPERTY, OWNER, call_properties, contact_properties, due, written
from connector_hubspot.objects import OBJECTS, PAGES, PLACES, Objects, ref_of
from connector_hubspot.settings import HubSpotOptions, HubSpotSettings
from connector_hubspot.wire import STORED, existing_id, is_conflict, search_for, words_of

_API: Final = "https://api.hubapi.com/"
_OWNERS: Final = "crm/v3/owners"
_PROPERTIES: Final = "crm/v3/properties/contacts"
_PIPELINES: Final = "crm/v3/pipelines/tickets"

#: Deals that a call is tied to: the newest that are open, as HubSpot itself does.
_DEALS: Final = 5
_BATCH: Final = 100
#: Where a ticket begins whose pipelines nobody can read: `New` of the default one (§7).
_NEW: Final = {"hs_pipeline": "0", "hs_pipeline_stage": "1"}
_RULE: Final = TicketRule(owner=OWNER, state=("hs_pipeline", "hs_pipeline_stage"), longest=None)
#: Policy of a 429 -> seconds to wait, where no header tells (§13). The day ends at the portal's midnight, which is not
#: told: a look every quarter of an hour finds it.
_WAITS: Final = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0, "DAILY": 900.0}


class HubSpot(Adapter[HubSpotSettings], Sales, Tasks, Owners, Desk, EditableNotes):
    name, title = "hubspot", "HubSpot"
    settings_model, options_model = HubSpotSettings, HubSpotOptions
    options: HubSpotOptions
    #: No setting names the portal.
    account_by_login: ClassVar = True
    #: A private app's on the smaller plans, until the first answer's headers tell the account's (§13).
    limits: ClassVar = {"all": (100, 10.0), "search": (5, 1.0), "associations": (100, 10.0)}
    lookup: ClassVar = {
        "contact": "unique",
        "call_log": "listing",
        "task": "listing",
        "ticket": "listing",
        "note": "listing",
    }
    #: A locked record, and a portal that moves between data centres: nothing was written, and it passes.
    errors: ClassVar = {(423, None): CrmUnavailable, (477, None): CrmUnavailable}
    code_key = "category"
    #: The burst limit; searches tell none.
    quota_headers = QuotaHeaders(
        ("X-HubSpot-RateLimit-Max",), "X-HubSpot-RateLimit-Remaining", per="X-HubSpot-RateLimit-Interval-Milliseconds"
    )

    @property
    def root(self) -> str:
        return self.at(_API)

    @property
    def account(self) -> str:
        grant, token = self.grant(), self.settings.access_token
        login = grant.identity if grant else token.get_secret_value() if token else ""
        return f"api.hubapi.com/{fingerprint(login)}"

    def headers(self) -> dict[str, str]:
        token = self.settings.access_token
        return {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}

    def grant(self) -> Grant | None:
        return grant_of(self.settings, self.at(f"{_API}oauth/v1/token"))

    def verdict(self, status: int, body: Any) -> int:
        # a unique value that is taken is a 409 for an e-mail address, and a 400 for a property of one's own
        return 409 if status == 400 and is_conflict(body) else status

    def wait_s(self, body: Any) -> float | None:
        return _WAITS.get(str(body.get("policyName"))) if isinstance(body, dict) else None

    def error_words(self, body: Any) -> Mapping[str, str]:
        return words_of(body)

    async def prepare(self) -> None:
        # 409: it is there; 400 and 403: the portal has no room for it, the token no right to make it (`check` tells)
        await self.http.write("POST", _PROPERTIES, KEY_PROPERTY, accept=(400, 403, 409))

    async def check(self) -> Checked:
        await self.http.get(f"{OBJECTS}/contacts", {"limit": "1"})
        portal = await self.http.read("account-info/v3/details", accept=(403, 404))
        probe = Probe(self.http)
        for objects, scope, lost in self.options.needs():
            path = _OWNERS if objects == "owners" else f"{OBJECTS}/{objects}"
            await probe.wanted(path, {"limit": "1"}, lacks=f"The token lacks the scope {scope}: {lost}.")
        key = await self.http.read(f"{_PROPERTIES}/{KEY}", accept=(403, 404))
        if key.status != 200 or not key.body.get("hasUniqueValue"):
            probe.missing.append(
                f"Contacts have no unique property {KEY}: grant the scopes crm.schemas.contacts.read and "
                "crm.schemas.contacts.write and check again; until then a new caller's contact may come twice after "
                "a fault."
            )
        known = portal.body if portal.status == 200 else {}
        return probe.checked(f"portal {known.get('portalId', 'of this token')}")

    async def list_agents(self) -> list[Agent]:
        # two numbers of one person: the owner's id is what records take, the user's is what calling settings take (§8)
        rows = PAGES.rows(self.http, _OWNERS, {"limit": "100", "archived": "false"})
        people = [row async for row in rows if row.get("type", "PERSON") == "PERSON"]
        agents = [agent_of(row, name="firstName lastName", ids={"user_id": "userId"}) for row in people]
        return [replace(agent, name=agent.name or agent.email or "") for agent in agents]

    @property
    def _objects(self) -> Objects:
        return Objects(self.http)

    # --- contacts ---

    async def find_contacts(self, caller: Caller) -> list[Ref]:
        if not caller.spellings:
            return []
        found = await self.http.ask("POST", f"{OBJECTS}/contacts/search", search_for(caller), bucket="search")
        return [
            ref_of("contact", row)
            for row in found["results"]
            if has_number(row["properties"], caller.spellings, *STORED)
        ]

    async def create_contact(self, key: str, caller: Caller, name: str) -> Ref:
        words = contact_properties(caller, name)
        if await self._has_key():
            words[KEY] = key
        body = {"properties": words, "associations": []}
        made = await self.http.write("POST", f"{OBJECTS}/contacts", body, accept=(409,))
        if made.status != 409:
            return ref_of("contact", made.body)
        twin = existing_id(made.body)
        found = Ref("contact", twin) if twin else await self._contact_with(key)
        if found is None:
            raise self.http.refusal(made)  # somebody has it, but nobody says who
        return found

    async def _contact_with(self, key: str) -> Ref | None:
        if not await self._has_key():
            raise CannotTell(f"The account's contacts have no unique property {KEY}.")
        path = f"{OBJECTS}/contacts/{quote(key, safe='')}"
        found = await self.http.read(path, {"idProperty": KEY}, accept=(404,))
        return ref_of("contact", found.body) if found.status == 200 else None

    async def _has_key(self) -> bool:
        """Whether contacts can carry keys: `prepare` may have lacked the right to make the property."""
        found = await self.http.known(f"{_PROPERTIES}/{KEY}", accept=(403, 404))
        return found.status == 200 and bool(found.body.get("hasUniqueValue"))

    # --- calls, tasks ---

    async def log_call(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        others = [("contact", contact.id), *await self._also(contact)]
        if "ticket" in self.options.associate:
            others += [("ticket", other.id) for other in entry.related if other.kind == "ticket"]
        return await self._objects.create("call_log", self._logged(key, call, entry), others, contact)

    async def update_call_log(self, key: str, log: Ref, call: Call, entry: Entry) -> None:
        await self._objects.change(log, self._logged(key, call, entry))

    async def create_task(self, key: str, contact: Ref, call: Call, entry: Entry) -> Ref:
        properties = {
            "hs_timestamp": due(call),
            "hs_task_subject": subject_of(entry.subject, None),
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "CALL",
            **({} if entry.agent else await self._owner_of(contact)),
            **written(entry),
            BODY["tasks"]: entry.html + stamp(key),
        }
        return await self._objects.create("task", properties, [("contact", contact.id)], contact)

    async def find_owner(self, contact: Ref) -> str | None:
        return (await self._objects.get(contact, properties=OWNER))["properties"].get(OWNER) or None

    def _logged(self, key: str, call: Call, entry: Entry) -> dict[str, str]:
        title = {"hs_call_title": subject_of(entry.subject, None)}
        return {**call_properties(call), **title, **written(entry), BODY["calls"]: entry.html + stamp(key)}

    async def _also(self, contact: Ref) -> list[tuple[str, str]]:
        """The contact's primary company and newest open deals, as far as a call is to be tied to them."""
        wanted = [
            name for kind, name in (("company", "companies"), ("deal", "deals")) if kind in self.options.associate
        ]
        if not wanted:
            return []
        row = await self._objects.get(contact, associations=",".join(wanted))
        tied = row.get("associations") or {}
        companies = (tied.get("companies") or {}).get("results", [])
        # `contact_to_company` is the primary one, beside `contact_to_company_unlabeled` for each
        companies = sorted(companies, key=lambda one: one.get("type") != "contact_to_company")
        deals = {str(one["id"]) for one in (tied.get("deals") or {}).get("results", [])}
        newest = sorted(deals, key=int, reverse=True)[:_BATCH]
        rows = await self._objects.read("deals", newest, ["hs_is_closed"]) if newest else []
        closed = {row["id"] for row in rows if row["properties"].get("hs_is_closed") == "true"}
        open_ = [("deal", id_) for id_ in newest if id_ not in closed][:_DEALS]
        return [("company", str(one["id"])) for one in companies[:1]] + open_

    async def _owner_of(self, contact: Ref) -> dict[str, str]:
        """The contact's owner, where that is somebody who still works there."""
        row = await self._objects.get(contact, properties=OWNER)
        owner = row["properties"].get(OWNER)
        if not owner or (await self.http.known(f"{_OWNERS}/{owner}", accept=(403, 404))).status != 200:
            return {}
        return {OWNER: owner}

    # --- tickets, notes ---

    async def create_ticket(self, key: str, contact: Ref, entry: Entry) -> Ref:
        asked = written(entry)
        properties = {
            **({} if "hs_pipeline_stage" in asked else await self._first_stage(asked.get("hs_pipeline"))),
            "source_type": "PHONE",
            **self._ticket(key, entry),
        }
        return await self._objects.create("ticket", properties, [("contact", contact.id)], contact)

    async def update_ticket(self, key: str, ticket: Ref, entry: Entry, was: str) -> None:
        now = (await self._objects.get(ticket, properties=f"subject,{OWNER}"))["properties"]
        words = _RULE.change(now, was, self._ticket(key, entry))
        if words is not None:
            await self._objects.change(ticket, words)

    async def add_note(self, key: str, ticket: Ref, entry: Entry) -> Ref:
        # `fields` are the ticket's
        words = {"hs_timestamp": iso_utc(datetime.now(UTC)), **given_to(OWNER, entry)}
        properties = {**words, BODY["notes"]: entry.html + stamp(key)}
        return await self._objects.create("note", properties, [("ticket", ticket.id)], ticket)

    async def update_note(self, key: str, note: Ref, entry: Entry) -> None:
        await self._objects.change(note, {BODY["notes"]: entry.html + stamp(key)})

    async def find_open_ticket(self, contact: Ref) -> Ref | None:
        stages = [stage for pipeline in await self._pipelines() for stage in pipeline["stages"]]
        closed = {stage["id"] for stage in stages if not _is_open(stage)}
        found = self._objects.linked(contact, "tickets", ["hs_pipeline_stage", "createdate"], whole=False)
        rows = [row async for row in found if row["properties"].get("hs_pipeline_stage") not in closed]
        newest = max(rows, key=lambda row: (row["properties"].get("createdate") or "", int(row["id"])), default=None)
        return ref_of("ticket", newest) if newest else None

    def _ticket(self, key: str, entry: Entry) -> dict[str, str]:
        # a ticket's description is plain text
        content = signed(f"{entry.text}\n", key)
        return {"subject": subject_of(entry.subject, None), **written(entry), BODY["tickets"]: content}

    async def _first_stage(self, pipeline: str | None) -> dict[str, str]:
        """The first open stage of this pipeline, or of the first one: people rename, add and delete them."""
        for one in sorted(await self._pipelines(), key=_order):
            stages = [stage["id"] for stage in sorted(one["stages"], key=_order) if _is_open(stage)]
            if stages and pipeline in (None, one["id"]):
                return {"hs_pipeline": one["id"], "hs_pipeline_stage": stages[0]}
        return _NEW

    async def _pipelines(self) -> list[dict[str, Any]]:
        found = await self.http.known(_PIPELINES, accept=(404,))
        return list(found.body["results"]) if found.status == 200 else []

    async def find_by_key(self, kind: Kind, key: str, parent: Ref | None) -> Ref | None:
        if kind == "contact":
            return await self._contact_with(key)
        parent, objects = below(kind, parent), PLACES[kind]
        async for row in self._objects.linked(parent, objects, [BODY[objects]], whole=True):
            if stamped(key, row["properties"].get(BODY[objects]) or ""):
                return ref_of(kind, row, parent)
        return None


def _is_open(stage: Mapping[str, Any]) -> bool:
    return (stage.get("metadata") or {}).get("ticketState") != "CLOSED"


def _order(row: Mapping[str, Any]) -> int:
    return int(row.get("displayOrder") or 0)
