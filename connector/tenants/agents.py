"""The agent map of a connection, changed line by line: a bad line is named and not written, the others are.

Three hands write it, and they do not fight: the tenant file owns the agents that it names, an upload those that it
changed, a sync the rest. Who comes later in this order leaves the rows of those before alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection as Sql
from sqlalchemy import delete, insert, select, update

from connector.phone import is_number, is_sip, parse_number
from connector.store import schema
from connector.store.queries import trail
from connector.tenants.change import as_json

Origin = Literal["file", "import", "sync"]
Result = Literal["added", "changed", "unchanged", "removed", "kept", "refused"]

FIELDS: Final = ("name", "email", "phone", "caller_id", "outbound", "ids")
#: What a sync knows of an agent; an upload that leaves these alone leaves the row to the sync.
_SYNCED: Final = ("name", "email", "phone", "ids")
_LONGEST: Final[Mapping[str, int]] = {"crm_id": 128, "name": 255, "email": 255, "phone": 255, "caller_id": 64}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "name": "",
    "email": None,
    "phone": None,
    "caller_id": None,
    "outbound": False,
    "ids": "{}",
}
_RANK: Final[Mapping[str, int]] = {"file": 0, "import": 1, "sync": 2}
_OWNERS: Final[Mapping[str, str]] = {
    "file": "the tenant file names this agent, and wins: change it there",
    "import": "it was uploaded, which wins over a sync",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one line."""

    crm_id: str
    result: Result
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The connection whose map is changed."""

    tenant_id: int
    connection_id: str
    country: str


def read_agents(sql: Sql, connection_id: str) -> list[dict[str, Any]]:
    """Rows of the map in their order, `ids` decoded."""
    table = schema.agent
    rows = sql.execute(select(table).where(table.c.connection_id == connection_id).order_by(table.c.id)).mappings()
    return [{**row, "ids": json.loads(row["ids"])} for row in rows]


def put_agents(sql: Sql, owner: Owner, given: Sequence[Mapping[str, Any]], origin: Origin, who: str) -> list[Line]:
    """Changes the agents that `given` names by `crm_id`; what a line does not mention stays, `remove` deletes.

    A line with a `problem` is refused with these words.

    Other agents are left alone, except that a sync deletes its own who are not given any more.
    """
    table = schema.agent
    rows = sql.execute(select(table).where(table.c.connection_id == owner.connection_id)).mappings()
    known = {row["crm_id"]: dict(row) for row in rows}
    lines: list[Line] = []
    seen: set[str] = set()
    for wish in given:
        crm_id = str(wish.get("crm_id") or "").strip()
        if crm_id in seen:
            lines.append(Line(crm_id, "refused", "is there twice"))
            continue
        seen.add(crm_id)
        lines.append(_put(sql, owner, known, crm_id, wish, origin))
    if origin == "sync":
        for crm_id in [one for one, row in known.items() if row["origin"] == "sync" and one not in seen]:
            lines.append(_remove(sql, known, crm_id, "the CRM has no such user any more"))
    changes = [f"{line.result} {line.crm_id}" for line in lines if line.result in ("added", "changed", "removed")]
    if changes:
        trail.changed(sql)
        detail = {"connection": owner.connection_id, "changes": changes}
        trail.record(sql, who, f"agents.{origin}", owner.tenant_id, detail)
    return lines


def _put(
    sql: Sql, owner: Owner, known: dict[str, dict[str, Any]], crm_id: str, wish: Mapping[str, Any], origin: Origin
) -> Line:
    old = known.get(crm_id)
    if old is not None and _RANK[old["origin"]] < _RANK[origin]:
        return Line(crm_id, "kept" if origin == "sync" else "refused", _OWNERS[old["origin"]])
    if wish.get("remove") and not wish.get("problem"):
        return _remove(sql, known, crm_id) if old is not None else Line(crm_id, "unchanged", "there is no such agent")
    row, problem = _checked(crm_id, wish, owner.country)
    if problem is None:
        problem = _taken(known, crm_id, row)
    if problem is not None:
        return Line(crm_id, "refused", problem)
    table = schema.agent
    if old is None:
        row = {**_DEFAULTS, **row, "crm_id": crm_id, "origin": origin}
        row["id"] = sql.execute(
            insert(table).values(connection_id=owner.connection_id, **row).returning(table.c.id)
        ).scalar_one()
        known[crm_id] = row
        return Line(crm_id, "added")
    changed = {name: value for name, value in row.items() if old[name] != value}
    if not changed:
        return Line(crm_id, "unchanged")
    if changed.keys() & set(_SYNCED):
        changed["origin"] = origin
    sql.execute(update(table).where(table.c.id == old["id"]).values(changed))
    old.update(changed)
    return Line(crm_id, "changed", ", ".join(name for name in changed if name != "origin"))


def _remove(sql: Sql, known: dict[str, dict[str, Any]], crm_id: str, reason: str | None = None) -> Line:
    sql.execute(delete(schema.agent).where(schema.agent.c.id == known.pop(crm_id)["id"]))
    return Line(crm_id, "removed", reason)


def _checked(crm_id: str, wish: Mapping[str, Any], country: str) -> tuple[dict[str, Any], str | None]:
    """The columns that a line gives, and what is wrong with it."""
    if wish.get("problem") or not crm_id:
        return {}, wish.get("problem") or "crm_id is required"
    row: dict[str, Any] = {}
    for name in FIELDS:
        if name not in wish:
            continue
        value = wish[name]
        if isinstance(value, str):
            value = value.strip() or None
        row[name] = _DEFAULTS[name] if value is None else as_json(value) if name == "ids" else value
    for name, most in _LONGEST.items():
        if len(crm_id if name == "crm_id" else row.get(name) or "") > most:
            return {}, f"{name} has more than {most} characters"
    for name in ("phone", "caller_id"):
        text = row.get(name)
        if text is None or (name == "phone" and is_sip(text)):
            continue
        row[name] = parse_number(text, country)
        if not is_number(row[name]):
            return {}, f"{name}: {text!r} is no phone number"
    return row, None


def _taken(known: Mapping[str, Mapping[str, Any]], crm_id: str, row: Mapping[str, Any]) -> str | None:
    """Whose number or e-mail it is already: by it nobody could tell who answered."""
    for other, old in known.items():
        if other == crm_id:
            continue
        if row.get("phone") is not None and row["phone"] == old["phone"]:
            return f"the number is {other}'s already"
        if row.get("email") is not None and row["email"].casefold() == (old["email"] or "").casefold():
            return f"the e-mail is {other}'s already"
    return None
