"""How the tests of kinds and admission run a strategy as the store does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object, Strategy, UpdateSubresource, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation.metadata import (
    validate_metadata_create,
    validate_metadata_update,
)

NOW = "2026-01-02T03:04:05Z"


class Objects:
    """A Lookup over objects given as (group, resource) → list."""

    def __init__(self, objects: Mapping[tuple[str, str], list[Object]] | None = None) -> None:
        self._objects = objects or {}

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        for one in self.list(group, resource, namespace):
            if one["metadata"]["name"] == name:
                return one
        return None

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        return [
            copy.deepcopy(one)
            for one in self._objects.get((group, resource), [])
            if not namespace or one["metadata"].get("namespace", "") == namespace
        ]

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self.get(group, resource, namespace, name)


def context(objects: Mapping[tuple[str, str], list[Object]] | None = None) -> WriteContext:
    info = RequestInfo(True, "/", "create", "api", version="v1", namespace="ns")
    return WriteContext(info, UserInfo("tester"), NOW, Objects(objects))


def shown(causes: list[Cause]) -> list[str]:
    return [f"{cause.reason.removeprefix('FieldValue')} {cause.field}" for cause in causes]


def create(strategy: Strategy, obj: Object, *, namespaced: bool = True) -> list[str]:
    """Default, prepare and validate a new object in place; returns the causes as texts."""
    meta = obj.setdefault("metadata", {})
    meta.setdefault("name", "a")
    if namespaced:
        meta.setdefault("namespace", "ns")
    ctx = context()
    strategy.default(obj)
    strategy.prepare_for_create(ctx, obj)
    causes = validate_metadata_create(
        obj, namespaced=namespaced, validate_name=strategy.validate_name
    )
    return shown(causes + strategy.validate_create(ctx, obj))


def update(
    strategy: Strategy,
    old: Object,
    changes: dict[str, Any],
    *,
    through: UpdateSubresource | None = None,
) -> tuple[Object, list[str]]:
    """Merge `changes` into `old` as a merge patch and run the update; returns object and causes."""
    obj = merge(copy.deepcopy(old), changes)
    ctx = context()
    strategy.default(obj)
    hooks = through or strategy
    hooks.prepare_for_update(ctx, obj, old)
    causes: list[Cause] = []
    if obj["metadata"] != old["metadata"]:
        causes += validate_metadata_update(obj, old)
    return obj, shown(causes + hooks.validate_update(ctx, obj, old))


def merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merge(out.get(name), value)
    return out
