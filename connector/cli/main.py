"""The console script `connector`: one short function per command; the work is done in modules.

Wrong use and settings that cannot be end with exit code 2, other failures with 1, both with one line on stderr.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from connector import __version__
from connector.config import Config
from connector.errors import ConfigError, ConnectorError, Declined

# Modules are imported by the command that needs them: `--help` should not wait for a web server.

#: Codes of refusals that are wrong use: what was named is not there, or cannot be.
_WRONG_USE = frozenset({"invalid", "not_found", "pruned", "unknown_connection"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    try:
        return int(cli.main(arguments, prog_name="connector", standalone_mode=False) or 0)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return _fail(error.format_message().rstrip(".") + hint, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except ConfigError as error:
        return _fail(error.message, 2)
    except Declined as error:
        return _fail(error.message, 2 if error.code in _WRONG_USE else 1)
    except ConnectorError as error:
        return _fail(error.message, 1)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output (`head`) is gone; the interpreter must not try to flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(message: str, code: int) -> int:
    click.echo("connector: " + " ".join(message.split()), err=True)
    return code


def _config(**overrides: Any) -> Config:
    return Config.from_env(**overrides)


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="connector")
def cli() -> None:
    """Turns Exotel calls into tickets, notes and call logs of a CRM.

    Settings come from the environment: CONNECTOR_DATABASE_URL (default sqlite:///connector.db),
    CONNECTOR_SECRET_KEY, CONNECTOR_PUBLIC_URL, CONNECTOR_HOST, CONNECTOR_PORT, CONNECTOR_LOG_FORMAT,
    CONNECTOR_TRUSTED_PROXIES.
    """


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one.")
@click.option("--database-url", help="sqlite:///FILE or postgresql://…")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine, on PostgreSQL."
)
def serve(host: str | None, port: int | None, database_url: str | None, workers: int) -> None:
    """Receive Exotel's requests and write to the CRMs."""
    config = _config(host=host, port=port, database_url=database_url)
    if workers > 1:
        from connector.serve.workers import serve_many

        serve_many(config, workers, click.echo)
        return
    from connector.serve.process import serve

    serve(config, click.echo)


@cli.command()
@click.option("--exit", "exits", is_flag=True, help="End after the scenarios; code 0 only if every record came.")
@click.option("--all", "everything", is_flag=True, help="Every adapter that brings a stand-in of its CRM.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; any free one by default.")
def demo(exits: bool, everything: bool, port: int) -> None:
    """Show it all at work, with a made-up tenant and made-up calls."""
    from connector.demo.run import demo

    raise click.exceptions.Exit(demo(exits=exits, everything=everything, port=port))


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--prune", is_flag=True, help="Delete tenants and connections that the file does not name.")
def apply(file: Path, prune: bool) -> None:
    """Put tenants and connections in place, as a YAML or JSON file says."""
    from connector.cli import tenants

    tenants.apply(_config(), file, prune)


@cli.command()
@click.argument("tenant")
def check(tenant: str) -> None:
    """Prove a tenant's keys, at its CRMs and at Exotel, and print the URLs to paste."""
    from connector.cli import tenants

    raise click.exceptions.Exit(0 if tenants.check(_config(), tenant) else 1)


@cli.command()
@click.argument("tenant")
@click.option("--rotate", is_flag=True, help="Make a new hook token first; URLs with the old one stop working.")
def hook(tenant: str, rotate: bool) -> None:
    """Print the URLs to paste into the applets of an Exotel flow."""
    from connector.cli import tenants

    tenants.hook(_config(), tenant, rotate)


@cli.command()
@click.argument("url")
@click.option("--calls", type=click.IntRange(1), default=10, show_default=True, help="How many calls.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=2.0, show_default=True, help="Calls a second.")
@click.option("--mix", help="Weights of scenarios, such as answered=5,missed=2; all alike by default.")
@click.option("--sid", help="Account SID in recording links, where the URL does not tell it.")
def simulate(url: str, calls: int, rate: float, mix: str | None, sid: str | None) -> None:
    """Play call flows as Exotel would, against the hook URL of any running connector."""
    from connector.cli.simulate import simulate

    raise click.exceptions.Exit(0 if simulate(url, calls, rate, mix, sid) else 1)


_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
_limit = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
_tenant = click.option("--tenant", metavar="SID", help="Of this tenant only.")


@cli.command()
@_tenant
@click.option("--since", metavar="TIME", help="From then on: 2026-01-31T09:30, or 30m, 12h, 7d ago.")
@_limit
@_as_json
def calls(tenant: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """List calls, newest first, with the records made of them."""
    from connector.cli import calls

    calls.calls(_config(), tenant, since, limit, as_json)


@cli.command()
@click.option("--state", type=click.Choice(["pending", "retrying", "done", "dead"]), help="In this state only.")
@_tenant
@_limit
@_as_json
def deliveries(state: Any, tenant: str | None, limit: int, as_json: bool) -> None:
    """List deliveries (a call for a connection), newest first."""
    from connector.cli import deliveries

    deliveries.deliveries(_config(), state, tenant, limit, as_json)


@cli.command()
@click.option("--tenant", metavar="SID", help="Whose calls; may be left out where there is one tenant.")
@click.option("--call-sid", help="One call.")
@click.option("--from", "since", metavar="TIME", help="Calls first seen from then on.")
@click.option("--to", "until", metavar="TIME", help="Calls first seen before then.")
@click.option("--connection", metavar="NAME", help="For this connection only.")
@click.option("--dry-run", is_flag=True, help="Say what would be written; nothing is sent.")
@click.option("--recreate", is_flag=True, help="Make records anew that people deleted in the CRM.")
@_as_json
def replay(as_json: bool, **wish: Any) -> None:
    """Plan calls anew under the newest options, and write what differs."""
    from connector.cli import deliveries

    deliveries.replay(_config(), as_json=as_json, **wish)


@cli.command()
@click.argument("tenant")
@click.option("--revoke", metavar="CALL_SID", help="Withdraw the links to the recordings of this call, for good.")
@_limit
@_as_json
def recordings(tenant: str, revoke: str | None, limit: int, as_json: bool) -> None:
    """List a tenant's recordings that have links, newest first, or withdraw the links of a call."""
    from connector.cli import recordings

    recordings.recordings(_config(), tenant, revoke, limit, as_json)


@cli.command()
@click.argument("tenant")
@click.argument("agent")
@click.argument("number")
@click.option("--connection", metavar="NAME", help="Whose agent it is; may be left out where there is one connection.")
@click.option("--custom-field", metavar="TEXT", help="Text of your own, shown with the call and in its records.")
@click.option("--idempotency-key", metavar="KEY", help="A word for this one wish: said again, nobody is rung again.")
@_as_json
def call(as_json: bool, **wish: Any) -> None:
    """Ring AGENT (CRM id, e-mail or number), then NUMBER.

    The call is placed by this command itself, through the store, whether or not the service runs on it; the service
    must run at CONNECTOR_PUBLIC_URL to be told how the call goes. Where Exotel does not say whether it placed the
    call, the state is unknown: the service finds out, and nobody is rung again.
    """
    from connector.cli import calls

    calls.call(_config(), as_json=as_json, **wish)


@cli.command()
@click.argument("tenant")
@click.option("--connection", metavar="NAME", help="Of this connection only.")
@click.option("--sync", is_flag=True, help="Match the CRM's users with Exotel's, by e-mail and number.")
@click.option(
    "--import",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Add, change and remove the agents of a CSV file, as --export writes it.",
)
@click.option("--export", is_flag=True, help="Print the agents as CSV.")
@_as_json
def agents(as_json: bool, **wish: Any) -> None:
    """List who answers and who may call, or bring the list up to date.

    Three hands write it: the tenant file owns the agents that it names, an import those that it changed, a sync the
    rest. Exit code 1: a line was refused, and says why; the others were written.
    """
    from connector.cli.agents import agents

    if sum((wish["sync"], wish["file"] is not None, wish["export"])) > 1:
        raise click.UsageError("say one of --sync, --import and --export")
    raise click.exceptions.Exit(0 if agents(_config(), as_json=as_json, **wish) else 1)


@cli.command()
@click.argument("tenant")
@click.argument("agent")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--device", type=click.Choice(["tel", "sip"]), help="Which, where the user has several.")
@_as_json
def device(as_json: bool, state: str, **wish: Any) -> None:
    """Switch a phone of AGENT (e-mail, number or CRM id) on or off at Exotel; one is on at a time."""
    from connector.cli.agents import device as switch

    switch(_config(), on=state == "on", as_json=as_json, **wish)


@cli.command()
@_as_json
def adapters(as_json: bool) -> None:
    """List the adapters that are installed."""
    from connector.cli import tenants

    tenants.adapters(as_json)


@cli.command("new-adapter")
@click.argument("name")
def new_adapter(name: str) -> None:
    """Write a folder for a new adapter, with its settings, methods, docs and test."""
    from connector.kit.new_adapter import write_new_adapter

    for path in write_new_adapter(name, Path.cwd()):
        click.echo(path)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from connector.store.engine.migrate import migrate

    click.echo(f"The database is at schema {migrate(_config().database_url)}.")


@cli.command()
@click.argument("tenant")
@click.option("--day", metavar="DAY", help="2026-01-31, in the tenant's time zone; the last seven days without it.")
@_as_json
def statement(tenant: str, day: str | None, as_json: bool) -> None:
    """Count a day's calls at Exotel, and what became of them.

    Written, not due by policy, missing, with the reason for each, per connection. Counted from the store: `connector
    reconcile TENANT --now` brings it up to this moment.
    """
    from connector.cli import completeness

    completeness.statement(_config(), tenant, day, as_json)


@cli.command()
@click.argument("tenant")
@click.option("--now", "everything", is_flag=True, help="All looks, whatever their time.")
def reconcile(tenant: str, everything: bool) -> None:
    """Ask Exotel for what calls lack, and for calls that nothing told of.

    Works beside a running service: whoever is free first does it, and this command follows. What is found goes to the
    CRMs through the running service; without one it waits in the store for the next start.
    """
    from connector.cli import completeness

    completeness.reconcile(_config(), tenant, everything)


@cli.command()
@click.argument("tenant")
@click.option("--from", "since", metavar="TIME", required=True, help="2026-01-31, 2026-01-31T09:30, or 7d, 12h ago.")
@click.option("--to", "until", metavar="TIME", help="Up to this time; now where it is left out.")
def backfill(tenant: str, since: str, until: str | None) -> None:
    """Write the calls of a span of time that are not here yet, up to six months back.

    Takes what is left of Exotel's quota, and waits while the CRMs have late work before them. Progress is stored: after
    Ctrl-C a running service goes on with it, as does the same command; no call is written twice, also none that was
    pruned since. Without a running service the calls wait in the store for the next start.
    """
    from connector.cli import completeness

    completeness.backfill(_config(), tenant, since, until)


@cli.group(no_args_is_help=False)
def user() -> None:
    """People and programs that use the API."""


@user.command("add")
@click.argument("name")
@click.option("--token", is_flag=True, help="Make an API token and print it; it is shown only once.")
@click.option("--numbers", is_flag=True, help="The token sees customers' numbers that a tenant has masked.")
@click.option("--tenant", metavar="SID", help="A user of this tenant.")
@click.option("--operator", is_flag=True, help="An operator, who sees every tenant.")
def user_add(name: str, token: bool, numbers: bool, tenant: str | None, operator: bool) -> None:
    """Add a user."""
    from connector.cli import tenants

    if operator == (tenant is not None):
        raise click.UsageError("say either --tenant SID or --operator")
    if numbers and not token:
        raise click.UsageError("--numbers is a right of a token: say --token too")
    tenants.user_add(_config(), name, token, tenant, numbers=numbers)


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy a running SQLite store, with its key file. To restore, start on the copy."""
    from connector.store.backup import backup

    for path in backup(_config(), file):
        click.echo(path)


@cli.command()
def rekey() -> None:
    """Seal all secrets with the newest key."""
    from connector.cli import tenants

    tenants.rekey(_config())
