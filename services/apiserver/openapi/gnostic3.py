"""OpenAPI v3 documents in protobuf. Source: github.com/google/gnostic-models
v0.7.0 openapiv3/OpenAPIv3.proto.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.codec.protobufwire import chunk
from services.apiserver.openapi.giveway import give_way
from services.apiserver.openapi.wire import (
    any_value,
    double,
    either,
    extensions,
    flag,
    integer,
    named,
    optional,
    repeated,
    text,
    texts,
)

Object = dict[str, Any]


def encode_v3(document: Object) -> bytes:
    """Return the protobuf form of a whole document."""
    return (
        text(1, document["openapi"])
        + chunk(2, _info(document["info"]))
        + chunk(4, named(1, document["paths"], _path_item))
        + optional(5, document.get("components"), _components)
    )


def _info(info: Object) -> bytes:
    return text(1, info["title"]) + text(6, info["version"])


def _components(components: Object) -> bytes:
    schemas, schemes = components.get("schemas"), components.get("securitySchemes")
    return optional(1, schemas, lambda of: named(1, of, _definition)) + optional(
        7, schemes, lambda of: named(1, of, lambda one: chunk(1, _security_scheme(one)))
    )


def _security_scheme(scheme: Object) -> bytes:
    return (
        text(1, scheme["type"])
        + text(2, scheme.get("description"))
        + text(3, scheme.get("name"))
        + text(4, scheme.get("in"))
    )


_METHODS = {
    "get": 4,
    "put": 5,
    "post": 6,
    "delete": 7,
    "options": 8,
    "head": 9,
    "patch": 10,
}


def _path_item(item: Object) -> bytes:
    give_way()
    methods = [optional(number, item.get(name), _operation) for name, number in _METHODS.items()]
    return b"".join(methods) + repeated(13, item.get("parameters"), _parameter)


def _operation(operation: Object) -> bytes:
    return (
        texts(1, operation["tags"])
        + text(3, operation["description"])
        + text(5, operation["operationId"])
        + repeated(6, operation.get("parameters"), _parameter)
        + optional(7, operation.get("requestBody"), lambda one: chunk(1, _request_body(one)))
        + chunk(8, named(2, operation["responses"], lambda one: chunk(1, _response(one))))
        + extensions(13, operation)
    )


def _parameter(parameter: Object) -> bytes:
    return chunk(
        1,
        text(1, parameter["name"])
        + text(2, parameter["in"])
        + text(3, parameter.get("description"))
        + flag(4, parameter.get("required"))
        + optional(10, parameter.get("schema"), _schema_or_reference),
    )


def _request_body(body: Object) -> bytes:
    return chunk(2, named(1, body["content"], _media_type)) + flag(3, body.get("required"))


def _response(response: Object) -> bytes:
    content = response.get("content")
    return text(1, response["description"]) + optional(
        3, content, lambda of: named(1, of, _media_type)
    )


def _media_type(media_type: Object) -> bytes:
    return optional(1, media_type.get("schema"), _schema_or_reference)


def _definition(schema: Object) -> bytes:
    give_way()
    return _schema_or_reference(schema)


def _schema_or_reference(schema: Object) -> bytes:
    reference = schema.get("$ref")
    return chunk(1, _schema(schema)) if reference is None else chunk(2, text(1, reference))


def _schema(schema: Object) -> bytes:
    return (
        flag(1, schema.get("nullable"))
        + optional(7, schema.get("example"), any_value)
        + text(9, schema.get("title"))
        + double(10, schema.get("multipleOf"))
        + double(11, schema.get("maximum"))
        + flag(12, schema.get("exclusiveMaximum"))
        + double(13, schema.get("minimum"))
        + flag(14, schema.get("exclusiveMinimum"))
        + integer(15, schema.get("maxLength"))
        + integer(16, schema.get("minLength"))
        + text(17, schema.get("pattern"))
        + integer(18, schema.get("maxItems"))
        + integer(19, schema.get("minItems"))
        + flag(20, schema.get("uniqueItems"))
        + integer(21, schema.get("maxProperties"))
        + integer(22, schema.get("minProperties"))
        + texts(23, schema.get("required", ()))
        + repeated(24, schema.get("enum"), any_value)
        + text(25, schema.get("type"))
        + repeated(26, schema.get("allOf"), _schema_or_reference)
        + repeated(27, schema.get("oneOf"), _schema_or_reference)
        + repeated(28, schema.get("anyOf"), _schema_or_reference)
        + optional(29, schema.get("not"), _schema)
        + optional(30, schema.get("items"), lambda one: chunk(1, _schema_or_reference(one)))
        + optional(31, schema.get("properties"), lambda of: named(1, of, _schema_or_reference))
        + optional(32, schema.get("additionalProperties"), _additional_properties)
        + optional(33, schema.get("default"), _default)
        + text(34, schema.get("description"))
        + text(35, schema.get("format"))
        + extensions(36, schema)
    )


def _additional_properties(value: Object | bool) -> bytes:
    if isinstance(value, bool):
        return either(2, value)
    return chunk(1, _schema_or_reference(value))


def _default(value: Any) -> bytes:
    """A DefaultType holds a number, a boolean or a string; of anything else, nothing."""
    if isinstance(value, bool):
        return either(2, value)
    if isinstance(value, (int, float)):
        return double(1, float(value)) or b"\x09" + bytes(8)
    if isinstance(value, str):
        return chunk(3, value.encode())
    return b""
