"""How the tests of platform kinds make, change and judge objects: as the server would."""

from __future__ import annotations

import copy
from typing import Any

from services.apiserver.codec import codec_for
from services.apiserver.errors import Cause
from services.apiserver.kinds.platform import PLATFORM_STRATEGIES
from services.apiserver.registry.strategy import Object, Strategy
from services.apiserver.validation.metadata import validate_metadata_update
from shared.resources import Resource
from shared.resources.builtin import BUILTIN_RESOURCES
from tests.unit import kindtools

_RESOURCES: dict[tuple[str, str], Resource] = {
    (resource.group, resource.name): resource for resource in BUILTIN_RESOURCES
}


def strategy_of(group: str, resource: str) -> Strategy:
    return PLATFORM_STRATEGIES[group, resource]()


def decoded(group: str, resource: str, fields: dict[str, Any]) -> Object:
    """Decode an object of a kind; its name is "a" unless told."""
    obj = copy.deepcopy(fields)
    obj.setdefault("metadata", {}).setdefault("name", "a")
    return codec_for(group, "v1", _RESOURCES[group, resource].kind).decode(obj)


def create(group: str, resource: str, **fields: Any) -> tuple[Object, list[str]]:
    """Return the object as it would be stored, and the causes against it."""
    obj = decoded(group, resource, fields)
    namespaced = _RESOURCES[group, resource].namespaced
    return obj, kindtools.create(strategy_of(group, resource), obj, namespaced=namespaced)


def causes(group: str, resource: str, **fields: Any) -> list[str]:
    return create(group, resource, **fields)[1]


def update(
    group: str, resource: str, old: Object, changes: dict[str, Any], *, through: str = ""
) -> tuple[Object, list[str]]:
    """Change a stored object by a merge patch, on a subresource if one is named."""
    strategy, ctx = strategy_of(group, resource), kindtools.context()
    hooks = strategy.subresources()[through] if through else strategy
    obj = decoded(group, resource, kindtools.merge(copy.deepcopy(old), changes))
    strategy.default(obj)
    hooks.prepare_for_update(ctx, obj, old)
    found: list[Cause] = []
    if obj["metadata"] != old["metadata"]:
        found += validate_metadata_update(obj, old)
    return obj, kindtools.shown(found + hooks.validate_update(ctx, obj, old))
