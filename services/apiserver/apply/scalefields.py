"""The owners of a Scale's replicas, and of the field that they stand for.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.apiserver.apply.fieldsets import difference, has, of_path
from services.apiserver.apply.managers import Entry, Managers, Owned, read, written

SCALE_VERSION = "autoscaling/v1"
Path = tuple[str, ...]
"""Path elements, from the object down."""
REPLICAS: Path = ("f:spec", "f:replicas")


def to_scale(entries: Sequence[Entry], paths: Mapping[str, Path | None]) -> list[Entry]:
    """Return the entries of the Scale; `paths` are the replicas' in the object's versions."""
    managers: Managers = {}
    for manager, mine in read(entries).items():
        path = paths.get(mine.api_version)
        if path and has(mine.fields, path):
            managers[manager] = Owned(of_path(REPLICAS), SCALE_VERSION, mine.applied, mine.time)
    return written(managers)


def to_object(
    entries: Sequence[Entry],
    scale_entries: Sequence[Entry],
    paths: Mapping[str, Path | None],
    api_version: str,
) -> list[Entry]:
    """Return the entries of the object after those of its Scale have changed."""
    before, scaled = read(entries), read(scale_entries)
    after: Managers = {}
    for manager, mine in before.items():
        if mine.api_version not in paths:
            continue
        path = paths[mine.api_version]
        if not path or not has(mine.fields, path):
            after[manager] = mine
        elif manager in scaled:
            after[manager] = mine
            del scaled[manager]
        else:
            left = difference(mine.fields, of_path(path))
            if left:
                after[manager] = mine.having(left)
    path = paths.get(api_version)
    for manager, mine in scaled.items():
        if path and has(mine.fields, REPLICAS):
            time = before[manager].time if manager in before else ""
            after[manager] = Owned(of_path(path), api_version, mine.applied, time)
    return written(after)
