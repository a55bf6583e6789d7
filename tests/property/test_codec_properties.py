"""Decoding is safe on any JSON, stable on its own results, and never drops what is known."""

from __future__ import annotations

import copy
import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.apiserver.codec import codec_for, decode_body, encode
from services.apiserver.codec.facts import definitions, fields_of
from services.apiserver.codec.typed import decoder_for, zero_of
from services.apiserver.errors import ApiError

KINDS = [
    ("", "v1", "Pod"),
    ("", "v1", "Secret"),
    ("", "v1", "Event"),
    ("apps", "v1", "ControllerRevision"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=5),
    "bool": st.booleans(),
    "int32": st.integers(-3, 3),
    "int64": st.integers(-3, 3),
    "float64": st.sampled_from([0, 1, 1.5, 1e30]),
    "bytes": st.sampled_from(["", "aGk=", "aGl="]),
    "time": st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5+02:00"]),
    "microtime": st.just("2024-01-01T00:00:00.123456Z"),
    "duration": st.just("90s"),
    "quantity": st.sampled_from(["0", "1", "0.5", "1024Mi", 3]),
    "intorstring": st.sampled_from([0, 80, "http", "25%"]),
    "raw": anything,
    "schemaorbool": st.booleans(),
    "schemaorarray": st.just({}),
    "schemaorstrings": st.sampled_from([{}, ["a"]]),
}


def values_of(type_: str, depth: int) -> st.SearchStrategy[Any]:
    """Return values that fit a Go type, nulls and empty ones among them."""
    type_ = type_.lstrip("*")
    if type_ in LEAVES:
        return st.none() | LEAVES[type_]
    if depth <= 0:
        return st.none() | st.just([] if type_.startswith("[]") else {})
    if type_.startswith("[]"):
        return st.none() | st.lists(values_of(type_[2:], depth - 1), max_size=2)
    if type_.startswith("map:"):
        entries = st.dictionaries(st.text(max_size=4), values_of(type_[4:], depth - 1), max_size=2)
        return st.none() | entries
    return struct_values(type_, depth)


@st.composite
def struct_values(draw: st.DrawFn, definition: str, depth: int) -> Any:
    fields = fields_of(definition)
    if not fields:
        return {}
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True))
    return {name: draw(values_of(fields[name].type, depth - 1)) for name in names}


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk[2])
@given(value=anything)
@settings(max_examples=50, deadline=None)
def test_any_json_is_decoded_or_refused(gvk: tuple[str, str, str], value: Any) -> None:
    before = copy.deepcopy(value)
    try:
        decoded = codec_for(*gvk).decode(value)
    except ApiError:
        decoded = {}
    assert value == before
    encode(decoded)


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk[2])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_decoding_is_idempotent_and_survives_storage(
    gvk: tuple[str, str, str], data: st.DataObject
) -> None:
    codec = codec_for(*gvk)
    value = data.draw(struct_values(codec.definition, 7))
    decoded = codec.decode(value)
    assert codec.decode(decoded) == decoded
    assert codec.decode(orjson.loads(encode(decoded))) == decoded


def test_the_zero_value_of_every_type_decodes_to_itself() -> None:
    for definition in definitions():
        zero = zero_of(definition)
        assert decoder_for(definition)(zero, []) == zero, definition


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_body_or_a_bad_request(raw: bytes) -> None:
    for media_type in ("application/json", "application/yaml"):
        try:
            body = decode_body(raw, media_type)
        except ApiError:
            continue
        orjson.dumps(body.value)


@given(anything)
@settings(max_examples=200, deadline=None)
def test_json_reads_the_same_as_json_and_as_what_the_standard_library_reads(value: Any) -> None:
    raw = json.dumps(value).encode()
    body = decode_body(raw)
    assert body.value == value
    assert body.duplicates == ()
