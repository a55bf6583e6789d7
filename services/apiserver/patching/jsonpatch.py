"""JSON Patch (RFC 6902), with the liberties of the library that kube-apiserver uses.

`replace` of a missing key adds it, indexes may be negative, a pointer's first part is
dropped whatever it is, and "" replaces the whole document. The Python library jsonpatch
follows the RFC in these points, and its answers could not be bent to these rules.
Source: github.com/evanphx/json-patch v4, patch.go; kube-apiserver v1.36.2,
apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.apiserver.codec.body import decode_body
from services.apiserver.errors import BadRequest, RequestTooLarge
from services.apiserver.patching.document import Object, copied, printed, unappliable

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""What all `copy` operations of one patch may add."""

_INDEX = re.compile(r"[+-]?[0-9]{1,18}")
_TEXT_FIELDS = ("op", "path", "from")
_FIELDS = frozenset((*_TEXT_FIELDS, "value"))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` and `source` are None where the client left them out."""

    kind: str
    path: str | None
    source: str | None
    value: Any = None


@dataclass(frozen=True, slots=True)
class JSONPatch:
    """The operations in order. `problems` are messages on unknown and repeated fields."""

    operations: Sequence[Operation]
    problems: tuple[str, ...] = ()

    @property
    def touches_metadata(self) -> bool:
        """Whether an operation is about the metadata, or the object, as a whole."""
        return any(
            pointer is None or pointer.split("/")[1:] in ([], ["metadata"])
            for operation in self.operations
            for pointer in (operation.path, operation.source or "/-")
        )


def parse(raw: bytes) -> JSONPatch:
    """Read a JSON Patch.

    Raises:
        BadRequest: not JSON, not a list of objects, or a field of the wrong type.
        RequestTooLarge: more than MAX_OPERATIONS.
    """
    body = decode_body(raw, merge_repeated=False)
    items = [] if body.value is None else body.value
    if not isinstance(items, list):
        raise BadRequest("error decoding patch: json: cannot unmarshal into a list of operations")
    problems = list(body.duplicates)
    operations = [_operation(number, item, problems) for number, item in enumerate(items)]
    if len(operations) > MAX_OPERATIONS:
        raise RequestTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
    return JSONPatch(operations, tuple(f"json patch {problem}" for problem in problems))


def apply(current: Object, patch: JSONPatch) -> Any:
    """Return a new document; it need not be an object any more.

    Raises:
        Invalid: an operation does not apply, or a test fails.
    """
    document = _Document(copied(current))
    for operation in patch.operations:
        change = _CHANGES.get(operation.kind)
        if change is None:
            raise unappliable(f"Unexpected kind: {operation.kind[:200]}")
        change(document, operation)
    printed(document.root)  # operations can nest deeper than any body
    return document.root


def _operation(number: int, item: Any, problems: list[str]) -> Operation:
    if item is None:
        item = {}
    if not isinstance(item, dict):
        raise BadRequest("error decoding patch: json: cannot unmarshal into an operation")
    for name in _TEXT_FIELDS:
        if not isinstance(item.get(name), str | None):
            raise BadRequest(f"error decoding patch: json: cannot unmarshal into field {name}")
    problems.extend(f'unknown field "[{number}].{name}"' for name in item if name not in _FIELDS)
    return Operation(item.get("op") or "", item.get("path"), item.get("from"), item.get("value"))


class _Document:
    """The document under change, and what its operations have copied so far."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._copied_bytes = 0

    def add(self, operation: Operation) -> None:
        self._add_at(_path(operation), copied(operation.value))

    def remove(self, operation: Operation) -> None:
        self._remove_at(_path(operation))

    def replace(self, operation: Operation) -> None:
        path = _path(operation)
        if path == "":
            if not isinstance(operation.value, dict | list):
                raise unappliable("replace operation value must be object or array")
            self.root = copied(operation.value)
            return
        container, key = self._find(path)
        if isinstance(container, list):
            container[_existing(container, key)] = copied(operation.value)
        else:
            container[key] = copied(operation.value)

    def move(self, operation: Operation) -> None:
        self._add_at(_path(operation), self._remove_at(_source(operation)))

    def copy(self, operation: Operation) -> None:
        value = self._get(_source(operation))
        size = len(printed(value))
        self._copied_bytes += size
        if self._copied_bytes > MAX_COPIED_BYTES:
            raise unappliable(
                f"Unable to complete the copy, the accumulated size increase of copy is "
                f"{self._copied_bytes}, exceeding the limit {MAX_COPIED_BYTES}"
            )
        self._add_at(_path(operation), copied(value))

    def test(self, operation: Operation) -> None:
        path = _path(operation)
        value = self.root if path == "" else self._get(path)
        if not _same(value, operation.value):
            raise unappliable(f"testing value {path[:200]} failed: test failed")

    def _get(self, path: str) -> Any:
        container, key = self._find(path)
        if isinstance(container, list):
            return container[_existing(container, key)]
        if key not in container:
            raise unappliable(f"unable to get nonexistent key: {key[:200]}: missing value")
        return container[key]

    def _add_at(self, path: str, value: Any) -> None:
        container, key = self._find(path)
        if isinstance(container, dict):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            index = _index(key)
            size = len(container) + 1  # -1 is behind the last item
            if not -size <= index < size:
                raise unappliable(f"Unable to access invalid index: {index}")
            container.insert(index + size if index < 0 else index, value)

    def _remove_at(self, path: str) -> Any:
        container, key = self._find(path)
        if isinstance(container, list):
            return container.pop(_existing(container, key))
        if key not in container:
            raise unappliable(f"Unable to remove nonexistent key: {key[:200]}: missing value")
        return container.pop(key)

    def _find(self, path: str) -> tuple[Any, str]:
        """Return the object or list that holds what `path` points at, and the last part."""
        parts = path.split("/")
        container = self.root if len(parts) > 1 else None
        for part in parts[1:-1]:
            if isinstance(container, dict):
                container = container.get(_unescaped(part))
            elif isinstance(container, list):
                container = container[_existing(container, _unescaped(part))]
        if not isinstance(container, dict | list):
            raise unappliable(f'operation does not apply: doc is missing path: "{path[:200]}"')
        return container, _unescaped(parts[-1])


_CHANGES: dict[str, Callable[[_Document, Operation], None]] = {
    "add": _Document.add,
    "remove": _Document.remove,
    "replace": _Document.replace,
    "move": _Document.move,
    "copy": _Document.copy,
    "test": _Document.test,
}


def _path(operation: Operation) -> str:
    if operation.path is None:
        raise unappliable(f"{operation.kind} operation failed to decode path: missing value")
    return operation.path


def _source(operation: Operation) -> str:
    if operation.source is None:
        raise unappliable(f"{operation.kind} operation failed to decode from: missing value")
    return operation.source


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _index(key: str) -> int:
    if not _INDEX.fullmatch(key):
        raise unappliable(f"value was not a proper array index: '{key[:200]}'")
    return int(key)


def _existing(items: list[Any], key: str) -> int:
    index = _index(key)
    if not -len(items) <= index < len(items):
        raise unappliable(f"Unable to access invalid index: {index}")
    return index


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; 1, 1.0 and true are three values."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
