"""Field errors: one function a type, each returns the Cause that kube-apiserver would.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/validation/field/errors.go. A path is
a plain string like `spec.ports[0].port` or `metadata.labels[a]`; build it with `child`,
`index` and `key`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from services.apiserver.errors import Cause


def child(path: str, *names: str) -> str:
    """Return the path of a field below `path` ("" is the root)."""
    return ".".join((path, *names)) if path else ".".join(names)


def index(path: str, number: int) -> str:
    """Return the path of a list item."""
    return f"{path}[{number}]"


def key(path: str, name: str) -> str:
    """Return the path of a map entry."""
    return f"{path}[{name}]"


def shown(value: Any) -> str:
    """Return `value` as kube-apiserver prints a bad value: strings quoted, others as JSON."""
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    if value is None:
        return "null"
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", _message(path, "Required value", detail), path)


def invalid(path: str, value: Any, detail: str) -> Cause:
    return Cause(
        "FieldValueInvalid", _message(path, f"Invalid value: {shown(value)}", detail), path
    )


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    return Cause(
        "FieldValueTypeInvalid", _message(path, f"Invalid value: {shown(value)}", detail), path
    )


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    values = ", ".join(shown(one) for one in supported)
    detail = f"supported values: {values}" if values else ""
    return Cause(
        "FieldValueNotSupported", _message(path, f"Unsupported value: {shown(value)}", detail), path
    )


def duplicate(path: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", _message(path, f"Duplicate value: {shown(value)}"), path)


def forbidden(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", _message(path, "Forbidden", detail), path)


def not_found(path: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", _message(path, f"Not found: {shown(value)}"), path)


def too_long(path: str, maximum: int) -> Cause:
    return Cause(
        "FieldValueTooLong",
        _message(path, "Too long", f"may not be more than {maximum} bytes"),
        path,
    )


def too_many(path: str, actual: int, maximum: int) -> Cause:
    detail = f"must have at most {maximum} items"
    return Cause("FieldValueTooMany", _message(path, f"Too many: {actual}", detail), path)


def _message(path: str, body: str, detail: str = "") -> str:
    text = f"{path}: {body}" if path else body
    return f"{text}: {detail}" if detail else text
