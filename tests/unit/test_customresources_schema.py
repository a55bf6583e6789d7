"""Schemas of custom resources: causes as kube-apiserver's, pruning, defaulting, numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.apiserver.codec import DecodeError, FieldReport
from services.apiserver.customresources.codec import StructuralCodec, copied
from services.apiserver.customresources.correlation import ABSENT
from services.apiserver.customresources.defaulting import set_defaults
from services.apiserver.customresources.embedded import validate_embedded
from services.apiserver.customresources.listtypes import validate_list_types
from services.apiserver.customresources.schemavalidation import SchemaValidator
from services.apiserver.customresources.structural import compile_schema
from services.apiserver.customresources.versionschema import VersionSchema
from services.apiserver.validation.formats import FORMATS
from services.apiserver.validation.goregexp import compile_pattern
from tests.unit.kindtools import shown

STRING = {"type": "string"}
PRESERVING = {"x-kubernetes-preserve-unknown-fields": True}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def causes(schema: Any, value: Any, old: Any = ABSENT) -> list[str]:
    return shown(SchemaValidator(schema).validate(value, old))


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (of(a={"type": "integer"}), {"a": "1"}, ["TypeInvalid a"]),
        (of(a={"type": "integer"}), {"a": 1.5}, ["TypeInvalid a", "Invalid <nil>"]),
        (of(a={"type": "integer", "format": "int32"}), {"a": 2**31}, ["Invalid <nil>"]),
        (of(a={"type": "integer"}), {"a": 2**63}, ["TypeInvalid a", "Invalid <nil>"]),
        (of(a={"type": "boolean"}), {"a": 1}, ["TypeInvalid a"]),
        (of(a={"type": "array", "items": STRING}), {"a": {}}, ["TypeInvalid a"]),
        (of(a={"type": "array", "items": STRING}), {"a": ["x", 1]}, ["TypeInvalid a[1]"]),
        (
            of(a={"type": "object", "additionalProperties": STRING}),
            {"a": {"b/c": 1}},
            ["TypeInvalid a.b/c"],
        ),
        (of(a={**STRING, "enum": ["x"]}), {"a": "y"}, ["NotSupported a"]),
        (of(a={**STRING, "maxLength": 1}), {"a": "yy"}, ["TooLong a"]),
        (of(a={**STRING, "minLength": 1}), {"a": ""}, ["Invalid a"]),
        (of(a={**STRING, "pattern": "^x$"}), {"a": "x\n"}, ["Invalid a"]),
        (of(a={**STRING, "format": "date-time"}), {"a": "today"}, ["TypeInvalid a"]),
        (of(a={"type": "array", "maxItems": 1, "items": STRING}), {"a": ["x", "y"]}, ["TooMany a"]),
        (of(a={"type": "object", "maxProperties": 0}), {"a": {"b": 1}}, ["TooMany a"]),
        (of(a={"type": "object", "minProperties": 1}), {"a": {}}, ["Invalid a"]),
        (of(a={"type": "number", "maximum": 1, "exclusiveMaximum": True}), {"a": 1}, ["Invalid a"]),
        (of(a={"type": "number", "multipleOf": 0.1}), {"a": 0.35}, ["Invalid a"]),
        ({**of(a=STRING), "required": ["a", "b"]}, {}, ["Required a", "Required b"]),
        (of(a={**STRING, "nullable": True}), {"a": None}, []),
        (of(a=STRING), {"a": None}, ["TypeInvalid a"]),
        (of(a={"x-kubernetes-int-or-string": True}), {"a": True}, ["TypeInvalid a"]),
        (
            of(a={"type": "integer", "allOf": [{"minimum": 2}]}),
            {"a": 1},
            ["Invalid a", "Invalid <nil>"],
        ),
        (
            of(a={**STRING, "anyOf": [{"pattern": "^x"}, {"maxLength": 2}]}),
            {"a": "long"},
            ["Invalid <nil>", "Invalid a"],
        ),
        (
            {**of(), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            ["Invalid <nil>", "Required a"],
        ),
        (
            {**of(), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 1},
            ["Invalid <nil>"],
        ),
        ({**of(), "not": {"required": ["a"]}}, {"a": 1}, ["Invalid <nil>"]),
    ],
)
def test_a_value_that_does_not_fit_has_these_causes(
    schema: Any, value: Any, expected: list[str]
) -> None:
    assert causes(schema, value) == expected


def test_what_has_not_changed_passes_a_schema_that_was_tightened() -> None:
    schema = of(a={**STRING, "maxLength": 1}, b=STRING)
    old = {"a": "long", "b": "x"}
    assert causes(schema, {"a": "long", "b": "y"}, old) == []
    assert causes(schema, {"a": "longer", "b": "x"}, old) == ["TooLong a"]


def test_items_of_keyed_lists_are_known_by_their_keys_and_others_are_not() -> None:
    items = of(k=STRING, v={**STRING, "maxLength": 1})
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": items,
    }
    plain = {"type": "array", "items": {**STRING, "maxLength": 1}}
    old = {"keyed": [{"k": "a", "v": "long"}, {"k": "b"}], "plain": ["long", "x"]}
    schema = of(keyed=keyed, plain=plain)
    assert causes(schema, {**old, "keyed": old["keyed"][::-1]}, old) == []
    assert causes(schema, {**old, "plain": old["plain"][::-1]}, old) == ["TooLong plain[1]"]


@pytest.mark.parametrize(
    ("schema", "value", "expected", "unknown"),
    [
        (of(a=STRING), {"a": "x", "b": 1}, {"a": "x"}, ["b"]),
        (of(a=of()), {"a": {"b": {"c": 1}}}, {"a": {}}, ["a.b"]),
        (
            of(a={"type": "array", "items": of(b=STRING)}),
            {"a": [{"b": "x", "c": 1}]},
            {"a": [{"b": "x"}]},
            ["a[0].c"],
        ),
        (
            of(a={**of(b=of()), **PRESERVING}),
            {"a": {"x": {"y": 1}, "b": {"z": 1}}},
            {"a": {"x": {"y": 1}, "b": {}}},
            ["a.b.z"],
        ),
        (of(a=PRESERVING), {"a": [{"x": None}]}, {"a": [{"x": None}]}, []),
        (
            of(a={"type": "object", "additionalProperties": True}),
            {"a": {"x": {"y": 1}}},
            {"a": {"x": {}}},
            ["a.x.y"],
        ),
        (of(a=STRING), {"a": None}, {}, []),
        (of(a={**STRING, "default": "d"}), {"a": None}, {"a": None}, []),
        (
            of(),
            {"metadata": {"name": "x", "odd": 1}},
            {"metadata": {"name": "x"}},
            ["metadata.odd"],
        ),
    ],
)
def test_decoding_prunes_and_reports(
    schema: Any, value: Any, expected: Any, unknown: list[str]
) -> None:
    report = FieldReport()
    codec = StructuralCodec("g", "v1", "Widget", VersionSchema(schema))
    assert codec.decode(value, report=report) == expected
    assert report.messages == [f'unknown field "{path}"' for path in unknown]


@pytest.mark.parametrize(
    "value", [[1], "x", {"metadata": 5}, {"metadata": {"labels": [1]}}, {"metadata": {"name": 1}}]
)
def test_a_body_that_is_no_object_of_the_kind_is_refused(value: Any) -> None:
    codec = StructuralCodec("g", "v1", "Widget", VersionSchema(of()))
    with pytest.raises(DecodeError):
        codec.decode(value)


def test_reading_what_is_stored_never_fails_and_adds_late_defaults() -> None:
    embedded = {**of(), "x-kubernetes-embedded-resource": True}
    schema = VersionSchema(of(a={**STRING, "default": "late"}, e=embedded))
    stored = {"metadata": {"name": "x"}, "gone": 1, "e": {"kind": 5, "metadata": {"labels": 1}}}
    StructuralCodec("g", "v1", "Widget", schema).read(stored)
    assert stored == {
        "metadata": {"name": "x", "generation": 1},
        "a": "late",
        "e": {"metadata": {}},
    }


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (of(a={**STRING, "default": "d"}), {}, {"a": "d"}),
        (of(a={**STRING, "default": "d"}), {"a": None}, {"a": "d"}),
        (of(a={**STRING, "default": "d", "nullable": True}), {"a": None}, {"a": None}),
        (of(a={**of(b={"type": "integer", "default": 1}), "default": {}}), {}, {"a": {"b": 1}}),
        (of(a=of(b={"type": "integer", "default": 1})), {}, {}),
        (
            of(a={"type": "array", "items": of(b={**STRING, "default": "d"})}),
            {"a": [{}]},
            {"a": [{"b": "d"}]},
        ),
        (
            of(a={"type": "object", "additionalProperties": {**STRING, "default": "d"}}),
            {"a": {"x": None}},
            {"a": {"x": "d"}},
        ),
    ],
)
def test_defaults_fill_what_is_missing(schema: Any, value: Any, expected: Any) -> None:
    set_defaults(value, compile_schema(schema))
    assert value == expected


@pytest.mark.parametrize(
    ("number", "kept"),
    [(2.0, 2), (1e3, 1000), (1.5, 1.5), (2**63, 9223372036854776000), (1e30, 1e30), (-3.0, -3)],
)
def test_numbers_are_kept_as_go_prints_them(number: Any, kept: Any) -> None:
    assert copied([number]) == [kept]
    assert type(copied(number)) is type(kept)


def test_doubled_items_of_sets_and_keyed_lists_are_told_once_each() -> None:
    schema = compile_schema(
        of(
            s={"type": "array", "x-kubernetes-list-type": "set", "items": STRING},
            m={
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": of(k=STRING),
            },
        )
    )
    value = {"s": ["a", "b", "a", "a"], "m": [{"k": "x"}, {"k": "y"}, {"k": "x", "v": 1}]}
    assert shown(list(validate_list_types(value, schema))) == ["Duplicate s[2]", "Duplicate m[2]"]


def test_embedded_resources_need_a_kind_and_good_labels() -> None:
    schema = compile_schema(of(t={**of(), "x-kubernetes-embedded-resource": True}))
    assert shown(validate_embedded({"t": {}}, schema)) == [
        "Required t.apiVersion",
        "Required t.kind",
    ]
    bad = {"apiVersion": "a/b/c", "kind": "Lower case", "metadata": {"labels": {"-x": "y"}}}
    assert shown(validate_embedded({"t": bad}, schema)) == [
        "Invalid t.apiVersion",
        "Invalid t.kind",
        "Invalid t.metadata.labels",
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("datetime", ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.5+01:00"], ["2024-01-02", ""]),
        ("date", ["2024-01-02"], ["2024-13-02", "20240102"]),
        ("ipv4", ["10.1.2.3"], ["fe80::1", "10.1.2"]),
        ("ipv6", ["fe80::1"], ["10.1.2.3"]),
        ("cidr", ["192.168.0.0/16"], ["192.168.0.0"]),
        ("uuid", ["6b1c1a4e-3a2d-4a53-9f3f-2d3a1a2b3c4d"], ["nope"]),
        ("byte", ["aGVsbG8="], ["%%%"]),
        ("email", ["a@example.com"], ["nope"]),
        ("uri", ["http://example.com/x"], ["not a uri"]),
        ("duration", ["22 ns", "1h30m", "3 days"], ["long", ""]),
        ("hostname", ["a.example.com"], ["under_score.example..com"]),
        ("mac", ["00:00:5e:00:53:01"], ["nope"]),
    ],
)
def test_a_format_takes_what_it_should(name: str, good: list[str], bad: list[str]) -> None:
    assert [FORMATS[name](one) for one in good] == [True] * len(good)
    assert [FORMATS[name](one) for one in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a\n", False),
        (r"^[[:alpha:]_]+\z", "ab_", True),
        (r"[\]x]+$", "]x]", True),
        (r"^\d+$", "\u0663", False),
        ("[]a]", "]", True),
    ],
)
def test_patterns_mean_what_they_mean_in_go(pattern: str, text: str, found: bool) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert bool(compiled.search(text)) is found


def test_what_is_no_pattern_compiles_to_nothing() -> None:
    assert compile_pattern("(") is None
    assert isinstance(compile_pattern("a"), re.Pattern)
