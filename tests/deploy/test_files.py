"""The files under deploy/ are what their tools accept, and name what the program has."""

import configparser
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import crossplane  # type: ignore[import-untyped]  # it ships no types
import promql_parser
import pytest
import yaml

from connector.cli.main import cli
from connector.config import Config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = (DEPLOY / "README.md").read_text()
VARIABLES = {f"CONNECTOR_{field.name.upper()}" for field in fields(Config)}


def tool(name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool of the test extra."""
    program = Path(sys.executable).with_name(name)
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False, env=env)


# --- what the tools say ---


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = tool("hadolint", str(DEPLOY / "Dockerfile"))
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_follows_its_schema() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", sorted((DEPLOY / "kubernetes").glob("*.yaml")), ids=lambda file: file.name)
def test_kubernetes_takes_the_manifests(file: Path) -> None:
    done = tool("kubernetes-validate", "--strict", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_caddy_takes_its_file() -> None:
    how = {"SITE": "localhost", "UPSTREAMS": "localhost:8080", "HOME": "/nonexistent"}
    file = str(DEPLOY / "proxy" / "Caddyfile")
    done = tool("caddy", "validate", "--adapter", "caddyfile", "--config", file, **how)
    assert done.returncode == 0, done.stderr
    assert tool("caddy", "fmt", "--diff", file, **how).returncode == 0, "run caddy fmt --overwrite"


def test_nginx_reads_its_file_and_writes_no_secrets() -> None:
    read = crossplane.parse(str(DEPLOY / "proxy" / "nginx.conf"))
    assert read["status"] == "ok", read["errors"]
    (http,) = [line for line in read["config"][0]["parsed"] if line["directive"] == "http"]
    formats = [line["args"] for line in http["block"] if line["directive"] == "log_format"]
    logs = [line["args"] for line in http["block"] if line["directive"] == "access_log"]
    assert [log[1] for log in logs] == [name for name, *_ in formats]
    # $request, $uri and their like hold hook tokens, $http_authorization holds Exotel's key.
    for _, *parts in formats:
        named = set(re.findall(r"\$(\w+)", " ".join(parts)))
        assert not named & {"request", "request_uri", "uri", "args", "query_string", "http_referer"}
        assert not {name for name in named if name.startswith(("http_", "remote_user", "arg_"))}
    errors = [line["args"] for line in read["config"][0]["parsed"] if line["directive"] == "error_log"]
    assert [args[-1] for args in errors] == ["crit"], "lines of level error repeat the request"


def test_systemd_units_start_the_command_behind_the_socket() -> None:
    service, socket = _unit("connector.service"), _unit("connector.socket")
    program, *arguments = service["Service"]["ExecStart"].split()
    assert program.rpartition("/")[2] == "connector"
    _assert_command(arguments)
    assert service["Unit"]["Requires"] == "connector.socket"
    assert socket["Socket"]["ListenStream"].endswith(":8080")
    # The drain ends within 30 seconds by itself.
    assert int(service["Service"]["TimeoutStopSec"]) > 30


def _unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of units keep their case
    parser.read(DEPLOY / "systemd" / name)
    return parser


# --- what they name ---


@pytest.mark.parametrize(
    "file",
    [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and path.suffix != ".json"],
    ids=lambda file: file.name,
)
def test_variables_are_the_programs(file: Path) -> None:
    assert set(re.findall(r"CONNECTOR_[A-Z_]+", file.read_text())) <= VARIABLES


def test_variables_of_the_compose_file_stand_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert asked == offered


@pytest.mark.parametrize("page", [ROOT / "README.md", DEPLOY / "README.md"], ids=["readme", "runbook"])
def test_commands_in_the_pages_exist(page: Path) -> None:
    named = re.findall(r"(?:^|[`\s(])connector ([a-z][a-z-]*(?: [^`\n|#>;]*)?)", "\n".join(_code(page.read_text())))
    assert len(named) > 5
    for line in named:
        _assert_command(line.split())


def _code(text: str) -> Iterator[str]:
    """Fenced blocks of shell, and what stands in backticks."""
    yield from re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r"`(connector [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _assert_command(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"connector has no command {name!r}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0].rstrip("),.:") in known, f"connector {command.name} has no {word}"


# --- metrics ---


def _queries() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    board = json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def _selectors(query: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def note(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(query), note, lambda _node: True)
    assert found, f"no metric in {query}"
    return found


@pytest.mark.parametrize(("title", "query"), list(_queries()), ids=lambda value: value[:40])
def test_queries_ask_for_metrics_that_there_are(title: str, query: str, exposed: dict[str, set[str]]) -> None:
    del title
    for selector in _selectors(query):
        name = selector.name
        assert name is not None
        known = exposed | {"up": {"job", "instance"}}
        assert name in known, f"there is no metric {name}"
        # Prometheus adds these itself.
        allowed = known[name] | {"job", "instance", "pod", "namespace"}
        assert {matcher.name for matcher in selector.matchers.matchers} <= allowed
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
    everywhere = set().union(*(known[s.name] for s in _selectors(query) if s.name is not None), {"pod", "instance"})
    assert grouped <= everywhere


def test_the_autoscalers_metric_is_there(exposed: dict[str, set[str]]) -> None:
    text = (DEPLOY / "kubernetes" / "autoscaler.yaml").read_text()
    (scaler,) = yaml.safe_load_all(text)
    names = [metric["external"]["metric"]["name"] for metric in scaler["spec"]["metrics"] if "external" in metric]
    (rule,) = yaml.safe_load((DEPLOY / "monitoring" / "adapter-rule.yaml").read_text())
    assert names == [rule["name"]["as"]]
    assert all(name in exposed for name in names)


def test_the_runbook_says_what_to_do_with_each_alert() -> None:
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert alerts == re.findall(r"^### (Connector\w+)$", RUNBOOK, re.MULTILINE)
