"""The paths of unknown fields, found by a second walk once the decoder has met any.

Decoding itself keeps no paths: nearly every body has no unknown field. Types that parse
themselves (raw JSON, a schema or a bool) are not looked into, as in kube-apiserver.
Source: sigs.k8s.io/json, strict errors (`spec.containers[0].imagePullPolice`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.codec import leaves
from services.apiserver.codec.facts import FieldFact, definitions


def unknown_paths(definition: str, value: Any) -> Iterator[str]:
    """Yield the path of every field of `value` that the Go type does not have."""
    return _walk(definition, value, "")


def _walk(type_: str, value: Any, path: str) -> Iterator[str]:
    if type_.startswith("*"):
        yield from _walk(type_[1:], value, path)
    elif type_.startswith("[]"):
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _walk(type_[2:], item, f"{path}[{index}]")
    elif type_.startswith("map:"):
        if isinstance(value, dict):
            for key, item in value.items():
                yield from _walk(type_[4:], item, _child(path, key))
    elif type_ not in leaves.ZEROS and isinstance(value, dict):
        fields = definitions()[type_]
        for key, item in value.items():
            if key in fields:
                yield from _walk(FieldFact.from_text(fields[key]).type, item, _child(path, key))
            else:
                yield _child(path, key)


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
