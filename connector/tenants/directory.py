"""Loads tenants and connections from the store, and keeps the loaded `Directory` up to date.

One broken connection costs only itself: where its adapter is not installed, or its stored options or secrets cannot be
read any more, it is left out and named in the log, and the others work.
"""

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError
from sqlalchemy import Connection as Sql
from sqlalchemy import RowMapping, select

from connector.adapter import Adapter, Agent, registry
from connector.adapter.options import Options
from connector.errors import ConfigError
from connector.exotel.api.hosts import region_of
from connector.phone import parse_number
from connector.rounds import every
from connector.store import schema
from connector.store.engine.database import Database
from connector.store.secrets import SecretBox
from connector.tenants.applets import Applets
from connector.tenants.hours import parse_hours
from connector.tenants.masking import Mask
from connector.tenants.model import (
    RETENTION_DAYS,
    CallRules,
    Connection,
    Directory,
    IngressRules,
    RecordingAccess,
    Tenant,
)

log = logging.getLogger(__name__)

#: With the time that a look takes, and a load, well under the second in which an `apply` is in force everywhere.
_LOOK_EVERY_S = 0.5
#: More changes than these are read as everything: that is as fast.
_MOST_VERSIONS = 100
_MOST_TENANTS = 500

#: Said once per process: (connection id or SID, revision, what is wrong).
Told = set[tuple[str, int, str]]


def options_of(adapter: type[Adapter[Any]], written: Mapping[str, Any], country: str) -> Options:
    """The options in force: what the tenant wrote above the adapter's defaults, numbers as E.164.

    Raises pydantic's `ValidationError`.
    """
    options = adapter.options_model.model_validate({**adapter.default_options, **written})
    numbers = {
        name: tuple(parse_number(number, country) or number for number in getattr(options, name))
        for name in ("exophones", "ignore")
        if getattr(options, name)
    }
    return options.model_copy(update=numbers) if numbers else options


def _call_rules(written: Mapping[str, Any]) -> CallRules:
    hours = written.get("hours")
    return CallRules(**{**written, "hours": parse_hours(hours) if hours else None})


def version_of(connection: Sql) -> int:
    """The number that rises with every change of tenants or connections."""
    return connection.execute(select(schema.config.c.version)).scalar() or 0


def load(connection: Sql, box: SecretBox, told: Told | None = None, known: Directory | None = None) -> Directory:
    """Everything, as one transaction sees it. `told` collects what was logged, so that it is not said again.

    Of what `known` holds, only the tenants that changed since are read.
    """
    version = version_of(connection)
    loader = _Loader(connection, box, set() if told is None else told)
    changed = None if known is None else _changed(connection, known.version, version)
    if known is None or changed is None:
        return Directory.of(version, loader.tenants())
    kept = {id_: tenant for id_, tenant in known.tenants_by_id.items() if id_ not in changed}
    news = {tenant.id: tenant for tenant in loader.tenants(changed)}
    return Directory.of(version, [tenant for _, tenant in sorted({**kept, **news}.items())])


def _changed(connection: Sql, known: int, version: int) -> set[int] | None:
    """Ids of the tenants that changed after a version; None where that does not explain every version since."""
    if known < 0 or version - known not in range(_MOST_VERSIONS):
        return None
    t = schema.tenant.c
    found = {row.id: row.version for row in connection.execute(select(t.id, t.version).where(t.version > known))}
    # A deleted tenant left no mark, nor did a version of the connector that made none.
    if len(found) > _MOST_TENANTS or not {*range(known + 1, version + 1)} <= {*found.values()}:
        return None
    return set(found)


class Directories:
    """The directory in force. `on_change` callbacks run in the event loop after each change."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box
        #: As last loaded; empty before the first `refresh`.
        self.current = Directory()
        self._told: Told = set()
        self._lock = asyncio.Lock()
        self._looks = 0
        self.on_change: list[Callable[[Directory], None]] = []

    async def refresh(self, force: bool = False) -> Directory:
        """Looks whether something changed, and loads it. Raises `StoreBusy`.

        Callers at the same time share a look; each gets one that began after it asked.
        """
        before = self._looks
        async with self._lock:
            if self._looks > before and not force:
                return self.current
            self._looks += 1
            if force or await self._db.read(version_of) != self.current.version:
                known = None if force else self.current
                self.current = await self._db.read(load, self._box, self._told, known)
                for callback in self.on_change:
                    callback(self.current)
            return self.current

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Directories"]:
        """Loads, and looks twice a second from then on."""
        await self.refresh()
        # Where it fails, what is loaded stays in force.
        async with every(_LOOK_EVERY_S, self.refresh, name="directories"):
            yield self


class _Loader:
    """One pass over the tables. Equal options share one object: a thousand connections rarely differ in them."""

    def __init__(self, connection: Sql, box: SecretBox, told: Told) -> None:
        self._sql = connection
        self._box = box
        self._told = told
        self._options: dict[tuple[str, str, str], Options] = {}

    def tenants(self, only: Collection[int] | None = None) -> list[Tenant]:
        """All tenants, or those with these ids; without those that cannot be read."""
        agents = self._agents(only)
        rows = defaultdict(list)
        c, r = schema.connection.c, schema.revision.c
        joined = schema.connection.join(
            schema.revision, (r.connection_id == c.id) & (r.number == c.revision)
        ).outerjoin(schema.credential, schema.credential.c.id == c.credential_id)
        columns = (c.id, c.tenant_id, c.name, c.adapter, c.account, c.enabled, c.revision)
        query = (
            select(*columns, r.settings, r.options, c.credential_id, schema.credential.c.sealed)
            .select_from(joined)
            .order_by(c.name)
        )
        wanted = select(schema.tenant).order_by(schema.tenant.c.id)
        if only is not None:
            query = query.where(c.tenant_id.in_(only))
            wanted = wanted.where(schema.tenant.c.id.in_(only))
        for row in self._sql.execute(query).mappings():
            rows[row["tenant_id"]].append(row)
        tenants = self._sql.execute(wanted).mappings()
        found = [self._tenant(tenant, rows[tenant["id"]], agents) for tenant in tenants]
        return [tenant for tenant in found if tenant is not None]

    def _tenant(self, row: RowMapping, connections: list[RowMapping], agents: dict[str, list[Agent]]) -> Tenant | None:
        settings = json.loads(row["settings"])
        try:
            secrets = self._box.open(row["secrets"])
        except ConfigError as error:
            if self._is_news(row["sid"], 0, error.message):
                log.error("tenant left out", extra={"tenant": row["sid"], "reason": error.message})
            return None
        country = settings.get("country", "IN")
        found = [self._connection(one, country, tuple(agents.get(one["id"], ()))) for one in connections]
        ingress = settings.get("ingress") or {}
        return Tenant(
            id=row["id"],
            sid=row["sid"],
            region=settings.get("region") or settings.get("region_found") or region_of(row["sid"]),
            region_is="told" if settings.get("region") else "found" if settings.get("region_found") else "guessed",
            country=country,
            time_zone=settings.get("time_zone", "Asia/Kolkata"),
            api_key=SecretStr(secrets["api_key"]),
            api_token=SecretStr(secrets["api_token"]),
            hook_token=SecretStr(secrets["hook_token"]),
            api_url=settings.get("api_url"),
            recording_hosts=tuple(settings.get("recording_hosts", ())),
            recordings=RecordingAccess(**(settings.get("recordings") or {})),
            ingress=IngressRules(open=ingress.get("open", False), allow_from=tuple(ingress.get("allow_from", ()))),
            retention_days=(settings.get("retention") or {}).get("days", RETENTION_DAYS),
            exophones=settings.get("exophones", {}),
            mask=Mask.of((settings.get("mask") or {}).get("customer_numbers")),
            applets=self._applets(row["sid"], settings.get("applets")),
            calls=_call_rules(settings.get("calls") or {}),
            connections=tuple(one for one in found if one is not None),
        )

    def _applets(self, sid: str, stored: dict[str, Any] | None) -> Applets:
        try:
            return Applets.model_validate(stored or {})
        except ValidationError as error:
            if self._is_news(sid, 0, str(error.errors(include_input=False))):
                log.error("applets left out: they cannot be used any more; apply them anew", extra={"tenant": sid})
            return Applets()

    def _connection(self, row: RowMapping, country: str, agents: tuple[Agent, ...]) -> Connection | None:
        try:
            adapter = registry.get(row["adapter"])
            settings = json.loads(row["settings"])
            if row["sealed"] is not None:
                settings |= self._box.open(row["sealed"])["settings"]
            adapter.settings_model.model_validate(settings)
            options = self._options_of(adapter, row["options"], country)
        except (ConfigError, ValidationError) as error:
            self._tell(row, error)
            return None
        return Connection(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            adapter=row["adapter"],
            account=row["account"],
            enabled=row["enabled"],
            revision=row["revision"],
            settings=settings,
            options=options,
            agents=agents,
            credential_id=row["credential_id"],
        )

    def _options_of(self, adapter: type[Adapter[Any]], written: str, country: str) -> Options:
        key = (adapter.name, written, country)
        if key not in self._options:
            self._options[key] = options_of(adapter, json.loads(written), country)
        return self._options[key]

    def _agents(self, only: Collection[int] | None) -> dict[str, list[Agent]]:
        agents = defaultdict(list)
        query = select(schema.agent).order_by(schema.agent.c.id)
        if only is not None:
            c = schema.connection.c
            query = query.join(schema.connection, c.id == schema.agent.c.connection_id).where(c.tenant_id.in_(only))
        for row in self._sql.execute(query).mappings():
            agents[row["connection_id"]].append(
                Agent(
                    id=row["crm_id"],
                    name=row["name"],
                    email=row["email"],
                    phone=row["phone"],
                    caller_id=row["caller_id"],
                    outbound=row["outbound"],
                    ids=json.loads(row["ids"]),
                )
            )
        return agents

    def _tell(self, row: RowMapping, error: ConfigError | ValidationError) -> None:
        # pydantic's own text repeats the input, which may be a secret: only places and reasons are told.
        reason = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            if isinstance(error, ValidationError)
            else error.message
        )
        if self._is_news(row["id"], row["revision"], reason):
            fields = {"connection": row["id"], "adapter": row["adapter"], "reason": reason}
            log.error("connection left out: its adapter, settings or options cannot be used", extra=fields)

    def _is_news(self, what: str, revision: int, reason: str) -> bool:
        known = len(self._told)
        self._told.add((what, revision, reason))
        return len(self._told) > known
