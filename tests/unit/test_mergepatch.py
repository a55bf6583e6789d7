"""JSON merge patches."""

import copy
from typing import Any

import pytest

from services.apiserver.errors import BadRequest, Invalid
from services.apiserver.patching import mergepatch


@pytest.mark.parametrize(
    ("current", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b"}, {"c": None}, {"a": "b"}),
        ({"a": ["b"]}, {"a": ["c", "d"]}, {"a": ["c", "d"]}),
        ({"a": {"b": "c", "d": "e"}}, {"a": {"b": None, "f": 1}}, {"a": {"d": "e", "f": 1}}),
        ({"a": {"b": "c"}}, {"a": [1]}, {"a": [1]}),
        ({"a": "b"}, {"a": {"c": None, "d": 1}}, {"a": {"d": 1}}),
        ({"a": None}, {"a": {"c": None}}, {"a": {}}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({}, {"a": [None, {"b": None}]}, {"a": [None, {}]}),
        ({"a": {}}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_a_patch_is_merged(current: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((current, patch))
    assert mergepatch.apply(current, patch) == result
    assert (current, patch) == before


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'"x"', b'{"a": '])
def test_what_is_no_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        mergepatch.parse(raw)


def test_repeated_fields_are_told_and_the_last_wins() -> None:
    patch = mergepatch.parse(b'{"a":{"x":1},"a":{"y":2}}')
    assert patch.value == {"a": {"y": 2}}
    assert patch.duplicates == ('duplicate field "a"',)


def test_values_nested_too_deeply_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(50_000):
        deep = {"a": deep}
    with pytest.raises(Invalid):
        mergepatch.apply({}, deep)
