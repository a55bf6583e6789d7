"""Request bodies that no client should send: the server refuses them and goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.hostile import (
    CONFIGMAPS,
    DEPLOYMENTS,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    PROTOBUF,
    STRATEGIC_PATCH,
    YAML,
    Hostile,
)

bounded = settings(max_examples=150, deadline=None)

WAYS = (
    ("POST", CONFIGMAPS, JSON),
    ("POST", CONFIGMAPS, YAML),
    ("PUT", f"{CONFIGMAPS}/kept", JSON),
    ("PUT", f"{CONFIGMAPS}/kept", YAML),
    ("PATCH", f"{CONFIGMAPS}/kept", JSON_PATCH),
    ("PATCH", f"{CONFIGMAPS}/kept", MERGE_PATCH),
    ("PATCH", f"{CONFIGMAPS}/kept", STRATEGIC_PATCH),
    ("DELETE", f"{CONFIGMAPS}/absent", JSON),
    ("DELETE", f"{CONFIGMAPS}/absent", YAML),
    ("POST", "/api/v1/namespaces/default/bindings", JSON),
    ("PUT", f"{DEPLOYMENTS}/kept/scale", JSON),
    ("PUT", f"{DEPLOYMENTS}/kept/status", YAML),
)

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n\t",
    "null": b"null",
    "a number": b"1",
    "a string": b'"x"',
    "a list": b"[]",
    "cut off": b'{"metadata":',
    "two values": b"{}{}",
    "a trailing comma": b'{"metadata":{},}',
    "lists within lists": b"[" * 100_000,
    "objects within objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep data": b'{"metadata":{"name":"x"},"data":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    "a deep annotation": b'{"metadata":{"annotations":{"a":' + b"[" * 500 + b"]" * 500 + b"}}}",
    "a float beyond the largest": b'{"metadata":{"name":"x","generation":1e400}}',
    "a very long number": b'{"metadata":{"name":"x","generation":' + b"9" * 100_000 + b"}}",
    "not a number": b'{"metadata":{"name":"x","generation":NaN}}',
    "UTF-16": '{"metadata":{"name":"x"}}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"metadata":{}}',
    "Latin-1": b'{"metadata":{"name":"\xe4\xff"}}',
    "an escaped zero": b'{"metadata":{"name":"x\\u0000y"}}',
    "half a surrogate pair": b'{"metadata":{"name":"x\\ud800"},"data":{"\\udfff":"\\ud800"}}',
    "metadata that is a list": b'{"metadata":[]}',
    "metadata that is null": b'{"metadata":null}',
    "a name that is a number": b'{"metadata":{"name":5}}',
    "a kind that is a number": b'{"kind":5,"apiVersion":[]}',
    "another kind": b'{"kind":"Pod","apiVersion":"v1"}',
    "a strange version": b'{"kind":"ConfigMap","apiVersion":"a/b/c"}',
    "labels of all sorts": b'{"metadata":{"labels":{"a":null,"b":{},"c":5}}}',
    "a set version": b'{"metadata":{"name":"kept","resourceVersion":"5"}}',
    "a version that is none": b'{"metadata":{"name":"kept","resourceVersion":"abc"}}',
    "a time that is none": b'{"metadata":{"name":"x","creationTimestamp":"9999-99-99T00:00:00Z"}}',
    "null owners": b'{"metadata":{"name":"x","ownerReferences":[null,{"uid":5}]}}',
    "null finalizers": b'{"metadata":{"name":"x","finalizers":[null]}}',
    "odd managed fields": b'{"metadata":{"name":"owned","managedFields":[{"fieldsV1":5}]}}',
    "a path as a name": b'{"metadata":{"name":"../../kept"}}',
    "a long prefix": b'{"metadata":{"generateName":"' + b"a" * 100_000 + b'"}}',
    "too much": b'{"data":{"a":"' + b"x" * 3_200_000 + b'"}}',
    "almost too much": b'{"data":{"a":"' + b"x" * 2_000_000 + b'"}}',
    "fields that repeat": b'{"metadata":{"name":"a"},"metadata":{"name":"b"}}',
    "many unknown fields": b"{" + b",".join(b'"f%d":1' % n for n in range(50_000)) + b"}",
    "one field many times": b"{" + b",".join([b'"f":1'] * 50_000) + b"}",
    "a long unknown field": b'{"' + b"f" * 500_000 + b'":1}',
    "a field with line breaks": b'{"a\\r\\nWarning: 199 - \\"x\\"\\u0000\\u2028":1}',
    "wrong propagation": b'{"propagationPolicy":"Sideways","dryRun":["x"],"gracePeriodSeconds":-9}',
    "preconditions of all sorts": b'{"preconditions":{"uid":5,"resourceVersion":[]}}',
    "a binding to nowhere": b'{"target":null}',
    "a scale that is none": b'{"metadata":{"name":"kept"},"spec":{"replicas":1e99}}',
}

YAML_BODIES: dict[str, bytes] = {
    "aliases that multiply": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [%b]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 106)
    ),
    "an alias of itself": b"&a [*a]",
    "an unknown alias": b"a: *b",
    "a Python object": b'!!python/object/apply:os.system ["true"]',
    "a list as a key": b"? [a]\n: b",
    "a merge of a number": b"<<: 5",
    "flow without end": b"{" * 100_000,
    "lists without end": b"- " * 100_000,
    "many lines": b"a: b\n" * 100_000,
    "a very long number": b"metadata: {generation: " + b"9" * 500_000 + b"}",
    "a number of underscores": b"metadata: {generation: " + b"1_" * 500_000 + b"}",
    "a huge exponent": b"metadata: {generation: 1e" + b"9" * 10_000 + b"}",
    "empty documents": b"---\n---\n...\n",
    "another YAML": b"%YAML 9.9\n---\na: b",
    "bad base64": b"a: !!binary " + b"=" * 10_000,
    "sexagesimal": b"metadata: {name: 1:60:60}",
    "control characters": b"a: \x01\x02",
    "tabs": b"\ta:\n\t\tb",
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused_wherever_it_is_sent(what: str, hostile: Hostile) -> None:
    for method, path, content_type in WAYS:
        hostile.ask(method, path, BODIES[what], content_type)


@pytest.mark.parametrize("what", YAML_BODIES)
def test_bad_yaml_is_refused(what: str, hostile: Hostile) -> None:
    for method, path, content_type in WAYS:
        if content_type == YAML:
            assert hostile.ask(method, path, YAML_BODIES[what], YAML).status >= 400


FIELDS = [
    *("name", "namespace", "uid", "labels", "annotations", "finalizers", "ownerReferences"),
    *("spec", "status", "data", "template", "containers", "selector", "matchLabels", "replicas"),
    *("kind", "apiVersion", "metadata", "ports", "resourceVersion", "generateName", "$patch"),
    *("deletionTimestamp", "managedFields"),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["1", "a", "80", "1Gi", "*", "", "2020-01-01T00:00:00Z", "/", "10.0.0.1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@bounded
@given(way=st.sampled_from(WAYS), body=st.binary(max_size=200))
def test_any_bytes_are_answered(hostile_client: Hostile, way: Any, body: bytes) -> None:
    method, path, content_type = way
    hostile_client.ask(method, path, body, content_type)


@bounded
@given(
    way=st.sampled_from(WAYS),
    value=st.fixed_dictionaries({}, optional={"metadata": json_values, "spec": json_values})
    | json_values,
)
def test_any_json_is_answered(hostile_client: Hostile, way: Any, value: Any) -> None:
    method, path, content_type = way
    hostile_client.ask(method, f"{path}?dryRun=All", json.dumps(value).encode(), content_type)


@bounded
@given(value=json_values, at=st.integers(0, 400), junk=st.binary(max_size=4), cut=st.integers(0, 4))
def test_json_with_a_few_wrong_bytes_is_answered(
    hostile_client: Hostile, value: Any, at: int, junk: bytes, cut: int
) -> None:
    whole = json.dumps({"metadata": {"generateName": "x"}, "data": value}).encode()
    at %= len(whole)
    body = whole[:at] + junk + whole[at + cut :]
    for content_type in (JSON, YAML):
        hostile_client.ask("POST", f"{CONFIGMAPS}?dryRun=All", body, content_type)


def envelope(kind: bytes, message: bytes) -> bytes:
    type_meta = b"\x0a\x02v1\x12%c%b" % (len(kind), kind)
    return b"k8s\x00\x0a%c%b\x12%b%b" % (len(type_meta), type_meta, varint(len(message)), message)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


@bounded
@given(
    way=st.sampled_from([way for way in WAYS if way[0] != "PATCH"]),
    body=st.binary(max_size=100).map(lambda junk: b"k8s\x00" + junk)
    | st.builds(
        envelope, st.sampled_from([b"ConfigMap", b"Pod", b"Nothing"]), st.binary(max_size=100)
    )
    | st.just(envelope(b"ConfigMap", b"\x0b" * 10_000))
    | st.just(envelope(b"ConfigMap", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")),
)
def test_broken_protobuf_is_answered(hostile_client: Hostile, way: Any, body: bytes) -> None:
    method, path, _ = way
    hostile_client.ask(method, path, body, PROTOBUF)


@bounded
@given(content_type=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_any_content_type_is_answered(hostile_client: Hostile, content_type: str) -> None:
    for method, path in (("POST", CONFIGMAPS), ("PATCH", f"{CONFIGMAPS}/kept")):
        hostile_client.ask(method, f"{path}?dryRun=All", b"{}", content_type)


@pytest.mark.parametrize(
    "manifest",
    [
        {"metadata": {"ownerReferences": [{"uid": f"u{n}"} for n in range(20_000)]}},
        {"metadata": {"ownerReferences": [{"uid": "same"}] * 20_000}},
        {"metadata": {"finalizers": [f"a/b{n}" for n in range(100_000)]}},
        {"metadata": {"labels": {f"l{n}": "v" for n in range(100_000)}}},
        {"data": {f"k{n}": "v" for n in range(100_000)}},
        {"data": {f"../{n}": "v" for n in range(50_000)}},
    ],
    ids=lambda manifest: json.dumps(manifest)[:50],
)
def test_a_body_of_very_many_parts_is_answered_in_time(
    hostile: Hostile, manifest: dict[str, Any]
) -> None:
    body = {"metadata": {}, **manifest}
    body["metadata"]["name"] = "many"
    hostile.ask("POST", f"{CONFIGMAPS}?dryRun=All", json.dumps(body).encode())


def test_all_warnings_together_stay_below_four_thousand_characters(hostile: Hostile) -> None:
    fields = b",".join(b'"f%d":1' % number for number in range(10_000))
    body = b'{"metadata":{"name":"x"},"long%b":1,%b}' % (b"g" * 100_000, fields)
    answer = hostile.ask("POST", f"{CONFIGMAPS}?dryRun=All", body)
    assert answer.status == 201
    texts = [warning.removeprefix('299 - "')[:-1].replace("\\", "") for warning in answer.warnings]
    assert texts[0] == 'unknown field "long' + "g" * 237
    assert sum(map(len, texts)) < 4096 + 256


@pytest.fixture(scope="module", autouse=True)
def server_is_well_in_the_end(hostile_client: Hostile) -> Any:
    yield
    hostile_client.check_the_server_is_well()
