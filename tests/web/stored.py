"""A small store for the API: two tenants, each with a connection, calls in every state, users and tokens."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from connector.access.users import hash_of
from connector.store import schema
from connector.store.engine.database import Database
from tests.databases import config_in

MINE, THEIRS = "exotel535", "other1m"
#: A call of mine that retention deleted.
PRUNED = "pruned00000000000000000000000000"
AT = 1_767_225_600.0  # 2026-01-01T00:00:00Z
#: Echoes a former hook's URL as Exotel does, with everything that must not be shown.
ECHO = (
    "passthru=%22https%3A%5C%2F%5C%2Fdemo_key%3Ademo_token%40hooks.example%5C%2Fh%5C%2Fhook-token-1%5C%2Fpop%22"
    "&key=query-secret"
)
SECRETS = ("demo_token", "hook-token-1", "query-secret")


@dataclass(frozen=True)
class Tokens:
    operator: str = "ctk_operator-0000000000"
    mine: str = "ctk_mine-00000000000000"
    stranger: str = "ctk_stranger-0000000000"
    reader: str = "ctk_reader-000000000000"
    revoked: str = "ctk_revoked-00000000000"
    numbers: str = "ctk_numbers-00000000000"


TOKENS = Tokens()


def filled(path: Path) -> Database:
    """A store in `path` with the rows of this module."""
    db = Database(config_in(path).database_url)
    db.transact(_fill)
    return db


def call_sid(number: int) -> str:
    return f"call{number:028d}"


def _fill(sql: Connection) -> None:
    _insert(sql, schema.config, id=1, version=1)
    for id_, sid in ((1, MINE), (2, THEIRS)):
        _insert(
            sql,
            schema.tenant,
            id=id_,
            sid=sid,
            settings="{}",
            secrets=b"",
            hook_token_hash=f"{id_}",
            created_at=AT,
            updated_at=AT,
        )
        _insert(
            sql,
            schema.connection,
            id=f"c{id_}",
            tenant_id=id_,
            name="support",
            adapter="freshdesk",
            account=f"account{id_}",
            revision=1,
            created_at=AT,
        )
    _insert(sql, schema.gate, account="account1", paused=True, updated_at=AT)
    users = {"operator": None, "mine": 1, "stranger": 2, "reader": None, "revoked": None, "numbers": 1}
    for id_, (name, tenant_id) in enumerate(users.items(), 1):
        _insert(sql, schema.user, id=id_, name=name, tenant_id=tenant_id, created_at=AT)
        _insert(
            sql,
            schema.api_token,
            id=id_,
            user_id=id_,
            hash=hash_of(getattr(TOKENS, name)),
            scopes={"reader": "read", "numbers": "read,replay,numbers"}.get(name, "read,replay,call"),
            created_at=AT,
            revoked_at=AT if name == "revoked" else None,
        )
    states = [("done", None), ("pending", "retrying"), ("pending", "waiting"), ("dead", "rejected")]
    for number in range(1, 9):
        state, reason = states[(number - 1) % 4]
        _call(sql, number, tenant_id=1 if number <= 6 else 2, state=state, reason=reason)

    for slot, kind, ref_id in (
        ("ticket", "ticket", "900"),
        ("note:recording", "note", "901"),
        ("note:2", "note", None),
    ):
        _insert(
            sql,
            schema.tombstone,
            tenant_id=1,
            call_sid=PRUNED,
            connection_id="c1" if kind == "ticket" else "removed",
            slot=slot,
            kind=kind,
            ref_id=ref_id,
            url=f"https://acme.freshdesk.com/a/{ref_id}",
            made_at=AT + 90 * 86400,
            call_at=AT,
        )


def _call(sql: Connection, id_: int, *, tenant_id: int, state: str, reason: str | None) -> None:
    summary = {
        "call_sid": call_sid(id_),
        "direction": "inbound",
        "customer_number": f"+91971158119{id_}",
        "outcome": "missed",
        "kinds": ["missed"],
        "started_at": "2026-01-01T05:30:00+05:30",
        "an_old_versions_word": 1,
    }
    _insert(
        sql,
        schema.call,
        id=id_,
        tenant_id=tenant_id,
        call_sid=call_sid(id_),
        created_at=AT + 60 * id_,
        summary=json.dumps(summary) if id_ != 6 else None,
        customer=f"+91971158119{id_}" if id_ != 6 else None,
    )
    _insert(
        sql,
        schema.event,
        id=id_,
        tenant_id=tenant_id,
        call_id=id_,
        kind="callmissed",
        dedup=str(id_),
        method="GET",
        query=f"CallSid={call_sid(id_)}&CallFrom=0971158119{id_}&CurrentTime=2026-01-01+05:30:00&{ECHO}",
        received_at=AT + 60 * id_,
    )
    _insert(
        sql,
        schema.delivery,
        id=id_,
        tenant_id=tenant_id,
        call_id=id_,
        connection_id=f"c{tenant_id}",
        state=state,
        reason=reason,
        priority=1,
        due_at=AT,
        attempts=2,
        last_error="https://demo_key:demo_token@api.example said no" if state == "dead" else None,
        warnings='["the agent was left out"]',
        created_at=AT,
        updated_at=AT,
    )
    _insert(
        sql,
        schema.step,
        delivery_id=id_,
        slot="ticket",
        kind="ticket",
        state="done",
        ref_id=str(1000 + id_),
        url=f"https://acme.freshdesk.com/a/tickets/{1000 + id_}",
        updated_at=AT,
    )
    _insert(sql, schema.step, delivery_id=id_, slot="note", kind="note", state="started", updated_at=AT)


def _insert(sql: Connection, table: Any, **values: Any) -> None:
    sql.execute(insert(table).values(**values))
