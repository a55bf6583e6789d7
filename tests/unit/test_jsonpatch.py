"""JSON Patch applies, and fails, as in the library that kube-apiserver uses."""

import copy
import json
from typing import Any

import pytest

from services.apiserver.errors import BadRequest, Invalid, RequestTooLarge
from services.apiserver.patching import jsonpatch


def patched(current: Any, *operations: Any) -> Any:
    """Apply operations to a document, and check that it stays as it was."""
    before = copy.deepcopy(current)
    result = jsonpatch.apply(current, jsonpatch.parse(json.dumps(operations).encode()))
    assert current == before
    return result


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"a": 1}, add("/b", 2), {"a": 1, "b": 2}),
        ({"a": 1}, add("/a", 2), {"a": 2}),
        ({"a": [1, 3]}, add("/a/1", 2), {"a": [1, 2, 3]}),
        ({"a": [1]}, add("/a/-", 2), {"a": [1, 2]}),
        ({"a": [1]}, add("/a/1", 2), {"a": [1, 2]}),
        ({"a": [1]}, add("/a/-1", 2), {"a": [1, 2]}),
        ({"a": [1]}, add("/a/-2", 2), {"a": [2, 1]}),
        ({"a": {}}, add("/a/-", 2), {"a": {"-": 2}}),
        ({}, add("/", 1), {"": 1}),
        ({}, add("/a~1b~0c~01", 1), {"a/b~c~1": 1}),
        ({}, add("a/b", 1), {"b": 1}),
        ({}, {"op": "add", "path": "/a"}, {"a": None}),
        ({"a": 1}, {"op": "remove", "path": "/a"}, {}),
        ({"a": [1, 2]}, {"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"a": [1, 2]}, {"op": "remove", "path": "/a/-1"}, {"a": [1]}),
        ({"a": 1}, {"op": "replace", "path": "/a", "value": 2}, {"a": 2}),
        ({}, {"op": "replace", "path": "/a", "value": 2}, {"a": 2}),
        ({"a": [1, 2]}, {"op": "replace", "path": "/a/-1", "value": 3}, {"a": [1, 3]}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 1}}, {"b": 1}),
        ({"a": 1}, {"op": "move", "from": "/a", "path": "/b"}, {"b": 1}),
        ({"a": [1, 2]}, {"op": "move", "from": "/a/1", "path": "/a/0"}, {"a": [2, 1]}),
        (
            {"a": {"b": 1}},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"a": {"b": 1}, "c": {"b": 1}},
        ),
        ({"a": 1}, {"op": "test", "path": "/a", "value": 1}, {"a": 1}),
        ({"a": None}, {"op": "test", "path": "/a", "value": None}, {"a": None}),
        (
            {"a": {"b": [1]}},
            {"op": "test", "path": "", "value": {"a": {"b": [1]}}},
            {"a": {"b": [1]}},
        ),
    ],
)
def test_an_operation_changes_the_document(document: Any, operation: Any, result: Any) -> None:
    assert patched(document, operation) == result


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({"a": 1}, {"op": "remove", "path": "/b"}),
        ({"a": 1}, {"op": "remove", "path": ""}),
        ({"a": [1]}, {"op": "remove", "path": "/a/1"}),
        ({"a": [1]}, {"op": "remove", "path": "/a/-2"}),
        ({"a": [1]}, {"op": "remove", "path": "/a/x"}),
        ({"a": 1}, add("/b/c", 1)),
        ({"a": 1}, add("/a/c", 1)),
        ({"a": None}, add("/a/c", 1)),
        ({"a": 1}, add("", {})),
        ({"a": [1]}, add("/a/3", 1)),
        ({"a": [1]}, add("/a/-3", 1)),
        ({"a": [1]}, {"op": "replace", "path": "/a/-", "value": 1}),
        ({"a": [1]}, {"op": "replace", "path": "/a/1", "value": 1}),
        ({"a": 1}, {"op": "replace", "path": "", "value": 1}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": 2}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": 1.0}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": True}),
        ({"a": 1}, {"op": "test", "path": "/b", "value": None}),
        ({"a": 1}, {"op": "move", "from": "/b", "path": "/c"}),
        ({"a": 1}, {"op": "move", "path": "/c"}),
        ({"a": 1}, {"op": "copy", "from": "/b", "path": "/c"}),
        ({"a": 1}, {"op": "explode", "path": "/a"}),
        ({"a": 1}, {"op": "add", "value": 1}),
        ({"a": 1}, {}),
        ({"a": 1}, None),
    ],
)
def test_what_does_not_apply_is_invalid_with_empty_details(document: Any, operation: Any) -> None:
    with pytest.raises(Invalid) as caught:
        patched(document, operation)
    assert caught.value.details == {}


def test_operations_see_the_changes_before_them() -> None:
    assert patched(
        {}, add("/a", [1]), add("/a/-", 2), {"op": "test", "path": "/a/1", "value": 2}
    ) == {"a": [1, 2]}


def test_a_patch_can_be_applied_again() -> None:
    patch = jsonpatch.parse(json.dumps([add("/a", []), add("/a/-", 1)]).encode())
    assert jsonpatch.apply({}, patch) == jsonpatch.apply({}, patch) == {"a": [1]}


@pytest.mark.parametrize("raw", [b"", b"[", b"{}", b'"x"', b"[1]", b'[{"op":1}]', b'[{"path":[]}]'])
def test_what_is_no_list_of_operations_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        jsonpatch.parse(raw)


def test_too_many_operations_are_too_large() -> None:
    operations = [add("/a", 1)] * jsonpatch.MAX_OPERATIONS
    assert len(jsonpatch.parse(json.dumps(operations).encode()).operations) == 10_000
    with pytest.raises(RequestTooLarge):
        jsonpatch.parse(json.dumps([*operations, add("/a", 1)]).encode())


def test_unknown_and_repeated_fields_are_told() -> None:
    patch = jsonpatch.parse(b'[{"op":"add","path":"/a","path":"/b","value":1,"x":1}]')
    assert patch.problems == (
        'json patch duplicate field "[0].path"',
        'json patch unknown field "[0].x"',
    )


def test_copies_cannot_blow_a_document_up() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(60)]
    with pytest.raises(Invalid):
        patched({"a": ["x" * 1000]}, *doubling)


def test_nesting_cannot_grow_without_bound() -> None:
    deeper = [{"op": "replace", "path": "/a" * n, "value": {"a": {}}} for n in range(1, 400)]
    with pytest.raises(Invalid):
        patched({}, *deeper)
