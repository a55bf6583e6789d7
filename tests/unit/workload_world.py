"""A write without a server: decode, default, prepare and validate one object by its strategy."""

from __future__ import annotations

import copy
from typing import Any

from services.apiserver.codec import codec_for
from services.apiserver.errors import Cause
from services.apiserver.kinds.workloads import WORKLOAD_STRATEGIES
from services.apiserver.registry.strategy import WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation.metadata import (
    validate_metadata_create,
    validate_metadata_update,
)

Object = dict[str, Any]

NOW = "2024-05-06T07:08:09Z"
UID = "0f1e2d3c-0000-4000-8000-000000000000"
_KINDS = {
    "pods": ("", "v1", "Pod"),
    "podtemplates": ("", "v1", "PodTemplate"),
    "replicationcontrollers": ("", "v1", "ReplicationController"),
    "controllerrevisions": ("apps", "v1", "ControllerRevision"),
    "daemonsets": ("apps", "v1", "DaemonSet"),
    "deployments": ("apps", "v1", "Deployment"),
    "replicasets": ("apps", "v1", "ReplicaSet"),
    "statefulsets": ("apps", "v1", "StatefulSet"),
    "horizontalpodautoscalers": ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    "cronjobs": ("batch", "v1", "CronJob"),
    "jobs": ("batch", "v1", "Job"),
    "poddisruptionbudgets": ("policy", "v1", "PodDisruptionBudget"),
}


class NoLookup:
    """A cluster with nothing in it."""

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return None

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        return []

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return None


def context() -> WriteContext:
    return WriteContext(
        info=RequestInfo(True, "/", "create"), user=UserInfo("admin"), now=NOW, lookup=NoLookup()
    )


def decoded(resource: str, obj: Object) -> Object:
    """Return what a body becomes before the strategy's hooks, with its system fields."""
    group, version, kind = _KINDS[resource]
    out = codec_for(group, version, kind).decode(
        {"metadata": {"name": "one"}, **copy.deepcopy(obj)}
    )
    out["metadata"] |= {"namespace": "ns", "uid": UID, "creationTimestamp": NOW}
    return out


def create(resource: str, obj: Object) -> tuple[Object, list[Cause], list[str]]:
    """Return the object as it would be stored, what is wrong with it, and the warnings."""
    group = _KINDS[resource][0]
    strategy, ctx = WORKLOAD_STRATEGIES[group, resource](), context()
    out = decoded(resource, obj)
    strategy.default(out)
    again = copy.deepcopy(out)
    strategy.default(again)
    assert again == out, "defaulting twice differs from defaulting once"
    strategy.prepare_for_create(ctx, out)
    causes = validate_metadata_create(out, namespaced=True, validate_name=strategy.validate_name)
    causes += strategy.validate_create(ctx, out)
    warnings = [] if causes else ctx.warnings + strategy.warn_on_create(ctx, out)
    if not causes:
        strategy.allocate(ctx, out, None)
    return out, causes, warnings


def created(resource: str, obj: Object) -> Object:
    out, causes, _ = create(resource, obj)
    assert not causes, causes
    return out


def update(
    resource: str, old: Object, changes: Object, subresource: str = ""
) -> tuple[Object, list[Cause]]:
    """Merge `changes` into `old` (null deletes) and write it; returns the new object too."""
    group, version, kind = _KINDS[resource]
    strategy, ctx = WORKLOAD_STRATEGIES[group, resource](), context()
    before = copy.deepcopy(old)
    out = codec_for(group, version, kind).decode(_merged(copy.deepcopy(old), changes))
    strategy.default(out)
    target = strategy.subresources()[subresource] if subresource else strategy
    target.prepare_for_update(ctx, out, old)
    causes = validate_metadata_update(out, old)
    causes += target.validate_update(ctx, out, old)
    assert old == before, "a hook changed the old object"
    return out, causes


def told(causes: list[Cause]) -> list[tuple[str | None, str]]:
    """Return the causes as (field, reason without its prefix)."""
    return [(cause.field, cause.reason.removeprefix("FieldValue")) for cause in causes]


def _merged(value: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    out = dict(value) if isinstance(value, dict) else {}
    for name, change in changes.items():
        if change is None:
            out.pop(name, None)
        else:
            out[name] = _merged(out.get(name), change)
    return out
