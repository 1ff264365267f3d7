"""The connections of a tenant file: settings, secrets, options and agents, checked by their adapters and stored."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from pydantic import SecretStr, ValidationError
from sqlalchemy import RowMapping, delete, insert, select, update

from connector.adapter import Adapter, Desk, Files, Home, Leads, Settings, registry
from connector.adapter.options import Options
from connector.errors import ConfigError
from connector.phone import is_number, is_sip
from connector.store import schema
from connector.store.credentials import Credentials
from connector.tenants.change import Run, as_json, merged
from connector.tenants.directory import options_of
from connector.tenants.file import AgentPart, ConnectionPart, Problem, mistakes
from connector.words.check import check_templates


@dataclass(frozen=True, slots=True)
class AppliedTenant:
    """The tenant whose connections are put in place."""

    id: int
    sid: str
    country: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """A connection's settings, checked: the public ones, the secret ones, and the account that they lead to."""

    public: dict[str, Any]
    sealed: dict[str, str] = field(repr=False)
    hashes: dict[str, str]
    #: Secrets that the file changed.
    changed: list[str]
    client_id: str | None
    account: str


class Connections:
    """Puts connections of one tenant in place."""

    def __init__(self, run: Run, owner: AppliedTenant) -> None:
        self._run = run
        self._sql = run.sql
        self._owner = owner
        self._credentials = Credentials(run.sql, run.box)

    def put(self, part: ConnectionPart, path: str) -> None:
        """Adds or changes one connection, `path` is its place in the file."""
        row = self._stored(part.name)
        if row and row["adapter"] != part.adapter:
            words = f"this connection is of {row['adapter']}; an adapter never changes: make a new connection"
            self._run.wrong(f"{path}.adapter", words)
            return
        try:
            adapter = registry.get(part.adapter)
        except ConfigError as error:
            self._run.wrong(f"{path}.adapter", error.message)
            return
        connection_id = row["id"] if row else _new_id()
        draft = self._draft(adapter, part, row, connection_id, f"{path}.settings")
        options = self._options(adapter, part, row, path)
        agents = None if part.agents is None else self._agents(part.agents, f"{path}.agents")
        if draft is None or options is None:
            return
        if row is None:
            self._add(part, connection_id, draft, options)
        else:
            self._change(part, row, draft, options)
        if agents is not None and self._put_agents(connection_id, agents) and row is not None:
            self._said(part, "agents changed")

    def prune(self, keep: set[str]) -> None:
        """Deletes the connections whose names are not in `keep`, and what no connection needs any more."""
        c = schema.connection.c
        for connection_id, name in self._sql.execute(select(c.id, c.name).where(c.tenant_id == self._owner.id)).all():
            if name not in keep:
                for table in (schema.desk_ticket, schema.desk_contact):
                    self._sql.execute(delete(table).where(table.c.connection_id == connection_id))
                self._sql.execute(delete(schema.connection).where(c.id == connection_id))
                self._run.changed(f"{self._owner.sid}/{name}", "deleted")

    def tidy(self) -> None:
        """Deletes the tenant's credentials that no connection names any more."""
        self._credentials.forget_unused(self._owner.id)

    # --- what the file says, checked ---

    def _draft(
        self, adapter: type[Adapter[Any]], part: ConnectionPart, row: RowMapping | None, connection_id: str, path: str
    ) -> _Draft | None:
        hidden = secret_fields(adapter.settings_model)
        given = {name: str(part.settings[name]) for name in hidden if part.settings.get(name) is not None}
        known = self._credentials.stored(row["credential_id"]) if row else {}
        found = self._run.secrets(given, known, json.loads(row["applied"]) if row else {})
        stored = json.loads(row["settings"]) if row else {}
        written = {name: value for name, value in part.settings.items() if name not in given}
        values = merged({**stored, **found.values}, written)
        try:
            settings = adapter.settings_model.model_validate(values)
            account = self._account(adapter, settings, connection_id)
        except ValidationError as error:
            self._run.problems += mistakes(error, values, path)
            return None
        except ConfigError as error:
            self._run.wrong(path, error.message)
            return None
        if row and adapter.account_by_login:
            account = row["account"]
        elif row and row["account"] != account:
            words = f"belongs to {row['account']}, this would be {account}: make a new connection"
            self._run.wrong(path, words)
            return None
        return _Draft(
            public=settings.model_dump(mode="json", exclude=hidden, exclude_unset=True, exclude_none=True),
            sealed={name: getattr(settings, name).get_secret_value() for name in hidden if getattr(settings, name)},
            hashes=found.hashes,
            changed=found.changed,
            client_id=values.get("client_id"),
            account=account,
        )

    def _account(self, adapter: type[Adapter[Any]], settings: Settings, connection_id: str) -> str:
        home = Home(url="http://localhost", token=self._run.box.token(f"home:{connection_id}"))
        # An account is told by settings alone; no request is made here, so there is no client.
        return adapter(settings, cast(Any, None), home).account

    def _options(
        self, adapter: type[Adapter[Any]], part: ConnectionPart, row: RowMapping | None, path: str
    ) -> dict[str, Any] | None:
        """The options as written so far; None where they are impossible."""
        written = merged(json.loads(row["options"]) if row else {}, part.options)
        try:
            options = options_of(adapter, written, self._owner.country)
            check_templates(options)
        except ValidationError as error:
            self._run.problems += mistakes(error, written, f"{path}.options")
            return None
        except ConfigError as error:  # it names its place from `options` on
            self._run.problems.append(_placed(error, path))
            return None
        for name, words in _unsupported(adapter, options):
            self._run.wrong(f"{path}.options.{name}", words)
        for name in ("exophones", "ignore"):
            for number in getattr(options, name):
                if not is_number(number) and not (name == "ignore" and is_sip(number)):
                    self._run.wrong(f"{path}.options.{name}", f"{number!r} is no phone number")
        return written

    def _agents(self, parts: list[AgentPart], path: str) -> list[dict[str, Any]]:
        """Rows of table `agent`."""
        rows = []
        for place, part in enumerate(parts):
            row = {**part.model_dump(), "ids": as_json(part.ids), "origin": "file"}
            if part.phone and not is_sip(part.phone):
                row["phone"] = self._run.number(f"{path}[{place}].phone", part.phone, self._owner.country)
            if part.caller_id:
                row["caller_id"] = self._run.number(f"{path}[{place}].caller_id", part.caller_id, self._owner.country)
            rows.append(row)
        return rows

    # --- into the store ---

    def _stored(self, name: str) -> RowMapping | None:
        c, r = schema.connection.c, schema.revision.c
        query = (
            select(schema.connection, r.settings, r.options)
            .join(schema.revision, (r.connection_id == c.id) & (r.number == c.revision))
            .where(c.tenant_id == self._owner.id, c.name == name)
        )
        return self._sql.execute(query).mappings().one_or_none()

    def _add(self, part: ConnectionPart, connection_id: str, draft: _Draft, options: dict[str, Any]) -> None:
        columns = {
            "id": connection_id,
            "tenant_id": self._owner.id,
            "name": part.name,
            "adapter": part.adapter,
            "account": draft.account,
            "enabled": part.enabled is not False,
            "credential_id": self._credential(part, draft, None),
            "applied": as_json(draft.hashes),
            "revision": 1,
            "created_at": self._run.now,
        }
        self._sql.execute(insert(schema.connection).values(columns))
        self._revise(connection_id, 1, draft.public, options)
        self._said(part, f"added ({part.adapter}, {draft.account})", talks_differently=True)

    def _change(self, part: ConnectionPart, row: RowMapping, draft: _Draft, options: dict[str, Any]) -> None:
        columns: dict[str, Any] = {
            "credential_id": self._credential(part, draft, row["credential_id"]),
            "applied": as_json(draft.hashes),
        }
        news = {"settings": draft.public, "options": options}
        revised = [word for word, now in news.items() if now != json.loads(row[word])]
        if revised:
            columns["revision"] = row["revision"] + 1
            self._revise(row["id"], columns["revision"], draft.public, options)
            words = f"{' and '.join(revised)} changed (revision {columns['revision']})"
            self._said(part, words, talks_differently="settings" in revised)
        if draft.changed:
            self._said(part, f"{', '.join(draft.changed)} changed", talks_differently=True)
            self._look_soon(draft.account)
        if part.enabled is not None and part.enabled != row["enabled"]:
            columns["enabled"] = part.enabled
            self._said(part, "enabled" if part.enabled else "disabled")
        self._sql.execute(update(schema.connection).where(schema.connection.c.id == row["id"]).values(columns))

    def _credential(self, part: ConnectionPart, draft: _Draft, current: int | None) -> int | None:
        return self._credentials.keep(
            self._owner.id, part.adapter, draft.account, draft.client_id, draft.sealed, draft.changed, current
        )

    def _look_soon(self, account: str) -> None:
        # The old secret may have paused the account: the new one is worth a look at once.
        gate = schema.gate
        due = update(gate).where(gate.c.account == account, gate.c.paused).values(probe_at=self._run.now)
        self._sql.execute(due)

    def _revise(self, connection_id: str, number: int, settings: dict[str, Any], options: dict[str, Any]) -> None:
        row = {
            "connection_id": connection_id,
            "number": number,
            "settings": as_json(settings),
            "options": as_json(options),
            "created_at": self._run.now,
            "created_by": self._run.who,
        }
        self._sql.execute(insert(schema.revision).values(row))

    def _put_agents(self, connection_id: str, rows: list[dict[str, Any]]) -> bool:
        """Puts the list in place and says whether that changed something.

        Agents that were imported or synchronised stay, unless the list names them: what it names is the file's.
        """
        table = schema.agent
        stored = self._sql.execute(select(table).where(table.c.connection_id == connection_id)).mappings()
        before = {row["crm_id"]: dict(row) for row in stored}
        changed = False
        for row in rows:
            old = before.pop(row["crm_id"], None)
            if old is None:
                self._sql.execute(insert(table).values(connection_id=connection_id, **row))
            elif any(old[name] != value for name, value in row.items()):
                self._sql.execute(update(table).where(table.c.id == old["id"]).values(row))
            else:
                continue
            changed = True
        gone = [old["id"] for old in before.values() if old["origin"] == "file"]
        self._sql.execute(delete(table).where(table.c.id.in_(gone)))
        return changed or bool(gone)

    def _said(self, part: ConnectionPart, words: str, *, talks_differently: bool = False) -> None:
        self._run.changed(f"{self._owner.sid}/{part.name}", words)
        place = (self._owner.sid, part.name)
        if talks_differently and place not in self._run.applied.connections:
            self._run.applied.connections.append(place)


def secret_fields(model: type[Settings]) -> set[str]:
    """Names of a settings model's secret fields, optional ones included."""
    fields = model.model_fields.items()
    return {name for name, info in fields if SecretStr in (info.annotation, *get_args(info.annotation))}


def _unsupported(adapter: type[Adapter[Any]], options: Options) -> list[tuple[str, str]]:
    """Options that the adapter's families cannot honour: (option, words)."""
    checks: list[tuple[str, Literal["create_lead", "attach", "none"], bool, str]] = [
        ("unknown_caller", "create_lead", issubclass(adapter, Leads), "has no leads"),
        ("unknown_caller", "none", not issubclass(adapter, Desk), "makes no ticket without a contact"),
        ("recording", "attach", issubclass(adapter, Files), "takes no files; use link"),
    ]
    return [
        (option, f"{value}: {adapter.title} {words}")
        for option, value, possible, words in checks
        if getattr(options, option) == value and not possible
    ]


def _placed(error: ConfigError, path: str) -> Problem:
    return f"{path}.{error.field}", error.message.removeprefix(f"{error.field}: ")


def _new_id() -> str:
    # Base32 of five bytes is eight letters and digits without padding, safe in keys, paths and CRM fields.
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()
