"""The OpenAPI 3.1 document, made from the table of routes and the models that read and write the JSON."""

import importlib.metadata
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from cti.daemon.http.pictures import Health
from cti.daemon.http.problems import MEDIA_TYPE, Problem
from cti.daemon.http.routes import DOCUMENT_PATH, ROUTES, Route
from cti.daemon.http.writes import WRITES, Write

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """Calls, agents, queues and duty beside an Asterisk PBX.

Every path under /api wants `Authorization: Bearer TOKEN`; the token is in the file `api-token` of the data directory.
/metrics, /healthz and /readyz want none: they tell nothing about callers (/metrics names the agents). Instants are RFC 3339 in UTC, durations
seconds, ratios 0 to 1. Lists come in pages, newest first; `next_cursor` is the cursor of the following page.
"""


def document() -> dict[str, Any]:
    """Build the document."""
    schemas, components = _schemas()
    paths = {route.path: {"get": _operation(route, schemas)} for route in ROUTES}
    for write in WRITES:
        paths.setdefault(write.path, {})["post"] = _writing(write, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CTI beside a PBX", "version": version(), "description": _DESCRIPTION},
        "security": [{"token": []}],
        "paths": paths | _plain_paths(schemas),
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": _problem_responses(schemas),
        },
    }


def text() -> str:
    """Return the document as JSON text."""
    return json.dumps(document(), ensure_ascii=False, indent=1)


def version() -> str:
    """Return the installed version of this program."""
    return importlib.metadata.version("cti-beside-pbx")


Schemas = dict[tuple[Any, JsonSchemaMode], dict[str, Any]]


def _schemas() -> tuple[Schemas, dict[str, Any]]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (Problem, "serialization"),
        (Health, "serialization"),
        *((route.answer, "serialization") for route in ROUTES),
        *((route.query, "validation") for route in ROUTES),
        *((write.answer, "serialization") for write in WRITES),
        *((write.body, "validation") for write in WRITES),
    ]
    found, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    components = definitions["$defs"]
    for route in ROUTES:  # their parameters stand at each operation
        components.pop(route.query.__name__, None)
    queries: set[Any] = {route.query for route in ROUTES}
    schemas = {key: _inline(key[0]) if key[0] in queries else schema for key, schema in found.items()}
    return schemas, components


def _inline(query: Any) -> dict[str, Any]:
    schema: dict[str, Any] = query.model_json_schema(ref_template=_REF)
    return schema


def _operation(route: Route[Any], schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "OK", "content": _content(schemas[route.answer, "serialization"])},
        **{status: {"$ref": f"#/components/responses/{status}"} for status in ("400", "401", "421", "503")},
    }
    if "{" in route.path or route.not_found:
        responses["404"] = {"$ref": "#/components/responses/404"}
    return {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "parameters": [*_path_parameters(route.path), *_parameters(schemas[route.query, "validation"])],
        "responses": responses,
    }


def _writing(write: Write[Any], schemas: Schemas) -> dict[str, Any]:
    refusals = ("400", "401", "413", "415", "421", "503")
    described = {"404": write.not_found, "409": write.conflict}
    return {
        "summary": write.summary,
        "operationId": write.handler.__name__,
        "parameters": list(_path_parameters(write.path)),
        "requestBody": {"required": True, "content": _content(schemas[write.body, "validation"])},
        "responses": {
            str(write.status.value): {
                "description": "done, and durable",
                "content": _content(schemas[write.answer, "serialization"]),
            },
            **{status: {"$ref": f"#/components/responses/{status}"} for status in refusals},
            **{
                status: {
                    "description": text,
                    "content": _content(schemas[Problem, "serialization"], MEDIA_TYPE),
                }
                for status, text in described.items()
            },
        },
    }


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            schema = {"type": "string", "minLength": 1, "maxLength": 200}
            yield {"name": part[1:-1], "in": "path", "required": True, "schema": schema}


def _parameters(schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name, written in schema.get("properties", {}).items():
        described = dict(written)
        described.pop("title", None)
        if described.get("default", "") is None:
            del described["default"]
        alternatives = [one for one in described.pop("anyOf", []) if one != {"type": "null"}]
        description = described.pop("description", None)
        entry = {"name": name, "in": "query", "schema": described | (alternatives[0] if alternatives else {})}
        yield entry | ({"description": description} if description else {})


def _content(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


_PROBLEMS = {
    "413": "The body is too long",
    "415": "The body is not sent as application/json",
    "400": "A parameter is unknown or cannot be used; `errors` names each",
    "401": "The token is missing or wrong",
    "404": "Nothing has this id or name",
    "421": "The Host header is not a name of this machine nor one of http.allowed_hosts",
    "503": "The database cannot be read, or nothing can be made durable, at the moment",
}


def _problem_responses(schemas: Schemas) -> dict[str, Any]:
    content = _content(schemas[Problem, "serialization"], MEDIA_TYPE)
    responses: dict[str, Any] = {
        status: {"description": text, "content": content} for status, text in _PROBLEMS.items()
    }
    responses["401"]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
    return responses


def _plain_paths(schemas: Schemas) -> dict[str, Any]:
    health = _content(schemas[Health, "serialization"])
    misdirected = {"421": {"$ref": "#/components/responses/421"}}
    well = {
        "200": {"description": "well", "content": health},
        "503": {"description": "not", "content": health},
    }
    metrics = {
        "description": "Prometheus' text format",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    document_ = {"description": "this document", "content": _content({"type": "object"})}
    return {
        "/metrics": _plain("metrics", "Metrics", {"200": metrics, **misdirected}),
        "/healthz": _plain("healthz", "Whether a restart would help (503)", {**well, **misdirected}),
        "/readyz": _plain("readyz", "Whether what is shown is complete", {**well, **misdirected}),
        DOCUMENT_PATH: {
            "get": {
                "summary": "This document",
                "operationId": "openapi",
                "responses": {
                    "200": document_,
                    "401": {"$ref": "#/components/responses/401"},
                    **misdirected,
                },
            }
        },
    }


def _plain(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "operationId": name, "security": [], "responses": responses}}
