"""Conflicts: fields that an applier wants to change and others own.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/internal/conflict.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.apply.fieldsets import FieldSet, paths
from services.apiserver.apply.managers import Manager
from services.apiserver.errors import Cause, Conflict

REASON = "FieldManagerConflict"


class ApplyConflict(Conflict):
    """Refuses an apply; `conflicts` are the fields by their owners."""

    def __init__(self, conflicts: Mapping[Manager, FieldSet]) -> None:
        self.conflicts = conflicts
        found = {manager: list(paths(fields)) for manager, fields in conflicts.items()}
        super().__init__(
            _message(found),
            details={},
            causes=[
                Cause(REASON, f"conflict with {manager}", path)
                for manager, fields in found.items()
                for path in fields
            ],
        )


def _message(found: Mapping[Manager, list[str]]) -> str:
    count = sum(map(len, found.values()))
    if count == 1:
        ((manager, (path,)),) = found.items()
        return f"Apply failed with 1 conflict: conflict with {manager}: {path}"
    lines = []
    for manager in sorted(found):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {path}" for path in found[manager]]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)
