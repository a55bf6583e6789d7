"""OpenAPI v2 documents in protobuf, as kubectl asks for them. Source:
github.com/google/gnostic-models v0.7.0 openapiv2/OpenAPIv2.proto.
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


def encode_v2(document: Object) -> bytes:
    """Return the protobuf form of a whole document."""
    return (
        text(1, document["swagger"])
        + chunk(2, text(1, document["info"]["title"]) + text(2, document["info"]["version"]))
        + chunk(8, named(2, document["paths"], _path_item))
        + chunk(9, named(1, document["definitions"], _definition))
        + chunk(10, named(1, document["parameters"], _parameter))
        + repeated(12, document["security"], lambda of: named(1, of, lambda v: texts(1, v)))
        + chunk(13, named(1, document["securityDefinitions"], _security_definition))
    )


def _security_definition(scheme: Object) -> bytes:
    api_key = (
        text(1, scheme["type"])
        + text(2, scheme["name"])
        + text(3, scheme["in"])
        + text(4, scheme["description"])
    )
    return chunk(2, api_key)


_METHODS = {
    "get": 2,
    "put": 3,
    "post": 4,
    "delete": 5,
    "options": 6,
    "head": 7,
    "patch": 8,
}


def _path_item(item: Object) -> bytes:
    give_way()
    methods = [optional(number, item.get(name), _operation) for name, number in _METHODS.items()]
    return b"".join(methods) + repeated(9, item.get("parameters"), _parameters_item)


def _operation(operation: Object) -> bytes:
    return (
        texts(1, operation["tags"])
        + text(3, operation["description"])
        + text(5, operation["operationId"])
        + texts(6, operation["produces"])
        + texts(7, operation["consumes"])
        + repeated(8, operation.get("parameters"), _parameters_item)
        + chunk(9, named(1, operation["responses"], lambda one: chunk(1, _response(one))))
        + texts(10, operation["schemes"])
        + extensions(13, operation)
    )


def _parameters_item(parameter: Object) -> bytes:
    reference = parameter.get("$ref")
    return chunk(1, _parameter(parameter)) if reference is None else chunk(2, text(1, reference))


def _parameter(parameter: Object) -> bytes:
    location = parameter["in"]
    if location == "body":
        return chunk(
            1,
            text(2, parameter["name"])
            + text(3, location)
            + flag(4, parameter.get("required"))
            + optional(5, parameter.get("schema"), _schema),
        )
    of_all = (
        flag(1, parameter.get("required"))
        + text(2, location)
        + text(3, parameter.get("description"))
        + text(4, parameter["name"])
    )
    unique = parameter.get("uniqueItems")
    if location == "query":
        return chunk(2, chunk(3, of_all + text(6, parameter["type"]) + flag(20, unique)))
    return chunk(2, chunk(4, of_all + text(5, parameter["type"]) + flag(19, unique)))


def _response(response: Object) -> bytes:
    return text(1, response["description"]) + optional(
        2, response.get("schema"), lambda one: chunk(1, _schema(one))
    )


def _definition(schema: Object) -> bytes:
    give_way()
    return _schema(schema)


def _schema(schema: Object) -> bytes:
    type_ = schema.get("type")
    return (
        text(1, schema.get("$ref"))
        + text(2, schema.get("format"))
        + text(3, schema.get("title"))
        + text(4, schema.get("description"))
        + optional(5, schema.get("default"), any_value)
        + double(6, schema.get("multipleOf"))
        + double(7, schema.get("maximum"))
        + flag(8, schema.get("exclusiveMaximum"))
        + double(9, schema.get("minimum"))
        + flag(10, schema.get("exclusiveMinimum"))
        + integer(11, schema.get("maxLength"))
        + integer(12, schema.get("minLength"))
        + text(13, schema.get("pattern"))
        + integer(14, schema.get("maxItems"))
        + integer(15, schema.get("minItems"))
        + flag(16, schema.get("uniqueItems"))
        + integer(17, schema.get("maxProperties"))
        + integer(18, schema.get("minProperties"))
        + texts(19, schema.get("required", ()))
        + repeated(20, schema.get("enum"), any_value)
        + optional(21, schema.get("additionalProperties"), _additional_properties)
        + (chunk(22, text(1, type_)) if type_ else b"")
        + optional(23, schema.get("items"), lambda one: chunk(1, _schema(one)))
        + optional(25, schema.get("properties"), lambda of: named(1, of, _schema))
        + optional(30, schema.get("example"), any_value)
        + extensions(31, schema)
    )


def _additional_properties(value: Object | bool) -> bytes:
    if isinstance(value, bool):
        return either(2, value)
    return chunk(1, _schema(value))
