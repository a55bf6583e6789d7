"""Pruning and defaulting settle at once, and no body whatever breaks the codec."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.apiserver.codec import FieldReport
from services.apiserver.customresources.codec import StructuralCodec
from services.apiserver.customresources.correlation import ABSENT
from services.apiserver.customresources.defaulting import set_defaults
from services.apiserver.customresources.listtypes import validate_list_types
from services.apiserver.customresources.pruning import drop_nulls, fits, prune
from services.apiserver.customresources.schemavalidation import SchemaValidator, compile_node
from services.apiserver.customresources.structural import compile_schema
from services.apiserver.customresources.versionschema import VersionSchema
from services.apiserver.errors import ApiError

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.sampled_from(["a", "b", "c", "metadata", "kind", "apiVersion"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "long enough", "2024-01-02T03:04:05Z"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)

leaves = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "default": st.just("d"),
            "nullable": st.just(True),
            "maxLength": st.integers(0, 5),
            "minLength": st.integers(0, 2),
            "pattern": st.sampled_from(["^a", "x$"]),
            "format": st.sampled_from(["date-time", "ipv4", "made-up"]),
            "enum": st.just(["a", "b"]),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={
            "default": st.just(3),
            "minimum": st.integers(-3, 3),
            "maximum": st.integers(-3, 3),
            "exclusiveMinimum": st.booleans(),
            "exclusiveMaximum": st.booleans(),
            "format": st.sampled_from(["int32", "int64"]),
        },
    ),
    st.just({"type": "number"}),
    st.just({"type": "boolean"}),
    st.just({"x-kubernetes-int-or-string": True}),
    st.just({"x-kubernetes-preserve-unknown-fields": True}),
    st.just({"type": "object", "additionalProperties": True}),
)


def _nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
            optional={
                "x-kubernetes-preserve-unknown-fields": st.just(True),
                "x-kubernetes-embedded-resource": st.just(True),
                "nullable": st.just(True),
                "required": st.lists(names, max_size=2, unique=True),
                "default": st.just({}),
                "anyOf": st.just([{"required": ["a"]}, {"required": ["b"]}]),
            },
        ),
        st.builds(lambda one: {"type": "object", "additionalProperties": one}, inner),
        st.builds(
            lambda one, kind, most: {
                "type": "array",
                "items": one,
                "x-kubernetes-list-type": kind,
                **({"maxItems": 2} if most else {}),
            },
            inner,
            st.sampled_from(["atomic", "set"]),
            st.booleans(),
        ),
    )


schemas = st.recursive(leaves, _nodes, max_leaves=8).map(
    lambda one: one if one.get("type") == "object" else {"type": "object", "properties": {"a": one}}
)
objects = st.dictionaries(names, values, max_size=4)


@FEW
@given(schemas, objects)
def test_pruning_twice_is_pruning_once(schema: Any, value: Any) -> None:
    structural = compile_schema(schema)
    prune(value, structural)
    drop_nulls(value, structural)
    once = copy.deepcopy(value)
    unknown: list[str] = []
    prune(value, structural, unknown)
    drop_nulls(value, structural)
    assert value == once
    assert unknown == []


@FEW
@given(schemas, objects)
def test_what_fits_needs_no_pruning(schema: Any, value: Any) -> None:
    structural = compile_schema(schema)
    before = copy.deepcopy(value)
    fitting = fits(value, structural, is_resource=True)
    prune(value, structural)
    drop_nulls(value, structural)
    assert value == before or not fitting


@FEW
@given(schemas, objects)
def test_defaulting_twice_is_defaulting_once(schema: Any, value: Any) -> None:
    structural = compile_schema(schema)
    set_defaults(value, structural)
    once = copy.deepcopy(value)
    set_defaults(value, structural)
    assert value == once


@FEW
@given(schemas, values)
def test_decoding_answers_with_an_object_or_an_api_error(schema: Any, value: Any) -> None:
    codec = StructuralCodec("g.example.com", "v1", "Widget", VersionSchema(schema))
    before = copy.deepcopy(value)
    try:
        decoded = codec.decode(value, report=FieldReport())
    except ApiError:
        return
    assert value == before
    orjson.dumps(decoded)
    assert codec.decode(decoded) == decoded


@FEW
@given(schemas, objects)
def test_the_quick_check_passes_only_what_has_no_causes(schema: Any, value: Any) -> None:
    causes = compile_node(schema).check(value, "", ABSENT).causes
    assert (SchemaValidator(schema).validate(value) == []) == (not causes)


@FEW
@given(schemas, objects)
def test_an_object_that_does_not_change_stays_valid(schema: Any, value: Any) -> None:
    assert SchemaValidator(schema).validate(value, copy.deepcopy(value)) == []


@FEW
@given(st.lists(scalars, max_size=6))
def test_a_set_has_a_cause_for_each_value_that_comes_again(items: list[Any]) -> None:
    schema = compile_schema(
        {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    )
    seen: dict[bytes, int] = {}
    for one in items:
        text = orjson.dumps(one)
        seen[text] = seen.get(text, 0) + 1
    repeated = sum(count > 1 for count in seen.values())
    assert len(list(validate_list_types(items, schema))) == repeated
