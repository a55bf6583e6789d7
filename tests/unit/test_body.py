"""Request bodies become JSON values as in kube-apiserver's JSON and YAML decoders."""

from typing import Any

import orjson
import pytest

from services.apiserver.codec import decode_body
from services.apiserver.codec.body import MAX_DEPTH
from services.apiserver.errors import BadRequest

YAML = "application/yaml"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"null", None),
        (b"{}", {}),
        (b' {"a": [1, -2, 1.5, true, null, "x"]} ', {"a": [1, -2, 1.5, True, None, "x"]}),
        (b'{"a":"\xff"}', {"a": "�"}),
        (b'{"a":"\\ud800x","\\udc00":["\\ud83d\\ude00"]}', {"a": "�x", "�": ["😀"]}),
        (b'["\\ud800", {"a": ["\\udfff"]}]', ["�", {"a": ["�"]}]),
        (b'{"a":18446744073709551616}', {"a": 1.8446744073709552e19}),
        (b'{"":1}', {"": 1}),
    ],
)
def test_json_is_read_as_go_reads_it(raw: bytes, value: Any) -> None:
    body = decode_body(raw)
    assert body.value == value
    assert body.duplicates == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1} {}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b"{'a':1}",
        b'{"a":01}',
        b"\xef\xbb\xbf{}",
        b"a: 1",
        b"[" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"a":' + b"[" * 2000 + b"]" * 2000 + b',"a":1}',
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_malformed_json_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_body(raw)


def test_nesting_is_limited_so_that_every_value_can_be_printed() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert orjson.dumps([decode_body(deepest).value])
    with pytest.raises(BadRequest):
        decode_body(b"[" + deepest + b"]")


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        (b'{"a":1,"a":2}', ["a"]),
        (b'{"a":{"b":1,"b":2},"c":[{"d":1,"d":2}]}', ["a.b", "c[0].d"]),
        (b'{"a":1,"\\u0061":2}', ["a"]),
        (b'{"a":":::","a":":"}', ["a"]),
        (b'{"a" : 1 , "a" : {"b": 2}}', ["a"]),
        (b'{"a":"\\u003a","a":""}', ["a"]),
        (b'{"a":"\\u003A:"}', []),
        (b'{"a:":":","b":":"}', []),
    ],
)
def test_repeated_fields_are_told_by_path(raw: bytes, paths: list[str]) -> None:
    assert list(decode_body(raw).duplicates) == [f'duplicate field "{path}"' for path in paths]


def test_of_repeated_fields_the_last_scalar_wins_and_objects_merge() -> None:
    raw = b'{"k":"a","k":"b","m":{"x":1,"o":{"p":1}},"m":{"y":2,"o":{"q":2}}}'
    assert decode_body(raw).value == {"k": "b", "m": {"x": 1, "y": 2, "o": {"p": 1, "q": 2}}}
    assert decode_body(raw, merge_repeated=False).value == {"k": "b", "m": {"y": 2, "o": {"q": 2}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: y", {"a": True}),
        ("a: No", {"a": False}),
        ("a: off", {"a": False}),
        ("a: 'y'", {"a": "y"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: 010", {"a": 8}),
        ("a: 0x1F", {"a": 31}),
        ("a: 0b11", {"a": 3}),
        ("a: 0o17", {"a": 15}),
        ("a: 089", {"a": 89}),
        ("a: 1_000", {"a": 1000}),
        ("a: 1e3", {"a": 1000}),
        ("a: 1.5", {"a": 1.5}),
        ("a: +.5", {"a": 0.5}),
        ("a: 1.2.3", {"a": "1.2.3"}),
        ("a: 190:20:30", {"a": "190:20:30"}),
        ("a: 2001-01-01", {"a": "2001-01-01"}),
        ("a: 18446744073709551616", {"a": 18446744073709551616.0}),
        ("a: 18446744073709551615", {"a": 18446744073709551615}),
        ("a: !!str 5", {"a": "5"}),
        ("a: !!int '5'", {"a": 5}),
        ("a: !custom 5", {"a": "5"}),
        ("a: !!binary aGk=", {"a": "hi"}),
        ("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}),
        ("a: &x {p: 1}\nb: *x", {"a": {"p": 1}, "b": {"p": 1}}),
        (
            "a: &x {p: 1, q: 1}\nb:\n  <<: *x\n  q: 2",
            {"a": {"p": 1, "q": 1}, "b": {"p": 1, "q": 2}},
        ),
        ("a: 1\n---\nb: 2", {"a": 1}),
        ("# only a comment", None),
        ('{"json": [true]}', {"json": [True]}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ],
)
def test_yaml_follows_version_1_1_as_go_yaml_reads_it(text: str, value: Any) -> None:
    result = decode_body(text.encode(), YAML).value
    assert result == value
    assert orjson.dumps(result) == orjson.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [b",
        "a: .nan",
        "a: .inf",
        "a: *missing",
        "? [a]\n: b",
        "null: a",
        "a: !!int x",
        "<<: 1",
        "[" * 1000,
        "- " * 1000 + "a",
        "a: &x [*x]",
        "a: \x00",
    ],
)
def test_malformed_yaml_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        decode_body(text.encode(), YAML)


def test_yaml_that_is_not_utf8_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        decode_body(b"a: \xff", YAML)


def test_aliases_cannot_blow_a_body_up() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(BadRequest, match="excessive aliasing"):
        decode_body("\n".join(lines).encode(), YAML)


def test_an_alias_is_a_copy() -> None:
    value = decode_body(b"a: &x {p: 1}\nb: *x", YAML).value
    assert value["a"] is not value["b"]


def test_repeated_yaml_keys_are_told_by_line_and_the_last_wins() -> None:
    body = decode_body(b"k: a\nm: 1\nk: b\n", YAML)
    assert body.value == {"k": "b", "m": 1}
    assert body.duplicates == ('yaml: unmarshal errors: line 3: key "k" already set in map',)
