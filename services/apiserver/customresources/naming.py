"""Names: which of the names that a definition wants it gets within its group.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/controller/status/naming_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

NO_CONFLICTS = ("True", "NoConflicts", "no conflicts found")


def accepted_names(crd: Object, others: Iterable[Object]) -> tuple[Object, tuple[str, str, str]]:
    """Return the acceptedNames of a definition and its NamesAccepted (status, reason, message).

    `others` are the other definitions of its group; what they were accepted with is taken.
    A name that was accepted earlier stays until the wanted one is free.
    """
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = other.get("status", {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", "")}
        resources |= set(names.get("shortNames") or ())
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    requested: Mapping[str, Any] = crd["spec"]["names"]
    before: Mapping[str, Any] = crd.get("status", {}).get("acceptedNames") or {}
    accepted: Object = {**before}
    verdict = NO_CONFLICTS

    def settle(field: str, taken: set[str], reason: str) -> None:
        nonlocal verdict
        wanted = requested.get(field, "")
        if wanted and wanted in taken and wanted != before.get(field):
            verdict = ("False", reason, f'"{wanted}" is already in use')
        else:
            accepted[field] = wanted

    # Of several conflicts the last one is told.
    settle("plural", resources, "PluralConflict")
    settle("singular", resources, "SingularConflict")
    short_names = list(requested.get("shortNames") or ())
    known = before.get("shortNames") or ()
    conflicts = [name for name in short_names if name in resources and name not in known]
    if conflicts:
        text = ", ".join(f'"{name}" is already in use' for name in conflicts)
        verdict = ("False", "ShortNamesConflict", f"[{text}]" if len(conflicts) > 1 else text)
    else:
        accepted["shortNames"] = short_names
    settle("kind", kinds, "KindConflict")
    settle("listKind", kinds, "ListKindConflict")
    accepted["categories"] = list(requested.get("categories") or ())
    return _printed(accepted), verdict


def _printed(names: Object) -> Object:
    """Return names as they are stored: kind and plural always, the rest if it says something."""
    out: Object = {"plural": names.get("plural", "")}
    for field in ("singular", "shortNames"):
        if names.get(field):
            out[field] = names[field]
    out["kind"] = names.get("kind", "")
    for field in ("listKind", "categories"):
        if names.get(field):
            out[field] = names[field]
    return out
