"""HubSpot's objects: all are written, read and tied to each other in one way (docs/reference/hubspot.md §3, §4.2)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connector.adapter import CrmHttp, Kind, Pages, Ref, by_cursor
from connector_hubspot.fields import ties

#: One constant per family of paths: HubSpot is moving them to dated versions (§3).
OBJECTS: Final = "crm/v3/objects"
_ASSOCIATIONS: Final = "crm/v4/objects"

#: Kind of record -> HubSpot's object.
PLACES: Final[Mapping[str, str]] = {
    "contact": "contacts",
    "call_log": "calls",
    "task": "tasks",
    "ticket": "tickets",
    "note": "notes",
}
#: Pages in which a newest record is looked for; a contact with more of them is no person but `Withheld number`.
_FEW: Final = 3


def _after(page: Mapping[str, Any]) -> str | None:
    following = (page.get("paging") or {}).get("next") or {}
    return str(following["after"]) if following.get("after") else None


PAGES: Final = Pages({"limit": "100"}, by_cursor(_after), "results", most=None)
_LINKED: Final = Pages(
    {"limit": "100"}, by_cursor(_after), "results", most=20, longer="More than {seen} {list} hang on this record."
)


def ref_of(kind: Kind, row: Mapping[str, Any], on: Ref | None = None) -> Ref:
    """A record, with the link that HubSpot gives, else that of what it hangs on: no setting names the portal."""
    return Ref(kind, str(row["id"]), row.get("url") or (on.url if on else None))


@dataclass(frozen=True, slots=True)
class Objects:
    """Requests about records of any kind."""

    http: CrmHttp

    async def create(self, kind: Kind, properties: Mapping[str, str], others: list[tuple[str, str]], on: Ref) -> Ref:
        """Makes a record and ties it to `others` (kind and id) in one request."""
        objects = PLACES[kind]
        body = {"properties": properties, "associations": ties(objects, others)}
        return ref_of(kind, await self.http.post(f"{OBJECTS}/{objects}", body), on)

    async def change(self, ref: Ref, properties: Mapping[str, str]) -> None:
        """Writes properties of a record; what it is tied to stays."""
        await self.http.patch(f"{OBJECTS}/{PLACES[ref.kind]}/{ref.id}", {"properties": properties})

    async def get(self, ref: Ref, **query: str) -> dict[str, Any]:
        """One record: `properties="a,b"`, `associations="deals"`."""
        row: dict[str, Any] = await self.http.get(f"{OBJECTS}/{PLACES[ref.kind]}/{ref.id}", query)
        return row

    async def read(self, objects: str, ids: Sequence[str], properties: list[str]) -> list[dict[str, Any]]:
        """At most 100 records by their ids; those that are gone are left out."""
        inputs = [{"id": id_} for id_ in ids]
        body = {"inputs": inputs, "properties": properties, "propertiesWithHistory": []}
        rows: list[dict[str, Any]] = (await self.http.ask("POST", f"{OBJECTS}/{objects}/batch/read", body))["results"]
        return rows

    async def linked(
        self, to: Ref, objects: str, properties: list[str], *, whole: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """Records tied to a contact or ticket, which associations show at once, unlike the search.

        `whole`: raises `CannotTell` where there are too many to read all of them.
        """
        path = f"{_ASSOCIATIONS}/{PLACES[to.kind]}/{to.id}/associations/{objects}"
        async for page in _LINKED.pages(self.http, path, bucket="associations"):
            ids = dict.fromkeys(str(one["toObjectId"]) for one in page.rows)
            for row in await self.read(objects, list(ids), properties) if ids else []:
                yield row
            if page.number == _FEW and not whole:
                return
