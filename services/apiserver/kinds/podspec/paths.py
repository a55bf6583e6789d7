"""Rules of file paths inside volumes and of file modes.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field

FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_backsteps(value: str, path: str) -> Iterator[Cause]:
    if ".." in value and ".." in value.split("/"):
        yield field.invalid(path, value, "must not contain '..'")


def descending(value: str, path: str) -> Iterator[Cause]:
    """A relative path that stays below its root."""
    if value.startswith("/"):
        yield field.invalid(path, value, "must be a relative path")
    yield from no_backsteps(value, path)


def non_reserved(value: str, path: str) -> Iterator[Cause]:
    """A descending path whose first element does not begin with '..'."""
    yield from descending(value, path)
    if value.startswith("..") and not value.startswith("../"):
        yield field.invalid(path, value, "must not start with '..'")


def file_mode(source: dict[str, Any], name: str, path: str) -> Iterator[Cause]:
    mode = source.get(name)
    if mode is not None and not 0 <= mode <= 0o777:
        yield field.invalid(f"{path}.{name}", mode, FILE_MODE)
