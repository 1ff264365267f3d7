"""All acts, and through which face each is asked: a command, a route of the API, or why not."""

from dataclasses import dataclass
from typing import Any, Final

from connector.acts import agents, calls, connections, deliveries, devices, people, recordings, statements
from connector.acts.asker import Act


@dataclass(frozen=True, slots=True)
class Listed:
    """An act. `command` (`connector agents --sync`) and `route` (`POST /api/v1/agents/sync`) are None where there is
    none; `why` says why."""

    act: Act[Any, Any]
    command: str | None = None
    route: str | None = None
    why: str | None = None


_FILES: Final = "it needs the machine's files and keys"
_FOLLOWED: Final = "it goes on for minutes and is followed: that is a page's, with its progress"
_HOOKS: Final = "these URLs let whoever has them send events: no scope of a token covers them"

ACTS: Final = (
    Listed(calls.list_calls, "calls", "GET /api/v1/calls"),
    Listed(
        calls.get_call,
        None,
        "GET /api/v1/calls/{call_sid}",
        "`connector calls` shows what came of each call; every parameter of its requests fills no terminal",
    ),
    Listed(calls.place_call, "call", "POST /api/v1/calls"),
    Listed(deliveries.list_deliveries, "deliveries", "GET /api/v1/deliveries"),
    Listed(deliveries.replay, "replay", "POST /api/v1/replay"),
    Listed(recordings.list_recordings, "recordings", "GET /api/v1/recordings"),
    Listed(recordings.revoke_recording, "recordings --revoke", "DELETE /api/v1/recordings/{call_sid}"),
    Listed(agents.list_agents, "agents", "GET /api/v1/agents"),
    Listed(agents.put_agents, "agents --import", "PUT /api/v1/agents"),
    Listed(agents.sync_agents, "agents --sync", "POST /api/v1/agents/sync"),
    Listed(
        devices.list_devices, None, "GET /api/v1/devices", "`connector device` shows all of them when it switches one"
    ),
    Listed(devices.set_device, "device", "PUT /api/v1/devices"),
    Listed(statements.statement, "statement", "GET /api/v1/statement"),
    Listed(statements.reconcile, "reconcile", None, _FOLLOWED),
    Listed(statements.backfill, "backfill", None, _FOLLOWED),
    Listed(connections.apply, "apply", None, "the file is the operator's, with the CRMs' keys in its variables"),
    Listed(connections.check_tenant, "check", None, "it asks every CRM in turn and tells as it goes: that is a page's"),
    Listed(connections.show_hooks, "hook", None, _HOOKS),
    Listed(connections.rotate_hook, "hook --rotate", None, _HOOKS),
    Listed(connections.list_adapters, "adapters", "GET /api/v1/adapters"),
    Listed(people.add_user, "user add", None, "a token that makes tokens is a key to everything"),
    Listed(people.rekey, "rekey", None, _FILES),
)

#: Commands that ask for no act: they run the service, its store or its tools, and change nothing that is a tenant's.
OTHER_COMMANDS: Final = {
    "serve": "it is the service",
    "demo": "it is a service of its own, with a made-up tenant",
    "simulate": "it plays Exotel against the URL of any connector",
    "migrate": "it makes the store that acts need",
    "backup": _FILES,
    "new-adapter": "it writes a folder for the author of an adapter",
}
