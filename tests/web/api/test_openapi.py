"""The description is whole, and tells what the routes do."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from connector.web.api.openapi import document
from connector.web.api.routes import OPERATIONS, add_api

DOCUMENT = document(OPERATIONS)
#: What JSON Schema 2020-12 knows of what is used here; a misspelt keyword would be ignored by readers.
KEYWORDS = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "prefixItems",
    "properties",
    "required",
    "title",
    "type",
}


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for below in node.values():
            yield from walk(below)
    elif isinstance(node, list):
        for below in node:
            yield from walk(below)


def check_schema(schema: dict[str, Any]) -> None:
    assert set(schema) <= KEYWORDS, set(schema) - KEYWORDS
    for below in schema.get("properties", {}).values():
        check_schema(below)
    for below in schema.get("anyOf", []) + schema.get("prefixItems", []):
        check_schema(below)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            check_schema(schema[name])


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_its_frame() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"] == "3.1.0"
    assert set(DOCUMENT) == {"openapi", "info", "servers", "security", "paths", "components"}
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    assert DOCUMENT["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in walk(DOCUMENT) if "$ref" in node}
    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references <= names
    assert names == references, "a schema that nothing uses"


def test_schemas_are_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        check_schema(schema)
    for _, _, operation in operations():
        for parameter in operation["parameters"]:
            check_schema(parameter["schema"])


def test_operations() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    for path, method, operation in operations():
        assert method in ("get", "post", "put", "delete")
        assert operation["summary"].endswith(".")
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
        assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
        assert ("requestBody" in operation) == (method in ("post", "put"))
        assert {"400", "401", "403", "404", "503"} <= set(operation["responses"])
        assert {"200", "202"} & set(operation["responses"])
        assert all(response["description"] for response in operation["responses"].values())


def test_every_route_is_described() -> None:
    app = web.Application()
    add_api(app)
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    open_or_plain = {(path, "get") for path in ("/healthz", "/readyz", "/metrics", "/api/v1/openapi.json")}
    assert routes == {(path, method) for path, method, _ in operations()} | open_or_plain


@pytest.mark.parametrize("name", ["tenant", "number", "since", "cursor"])
def test_parameters_of_the_design(name: str) -> None:
    calls = DOCUMENT["paths"]["/api/v1/calls"]["get"]
    assert name in {parameter["name"] for parameter in calls["parameters"]}


def test_the_replays_body() -> None:
    body = DOCUMENT["components"]["schemas"]["ReplayAsked"]
    assert set(body["properties"]) == {"tenant", "call_sid", "from", "to", "connection", "dry_run", "recreate"}
    assert body["additionalProperties"] is False
