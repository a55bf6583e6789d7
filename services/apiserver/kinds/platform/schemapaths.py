"""Field paths into a schema, like .spec.list or .spec['a.b'].

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go
(ValidFieldPath).
"""

from __future__ import annotations

import re

from services.apiserver.registry.strategy import Object

_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\['(?P<quoted>(?:[^'\\]|\\.)*)'\]")


def find_schema(
    path: str, schema: Object, *, in_brackets: bool = True
) -> tuple[tuple[str, ...], Object | None]:
    """Return the names that a path goes through, and the schema there; None: it leads nowhere.

    `in_brackets` allows steps like ['a.b'].
    """
    names: list[str] = []
    position, here = 0, schema
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or (step["name"] is None and not in_brackets):
            return tuple(names), None
        name = step["name"] if step["name"] is not None else _unescaped(step["quoted"])
        properties, additional = here.get("properties"), here.get("additionalProperties")
        if properties:
            next_schema = properties.get(name)
        else:
            next_schema = additional if isinstance(additional, dict) else None
        if next_schema is None:
            return tuple(names), None
        names.append(name)
        here, position = next_schema, step.end()
    return tuple(names), here


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
