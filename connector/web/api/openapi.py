"""The API's description in OpenAPI 3.1, from the table of operations and its pydantic models."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from connector import __version__
from connector.acts.asker import Act, Asker
from connector.web.api.shapes import Error

_REFUSALS: Final = {
    "400": "A parameter is missing, unknown or impossible; `field` names it.",
    "401": "No valid token.",
    "403": "The token's scopes do not include this.",
    "404": "It does not exist, or belongs to another tenant.",
    "503": "The store is busy; try again after `Retry-After` seconds.",
}

#: Methods whose requests have no body.
_BY_QUERY: Final = ("GET", "DELETE")


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """An operation of the API: the act that it asks for, what serves it, and how it is described.

    `asks` is the query's model for GET and DELETE, the body's otherwise; the words of the description are the docstring
    of `run`.
    """

    method: str
    path: str
    act: Act[Any, Any]
    run: Callable[[web.Request, Asker, Any], Awaitable[BaseModel]]
    asks: type[BaseModel]
    answers: type[BaseModel]
    _: KW_ONLY
    #: Status of the answer where it went well.
    status: int = 200
    #: Headers that a request may have, and what they say.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: What stands in the query of an operation that has a body.
    query: type[BaseModel] | None = None
    #: Refusals of its own: status -> words.
    refusals: Mapping[str, str] = field(default_factory=dict)


def document(operations: Sequence[ApiOperation]) -> dict[str, Any]:
    """The whole description."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Error, "serialization")]
    models += [(one.asks, "validation") for one in operations if one.method not in _BY_QUERY]
    models += [(one.answers, "serialization") for one in operations]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Connector between Exotel and CRMs", "version": __version__},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: ApiOperation) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": one.run.__name__,
        "summary": (one.run.__doc__ or "").partition("\n")[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)\}", one.path)
        ]
        + [
            {"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}}
            for name, words in one.headers.items()
        ],
        "responses": {
            str(one.status): {
                "description": (one.answers.__doc__ or "").partition("\n")[0],
                "content": _json(one.answers),
            },
            **{
                status: {"description": words, "content": _json(Error)}
                for status, words in {**_REFUSALS, **one.refusals}.items()
            },
        },
    }
    if one.method in _BY_QUERY:
        operation["parameters"] += _query(one.asks)
    else:
        operation["parameters"] += _query(one.query) if one.query is not None else []
        operation["requestBody"] = {"required": True, "content": _json(one.asks)}
    return operation


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
