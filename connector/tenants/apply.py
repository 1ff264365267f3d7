"""Puts a tenant file into the store: idempotent, in one transaction, nothing at all where it has a mistake.

The file says what shall be; what it omits is left alone. Mappings that the schema names (a tenant, a connection, its
settings and options) are merged key by key, where null goes back to the default; everything else (a list of agents,
the ExoPhones, a template) is put in place whole. A secret is written only where the file's value differs from the one
last applied, so that a token rotated since then is not put back.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import RowMapping, delete, insert, select, update

from connector.store import schema
from connector.store.engine.database import Database
from connector.store.queries import trail
from connector.store.secrets import SecretBox
from connector.tenants.apply_applets import checked
from connector.tenants.apply_connections import AppliedTenant, Connections
from connector.tenants.change import Applied, Run, as_json, merged
from connector.tenants.file import TenantFile, TenantPart, read, refuse
from connector.tenants.model import RETENTION_DAYS

__all__ = ["Applied", "apply", "apply_file"]

_COUNTRY: Final = "IN"
_SECRETS: Final = ("api_key", "api_token", "hook_token")
_SETTINGS: Final = (
    "region",
    "country",
    "time_zone",
    "api_url",
    "recording_hosts",
    "recordings",
    "ingress",
    "retention",
    "exophones",
    "mask",
    "applets",
    "calls",
)


def apply_file(
    path: Path | str, db: Database, box: SecretBox, environ: Mapping[str, str], prune: bool = False, who: str = "cli"
) -> Applied:
    """Applies a file; with `prune` deletes the tenants and connections that it does not name.

    Raises `ConfigError` that names every mistake by its path; then nothing was changed.
    """
    return apply(read(Path(path), environ), db, box, prune=prune, who=who)


def apply(file: TenantFile, db: Database, box: SecretBox, *, prune: bool = False, who: str = "cli") -> Applied:
    """`apply_file` for a file that was read."""
    return db.transact(lambda sql: _apply(Run(sql, box, who), file, prune))


def _apply(run: Run, file: TenantFile, prune: bool) -> Applied:
    trail.alone(run.sql)
    for place, part in enumerate(file.tenants):
        _put(run, part, f"tenants[{place}]", prune)
    is_less = prune and _prune(run, {part.sid for part in file.tenants})
    refuse(run.problems)
    if run.applied.changes:
        trail.changed(run.sql, () if is_less else run.tenants)
        trail.record(run.sql, run.who, "apply", detail={"changes": run.applied.changes})
    return run.applied


def _put(run: Run, part: TenantPart, path: str, prune: bool) -> None:
    query = select(schema.tenant).where(schema.tenant.c.sid == part.sid)
    row = run.sql.execute(query).mappings().one_or_none()
    stored: dict[str, Any] = json.loads(row["settings"]) if row else {}
    written = part.model_dump(mode="json", include=part.model_fields_set & set(_SETTINGS))
    settings = merged(stored, written)
    country = settings.get("country", _COUNTRY)
    _check_links(run, settings, f"{path}.recordings.days")
    if part.exophones is not None:
        settings["exophones"] = {
            run.number(f"{path}.exophones.{number}", number, country): name for number, name in part.exophones.items()
        }
    if part.applets is not None:
        settings["applets"] = checked(run, part.applets, f"{path}.applets", country)
    changed = [name for name in _SETTINGS if stored.get(name) != settings.get(name)]
    before = len(run.applied.changes)
    owner = AppliedTenant(_write(run, part, path, row, settings, changed), part.sid, country)
    connections = Connections(run, owner)
    for place, connection in enumerate(part.connections):
        connections.put(connection, f"{path}.connections[{place}]")
    if prune:
        connections.prune({connection.name for connection in part.connections})
    connections.tidy()
    if len(run.applied.changes) > before:
        run.tenants.add(owner.id)


def _check_links(run: Run, settings: Mapping[str, Any], path: str) -> None:
    kept = (settings.get("retention") or {}).get("days", RETENTION_DAYS)
    asked = (settings.get("recordings") or {}).get("days")
    if asked is not None and asked > kept:
        run.wrong(path, f"a link names its call, which is deleted after {kept} days: raise retention.days too")


def _write(
    run: Run, part: TenantPart, path: str, row: RowMapping | None, settings: dict[str, Any], changed: list[str]
) -> int:
    """Writes the tenant's row where it differs, and returns its id."""
    table = schema.tenant
    given = {name: getattr(part, name) for name in _SECRETS}
    found = run.secrets(
        {name: value.get_secret_value() for name, value in given.items() if value is not None},
        run.box.open(row["secrets"]) if row else {},
        json.loads(row["applied"]) if row else {},
    )
    for name in ("api_key", "api_token"):
        if name not in found.values:
            run.wrong(f"{path}.{name}", "is required")
    found.values.setdefault("hook_token", secrets.token_urlsafe(24))
    columns = {"settings": as_json(settings), "applied": as_json(found.hashes), "updated_at": run.now}
    if row is None or found.changed:
        columns["secrets"] = run.box.seal(found.values)
        columns["hook_token_hash"] = _hook_hash(run, part.sid, found.values["hook_token"], f"{path}.hook_token")
    if row is None:
        made = insert(table).values(sid=part.sid, created_at=run.now, **columns).returning(table.c.id)
        run.changed(part.sid, "added")
        return int(run.sql.execute(made).scalar_one())
    if changed or found.changed or columns["applied"] != row["applied"]:
        run.sql.execute(update(table).where(table.c.id == row["id"]).values(columns))
    if changed or found.changed:
        run.changed(part.sid, f"{', '.join([*changed, *found.changed])} changed")
    return int(row["id"])


def _hook_hash(run: Run, sid: str, token: str, path: str) -> str:
    hashed = hashlib.sha256(token.encode()).hexdigest()
    table = schema.tenant
    taken = select(table.c.id).where(table.c.hook_token_hash == hashed, table.c.sid != sid)
    if run.sql.execute(taken).first() is None:
        return hashed
    run.wrong(path, "is the hook token of another tenant")
    return secrets.token_hex(32)  # the row must go in for the rest to be checked; it is rolled back


def _prune(run: Run, keep: set[str]) -> bool:
    """Deletes the other tenants, and says whether there were any."""
    table = schema.tenant
    others = [row for row in run.sql.execute(select(table.c.id, table.c.sid)).all() if row.sid not in keep]
    for tenant_id, sid in others:
        Connections(run, AppliedTenant(tenant_id, sid, _COUNTRY)).prune(set())
        run.sql.execute(delete(table).where(table.c.id == tenant_id))
        run.changed(sid, "deleted")
    return bool(others)
