"""Whole OpenAPI documents, v2 and v3, put together from operations and schemas.

Source of the shapes: k8s.io/kube-openapi pkg/builder/openapi.go, pkg/builder/parameters.go,
pkg/builder3/openapi.go.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from services.apiserver.discovery.version import KUBERNETES_VERSION
from services.apiserver.openapi.custom import custom_schemas
from services.apiserver.openapi.definitions import V2_PREFIX, V3_PREFIX, Definitions, references
from services.apiserver.openapi.giveway import give_way
from services.apiserver.openapi.operations import STRING, Operation
from services.apiserver.openapi.parameters import Parameter
from shared.resources import Resource

Document = dict[str, Any]
CustomSchemas = Mapping[Resource, Mapping[str, Any] | None]
"""Custom resources with their openAPIV3Schema, None where the CRD has none."""

_INFO = {"title": "Kubernetes", "version": KUBERNETES_VERSION}
_CUSTOM_INFO = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
_BEARER_TOKEN = {
    "BearerToken": {
        "description": "Bearer Token authentication",
        "type": "apiKey",
        "name": "authorization",
        "in": "header",
    }
}
_UNAUTHORIZED = {"description": "Unauthorized"}


def build_v3(operations: Iterable[Operation], custom: CustomSchemas) -> Document:
    """Return the OpenAPI v3 document of one group version (or of one document's path)."""
    operations = list(operations)
    schemas, wanted = _custom(operations, custom, v2=False)
    schemas.update(Definitions().v3(wanted))
    components: Document = {"schemas": dict(sorted(schemas.items()))} if schemas else {}
    if not custom:
        components["securitySchemes"] = _BEARER_TOKEN
    paths: dict[str, Any] = {}
    for path, methods in _by_path(operations).items():
        common = _common_parameters(methods)
        item: Document = {one.method: _operation_v3(one, common) for one in methods}
        if common:
            item["parameters"] = [_parameter_v3(one) for one in common]
        paths[path] = item
    return {
        "openapi": "3.0.0",
        "info": _CUSTOM_INFO if custom else _INFO,
        "paths": paths,
        "components": components,
    }


def build_v2(operations: Iterable[Operation], custom: CustomSchemas) -> Document:
    """Return the OpenAPI v2 document of everything, parameters shared where they recur."""
    operations = list(operations)
    schemas, wanted = _custom(operations, custom, v2=True)
    schemas.update(Definitions().v2(wanted))
    paths: dict[str, Any] = {}
    for path, methods in _by_path(operations).items():
        common = _common_parameters(methods)
        item: Document = {one.method: _operation_v2(one, common) for one in methods}
        if common:
            item["parameters"] = [_parameter_v2(one) for one in common]
        paths[path] = item
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths,
        "definitions": dict(sorted(schemas.items())),
        "parameters": _share_parameters(paths),
        "securityDefinitions": _BEARER_TOKEN,
        "security": [{"BearerToken": []}],
    }


def json_parts(document: Document, depth: int = 2) -> Iterator[bytes]:
    """Yield a document's JSON piece by piece: by its members, and theirs."""
    for index, (name, value) in enumerate(document.items()):
        yield (b"," if index else b"{") + orjson.dumps(name) + b":"
        if depth > 1 and isinstance(value, dict) and value:
            yield from json_parts(value, depth - 1)
        else:
            give_way()
            yield orjson.dumps(value)
    yield b"}"


def _custom(
    operations: list[Operation], custom: CustomSchemas, *, v2: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the custom resources' schemas, and the names of all others that are used."""
    schemas = {
        name: schema
        for resource, source in custom.items()
        for name, schema in custom_schemas(resource, source, v2=v2)
    }
    prefix = V2_PREFIX if v2 else V3_PREFIX
    wanted = {one.body for one in operations if one.body is not None}
    wanted.update(name for one in operations for _, name in one.answers.values())
    for schema in schemas.values():
        wanted.update(ref.removeprefix(prefix) for ref in references(schema))
    return schemas, sorted(wanted - schemas.keys())


def _by_path(operations: list[Operation]) -> dict[str, list[Operation]]:
    paths: dict[str, list[Operation]] = {}
    for operation in sorted(operations, key=lambda one: one.path):
        paths.setdefault(operation.path, []).append(operation)
    return paths


def _common_parameters(methods: list[Operation]) -> list[Parameter]:
    """Return the parameters that all operations of a path take, by name."""
    last = {(one.name, one.location): one for method in methods for one in method.parameters}
    counts = Counter((one.name, one.location) for method in methods for one in method.parameters)
    return _by_name(last[key] for key, count in counts.items() if count == len(methods))


def _by_name(parameters: Iterable[Parameter]) -> list[Parameter]:
    return sorted(parameters, key=lambda one: (one.name, one.location))


def _own_parameters(operation: Operation, common: list[Parameter]) -> list[Parameter]:
    hoisted = {(one.name, one.location) for one in common}
    return _by_name(one for one in operation.parameters if (one.name, one.location) not in hoisted)


def _extensions(operation: Operation) -> Document:
    out: Document = {}
    if operation.action:
        out["x-kubernetes-action"] = operation.action
    if operation.gvk is not None:
        group, version, kind = operation.gvk
        out["x-kubernetes-group-version-kind"] = {
            "group": group,
            "version": version,
            "kind": kind,
        }
    return out


def _operation_v3(operation: Operation, common: list[Parameter]) -> Document:
    give_way()
    out: Document = {
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
    }
    if own := _own_parameters(operation, common):
        out["parameters"] = [_parameter_v3(one) for one in own]
    if operation.body is not None:
        body: Document = {"content": _content(operation.body, operation.consumes)}
        if operation.body_required:
            body["required"] = True
        out["requestBody"] = body
    responses: Document = {
        str(code): {"description": text, "content": _content(name, operation.produces)}
        for code, (text, name) in operation.answers.items()
    }
    out["responses"] = {**responses, "401": _UNAUTHORIZED}
    return {**out, **_extensions(operation)}


def _content(name: str, media_types: tuple[str, ...]) -> Document:
    return {media_type: {"schema": _schema(name, V3_PREFIX)} for media_type in media_types}


def _schema(name: str, prefix: str) -> Document:
    return {"type": "string"} if name == STRING else {"$ref": prefix + name}


def _parameter_v3(parameter: Parameter) -> Document:
    out: Document = {
        "name": parameter.name,
        "in": parameter.location,
        "description": parameter.description,
    }
    if parameter.required:
        out["required"] = True
    return {**out, "schema": {"type": parameter.type, "uniqueItems": True}}


def _operation_v2(operation: Operation, common: list[Parameter]) -> Document:
    give_way()
    parameters = [_parameter_v2(one) for one in _own_parameters(operation, common)]
    if operation.body is not None:
        body: Document = {"name": "body", "in": "body"}
        if operation.body_required:
            body["required"] = True
        parameters.insert(0, {**body, "schema": _schema(operation.body, V2_PREFIX)})
    out: Document = {
        "description": operation.description,
        "consumes": list(operation.consumes),
        "produces": list(operation.produces),
        "schemes": ["https"],
        "tags": [operation.tag],
        "operationId": operation.id,
    }
    if parameters:
        out["parameters"] = parameters
    responses: Document = {
        str(code): {"description": text, "schema": _schema(name, V2_PREFIX)}
        for code, (text, name) in operation.answers.items()
    }
    out["responses"] = {**responses, "401": _UNAUTHORIZED}
    return {**out, **_extensions(operation)}


def _parameter_v2(parameter: Parameter) -> Document:
    out: Document = {
        "uniqueItems": True,
        "type": parameter.type,
        "description": parameter.description,
        "name": parameter.name,
        "in": parameter.location,
    }
    if parameter.required:
        out["required"] = True
    return out


def _share_parameters(paths: Mapping[str, Any]) -> dict[str, Document]:
    """Replace parameters by references to one shared place; return that place's content.

    The names of objects differ by kind, and kubectl looks for dryRun and fieldValidation in
    the operations themselves: these stay where they are.
    """
    shared: dict[str, Document] = {}
    for item in paths.values():
        for holder in (item, *(one for one in item.values() if isinstance(one, dict))):
            parameters: list[Document] = holder.get("parameters", [])
            for index, parameter in enumerate(parameters):
                if _stays(parameter):
                    continue
                name = f"{parameter['name']}-{_short_hash(orjson.dumps(parameter))}"
                shared.setdefault(name, parameter)
                parameters[index] = {"$ref": f"#/parameters/{name}"}
    return dict(sorted(shared.items()))


def _stays(parameter: Document) -> bool:
    if parameter["in"] == "body":
        ref: str = parameter["schema"].get("$ref", "")
        return not ref.startswith(f"{V2_PREFIX}io.k8s.apimachinery")
    return parameter["name"] in ("name", "fieldValidation", "dryRun")


def _short_hash(data: bytes) -> str:
    """Return the first 48 bits of the FNV-1 hash, in eight characters."""
    hashed = 0xCBF29CE484222325
    for byte in data:
        hashed = hashed * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF ^ byte
    return base64.urlsafe_b64encode(hashed.to_bytes(8, "big")[:6]).decode()
