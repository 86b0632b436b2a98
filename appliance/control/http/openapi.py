# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document of the HTTP interface, made from the namespace: one path a declaration, families as parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

from appliance.namespace import Group, Kind, Node, Scope, Type
from appliance.nodes import NAMESPACE


@cache
def document() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for group in NAMESPACE.groups:
        for node in group.nodes:
            path = _path(group, node, f"/api/v1{group.prefix}/{node.name}")
            paths[f"/api/v1{group.prefix}/{node.name}"] = path
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Performance box", "version": "1",
            "description": "Every parameter and action of the box by its address. /api/v1/pad/{pad}/… means the chosen bank. "
                           "From other machines it takes a token of at least the operation's x-scope; POST /pair gives one.",
        },
        "paths": paths,
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": {"Error": {
            "type": "object", "required": ["error"],
            "properties": {"error": {"type": "string", "description": "what happened, where, what to do"}},
        }}},
    }


def _path(group: Group, node: Node, path: str) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    if group.families:
        operations["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": count}}
            for name, count in group.families.items()
        ]
    schema = value_schema(node)
    label = path.removeprefix("/api/v1/").replace("/", "_").replace("{", "").replace("}", "")
    if node.readable:
        operations["get"] = _operation(f"get_{label}", node, _answer("value", schema))
    if node.writable:
        operations["put"] = _operation(f"put_{label}", node, _answer("value", schema), _body(
            {"oneOf": [{"type": "object", "required": ["value"], "properties": {"value": schema}}, schema]}))
    if node.kind in (Kind.COMMAND, Kind.CALL):
        operations["post"] = _operation(f"post_{label}", node, _answer("result", {}), _body(
            {"description": "arguments as a list; an object is one argument; nothing is none"}, required=False))
    return operations


def value_schema(node: Node) -> dict[str, Any]:
    """JSON Schema of a node's value."""
    match node.type:
        case Type.FLOAT | Type.INT:
            schema: dict[str, Any] = {"type": "number" if node.type is Type.FLOAT else "integer",
                                      "minimum": node.minimum, "maximum": node.maximum}
            return {**schema, "x-unit": node.unit} if node.unit else schema
        case Type.BOOL:
            return {"type": "boolean"}
        case Type.CHOICE:
            return {"type": "string", "enum": list(node.choices)}
        case Type.TEXT:
            return {"type": "string", "maxLength": 4096}
        case Type.JSON | Type.NONE:
            return {}


def _operation(name: str, node: Node, answer: dict[str, Any], body: dict[str, Any] | None = None) -> dict[str, Any]:
    refused = {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    operation: dict[str, Any] = {"operationId": name, "summary": node.doc, "tags": [name.split("_")[1]],
                                 "responses": {"200": answer, "4XX": refused, "503": refused},
                                 "x-scope": (Scope.PLAY if name.startswith("get_") else node.scope).value,
                                 **({"x-private": True} if node.private else {})}
    if body is not None:
        operation["requestBody"] = body
    return operation


def _answer(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    properties = {"address": {"type": "string"}, name: schema}
    return {"description": "done", "content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}


def _body(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}
