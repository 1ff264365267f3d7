"""What the commands do that look at a store or another service, and how they say it."""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connector.access import users
from connector.adapter import registry
from connector.config import Config
from connector.errors import ConfigError
from connector.output import print_json, print_table
from connector.pipeline.delivery import replay as replaying
from connector.pipeline.delivery.replay import Replayed, Wish
from connector.pipeline.recordings.links import LinkMaker
from connector.serve import locked
from connector.simulate import play
from connector.simulate.target import parse_target
from connector.store.engine.clock import now_of
from connector.store.opening import Store, opened
from connector.store.queries import lists, revocations, views
from connector.store.queries import recordings as recording_queries
from connector.store.queries.regions import keep_regions
from connector.store.secrets import rekey as reseal
from connector.tenants import apply as applying
from connector.tenants import check as checking
from connector.tenants import urls
from connector.tenants.directory import load
from connector.tenants.model import Directory

_SPAN: Final = re.compile(r"(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def apply(config: Config, file: Path, prune: bool) -> None:
    """`connector apply`."""
    with opened(config, make=True) as store:
        applied = applying.apply_file(file, store.db, store.box, os.environ, prune)
        for change in applied.changes:
            click.echo(change)
        if not applied.changes:
            click.echo("Nothing changed.")
        directory = store.db.transact(load, store.box)
        touched = set(applied.connections)
        for tenant in directory.tenants.values():
            new = [one for one in tenant.connections if (tenant.sid, one.name) in touched and one.enabled]
            for warning in asyncio.run(checking.prepare(tenant, new, store.box, config)):
                _warn(warning)
        _warn(checking.lost_without_address(directory.tenants.values(), config))


def check(config: Config, sid: str) -> bool:
    """`connector check`; returns whether nobody has to do anything."""
    with opened(config, make=False) as store:
        tenant = urls.find_tenant(store.db.transact(load, store.box), sid)

        def keep_region(region: str) -> None:
            store.db.transact(keep_regions, [(tenant.id, region)])

        async def look() -> bool:
            fine = True
            async for finding in checking.check_tenant(tenant, store.box, config, keep_region):
                fine &= finding.is_fine
                _say_finding(finding)
            return fine

        fine = asyncio.run(look())
        _warn(checking.lost_without_address([tenant], config))
    click.echo()
    for line in urls.describe(tenant, config):
        click.echo(line)
    return fine


def hook(config: Config, sid: str, rotate: bool) -> None:
    """`connector hook`."""
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        tenant = urls.find_tenant(directory, sid)
        if rotate:
            store.db.transact(urls.rotate, store.box, sid)
            tenant = urls.find_tenant(store.db.transact(load, store.box), sid)
    for line in urls.describe(tenant, config):
        click.echo(line)


def simulate(url: str, calls: int, rate: float, mix: str | None, sid: str | None) -> bool:
    """`connector simulate`; returns whether every request was accepted."""
    target, weights = parse_target(url), play.parse_mix(mix)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Playing calls", total=calls)
        summary = asyncio.run(
            play.simulate(target, calls=calls, rate=rate, mix=weights, sid=sid, on_call=lambda: progress.advance(task))
        )
    click.echo(f"{calls} calls, {summary.sent} requests: {summary.accepted} accepted, {_failed(summary)}")
    latencies = ", ".join(f"p{percent} {summary.percentile_ms(percent):.1f} ms" for percent in (50, 95, 99))
    click.echo(f"Answered within: {latencies}")
    return summary.accepted == summary.sent


def calls(config: Config, sid: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """`connector calls`."""
    begin = None if since is None else parse_time(since, "--since")
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        tenant_id = _tenant_id(directory, sid)
        found = store.db.transact(lambda sql: views.calls(sql, tenant_id, since=begin, limit=limit))
        records = store.db.transact(lists.records, [call.id for call in found])
    rows: list[dict[str, Any]] = []
    for call in found:
        fold = json.loads(call.summary) if call.summary else {}
        owner = directory.tenants.get(call.tenant)
        if owner is not None and owner.mask is not None and fold.get("customer_number"):
            fold["customer_number"] = owner.mask.number(fold["customer_number"], owner.country)
        made = [
            {"connection": one.connection, "slot": one.slot, "kind": one.kind, "id": one.id, "url": one.url}
            for one in records.get(call.id, [])
        ]
        facts = ("direction", "customer_number", "agent_number", "outcome", "duration_s")
        rows.append(
            {
                "at": _utc(call.created_at),
                "tenant": call.tenant,
                "call_sid": call.call_sid,
                **{name: fold.get(name) for name in facts},
                "records": made,
            }
        )
    if as_json:
        print_json(rows)
        return
    shown = ("at", "tenant", "call_sid", "direction", "customer_number", "outcome")
    print_table(
        (*shown, "records"), ((*(row[name] for name in shown), _records(row["records"])) for row in rows), "calls"
    )


def deliveries(config: Config, state: Any, sid: str | None, limit: int, as_json: bool) -> None:
    """`connector deliveries`."""
    with opened(config, make=False) as store:
        tenant_id = _tenant_id(store.db.transact(load, store.box), sid)
        found = store.db.transact(lambda sql: views.deliveries(sql, tenant_id, state=state, limit=limit))
    rows = [
        {
            "at": _utc(one.updated_at),
            "tenant": one.tenant,
            "call_sid": one.call_sid,
            "connection": one.connection,
            "state": one.state,
            "reason": one.reason,
            "attempts": one.attempts,
            "due_at": _utc(one.due_at) if one.state == "pending" else None,
            "last_error": one.last_error,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("at", "tenant", "call_sid", "connection", "state", "reason", "attempts", "last_error")
    print_table(shown, (tuple(row[name] for name in shown) for row in rows), "deliveries")


def replay(
    config: Config,
    *,
    tenant: str | None,
    call_sid: str | None,
    since: str | None,
    until: str | None,
    connection: str | None,
    dry_run: bool,
    recreate: bool,
    as_json: bool,
) -> None:
    """`connector replay`: into the store, where the running service finds it within a second or so."""
    if (call_sid is None) == (since is None and until is None):
        raise click.UsageError("say either --call-sid, or --from and --to")
    begin = None if since is None else parse_time(since, "--from")
    end = None if until is None else parse_time(until, "--to")
    with opened(config, make=False) as store:
        directory = store.db.transact(load, store.box)
        if tenant is None and len(directory.tenants) != 1:
            raise click.UsageError("say --tenant SID")
        owner = urls.find_tenant(directory, tenant or next(iter(directory.tenants)))
        one = owner.connection(connection) if connection is not None else None
        if connection is not None and one is None:
            known = ", ".join(c.name for c in owner.connections) or "none"
            raise ConfigError(f"{owner.sid} has no connection {connection!r}; known: {known}")
        if call_sid is not None and not store.db.transact(views.has_call, owner.id, call_sid):
            if store.db.transact(views.pruned_call, owner.id, call_sid) is not None:
                raise ConfigError(replaying.PRUNED)
            raise ConfigError(f"{owner.sid} has no call {call_sid!r}")
        wish = Wish(owner.id, call_sid, begin, end, one.id if one else None, recreate)
        now = store.db.transact(now_of)
        if dry_run:
            found = store.db.transact(replaying.preview, directory, wish, now, _links(config, store))
            found = store.db.transact(replaying.without_numbers, owner, found)
        else:
            (found,) = store.db.transact(replaying.enqueue, [(directory, wish, now)])
    _say_replayed(found, dry_run, as_json)


def adapters(as_json: bool) -> None:
    """`connector adapters`."""
    rows = []
    for name, adapter in registry.adapters().items():
        settings = ", ".join(adapter.settings_model.model_fields)
        families = ", ".join(registry.families(adapter))
        rows.append({"name": name, "title": adapter.title, "families": families, "settings": settings})
    if as_json:
        print_json(rows)
        return
    print_table(("name", "title", "families", "settings"), (tuple(row.values()) for row in rows), "adapters")


def user_add(config: Config, name: str, token: bool, sid: str | None, *, numbers: bool = False) -> None:
    """`connector user add`."""
    with opened(config, make=True) as store:

        def add(sql: Any) -> str | None:
            user_id = users.add_user(sql, name, sid)
            return users.add_token(sql, user_id, numbers=numbers) if token else None

        made = store.db.transact(add)
    click.echo(f"Added {name}." if made is None else made)


def recordings(config: Config, sid: str, revoke: str | None, limit: int, as_json: bool) -> None:
    """`connector recordings`."""
    with opened(config, make=False) as store:
        tenant = urls.find_tenant(store.db.transact(load, store.box), sid)
        if revoke is not None:
            if not store.db.transact(recording_queries.recordings, tenant.id, revoke):
                raise ConfigError(f"{sid} has no recording of a call {revoke!r}")
            (count,) = store.db.transact(revocations.revoke, [(tenant.id, revoke, "cli", time.time())])
            words = f"Withdrew {count} {'link' if count == 1 else 'links'}."
            click.echo(words if count else "They were withdrawn before.")
            return
        found = store.db.transact(lambda sql: recording_queries.recordings(sql, tenant.id, limit=limit))
    for_all = tenant.recordings.open_to == "anyone_with_link"
    rows = [
        {
            "call_at": _utc(one.call_created_at),
            "call_sid": one.call_sid,
            "state": one.state,
            "bytes": one.size,
            "open_until": _utc(one.call_created_at + tenant.recordings.days * 86_400) if for_all else None,
            "withdrawn_at": _utc(one.revoked_at) if one.revoked_at is not None else None,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("call_at", "call_sid", "state", "bytes", "open_until", "withdrawn_at")
    print_table(shown, (tuple(row.values()) for row in rows), "recordings")


def rekey(config: Config) -> None:
    """`connector rekey`."""
    with opened(config, make=False) as store:
        if config.secret_key is None:
            # A running service holds the key file's old key and could not open what is sealed from now on.
            with locked(config):
                count = reseal(config, store.db)
        else:
            count = reseal(config, store.db)
        links = store.db.transact(recording_queries.count_links)
    click.echo(f"Sealed {count} values with the newest key.")
    if links and config.secret_key is None:
        click.echo("Links to recordings ended with the old key: `connector replay` writes new ones into the CRMs.")


def parse_time(text: str, option: str) -> float:
    """Unix seconds of `2026-01-31`, `2026-01-31T09:30` (UTC where no zone is told), or of `30m`, `12h`, `7d` ago."""
    span = _SPAN.fullmatch(text)
    if span:
        return time.time() - int(span[1]) * _SECONDS[span[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option} takes a time such as 2026-01-31T09:30, or 30m, 12h, 7d ago") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _links(config: Config, store: Store) -> LinkMaker:
    return LinkMaker(
        store.box, lambda adapter: config.public_url or (config.home_url if adapter.read_at_home else None)
    )


def _warn(words: str | None) -> None:
    if words is not None:
        click.echo(f"connector: warning: {words}", err=True)


def _tenant_id(directory: Directory, sid: str | None) -> int | None:
    return None if sid is None else urls.find_tenant(directory, sid).id


def _say_finding(finding: checking.Finding) -> None:
    mark = click.style("ok  ", fg="green") if finding.is_good else click.style("FAIL", fg="red")
    click.echo(f"{mark}  {finding.what}: {finding.words}")
    for missing in finding.missing:
        click.echo(f"      {click.style('missing', fg='yellow')}: {missing}")


def _say_replayed(found: Sequence[Replayed], dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {"call_sid": one.call_sid, "connection": one.connection, "changes": one.changes, "queued": one.queued}
            for one in found
        )
        return
    if not dry_run:
        click.echo(f"Queued {len(found)} deliveries.")
        return
    changed = [(one, change) for one in found for change in one.changes]
    for one, change in changed:
        click.echo(f"{one.call_sid} {one.connection}: {change['action']} {change['kind']} ({change['slot']})")
    if not changed:
        click.echo(f"Nothing would change in {len(found)} deliveries.")


def _failed(summary: play.Summary) -> str:
    failed = summary.sent - summary.accepted
    reasons = ", ".join(f"{count} x {reason}" for reason, count in summary.failures.most_common())
    return f"{failed} failed" + (f" ({reasons})" if reasons else "")


def _records(records: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{one['connection']}: {one['kind']} {one['id']} {one['url'] or ''}".rstrip() for one in records)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
