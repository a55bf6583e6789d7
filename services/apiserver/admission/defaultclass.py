"""Which class of a kind is the default one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.apiserver.registry.strategy import Object


def newest_default(classes: Iterable[Object], annotations: Sequence[str]) -> str | None:
    """Return the name of the class that an annotation marks as default: the newest, then the
    first by name."""
    marked = [
        one
        for one in classes
        if any(
            one["metadata"].get("annotations", {}).get(annotation) == "true"
            for annotation in annotations
        )
    ]
    if not marked:
        return None
    newest = max(one["metadata"].get("creationTimestamp", "") for one in marked)
    names: list[str] = [
        one["metadata"]["name"]
        for one in marked
        if one["metadata"].get("creationTimestamp", "") == newest
    ]
    return min(names)
