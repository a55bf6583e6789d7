"""No object that decodes makes a kind's rules fail, and no hook changes the old object."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.apiserver.codec import DecodeError, codec_for
from services.apiserver.codec.facts import fields_of
from services.apiserver.errors import ApiError, Cause
from services.apiserver.kinds.catalog import StrategyNeeds, strategies
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.registry.allocators import NodePorts, ServiceAddresses
from services.apiserver.registry.strategy import Object, Strategy
from services.apiserver.validation.metadata import (
    validate_metadata_create,
    validate_metadata_update,
)
from shared.resources import Resource, builtin_table
from tests.unit.kindtools import context
from tests.unit.memorystore import MemoryStore

TEXTS = (
    *(
        "",
        "a",
        "B",
        "x/y",
        "example.com/a",
        "10.0.0.1",
        "::1",
        "10.0.0.0/24",
        "None",
        "/",
        "..",
        "*",
    ),
    *("1", "http", "Pod", "Container", "Always", "In", "Exists", "Gt", "NoExecute", "TCP", "UDP"),
    *("LoadBalancer", "NodePort", "ClusterIP", "ExternalName", "Local", "IPv4", "IPv6", "ClientIP"),
    *("RequireDualStack", "SingleStack", "kubernetes.io/tls", "kubernetes.io/dockercfg", "Block"),
    *("ReadWriteOnce", "Recycle", "storage", "cpu", "pods", "hugepages-2Mi", "PriorityClass"),
    *("BestEffort", "RollingUpdate", "Recreate", "@daily", "* * * * *", "Resource", "50%", "Never"),
    *("metadata.name", "limits.cpu", "é", "\n", "kubernetes", "Exact", "v1", "object", "self.x"),
    "a" * 300,
)
VALUES: dict[str, tuple[Any, ...]] = {
    "string": TEXTS,
    "bool": (True, False),
    "int32": (0, 1, -1, 80, 300, 65536, 2147483647, 30000),
    "int64": (0, 1, -1, 80, 300, 65536, 2147483647, 30000),
    "float64": (1.5,),
    "bytes": ("", "aGk=", "e30="),
    "time": (None, "2024-01-01T00:00:00Z"),
    "microtime": (None, "2024-01-01T00:00:00.123456Z"),
    "duration": ("90s",),
    "quantity": ("0", "1", "-1", "0.5", "1024Mi", "1500u", 3, "1e3"),
    "intorstring": (0, 80, "http", "25%", "x%", -1, 70000, ""),
    "raw": ({}, {"a": 1}, None, [1]),
    "schemaorbool": (True, {}),
    "schemaorarray": ({},),
    "schemaorstrings": ({}, ["a"]),
}
MAX_DEPTH = 9


def made(type_: str, depth: int, dice: random.Random) -> Any:
    """Return JSON that has the types of a Go type and any values."""
    if type_.startswith("*"):
        return None if dice.random() < 0.1 else made(type_[1:], depth, dice)
    if type_.startswith("[]"):
        length = dice.choice((0, 1, 1, 2, 3))
        return [made(type_[2:], depth + 1, dice) for _ in range(length)]
    if type_.startswith("map:"):
        count = dice.choice((0, 1, 2))
        return {dice.choice(TEXTS): made(type_[4:], depth + 1, dice) for _ in range(count)}
    if type_ in VALUES:
        return copy.deepcopy(dice.choice(VALUES[type_]))
    if depth > MAX_DEPTH:
        return {}
    chance = 0.9 if depth < 2 else 0.5 if depth < 4 else 0.25 if depth < 7 else 0.08
    return {
        name: made(fact.type, depth + 1, dice)
        for name, fact in fields_of(type_).items()
        if dice.random() < chance
    }


def body(resource: Resource, dice: random.Random) -> Object:
    raw: Object = made(resource.definition, 0, dice)
    allowed = ("labels", "annotations", "finalizers", "ownerReferences")
    kept = {name: one for name, one in (raw.get("metadata") or {}).items() if name in allowed}
    raw["metadata"] = {**kept, "name": "a", "uid": "u"}
    if resource.namespaced:
        raw["metadata"]["namespace"] = "ns"
    return raw


def kinds() -> list[tuple[Resource, Callable[[], Strategy]]]:
    store = MemoryStore()
    allocators = ServiceAllocators(
        ServiceAddresses(store, ("10.0.0.0/24", "fd00::/120")), NodePorts(store)
    )
    made_by = strategies(StrategyNeeds(allocators, 3600))
    return [
        (resource, made_by[resource.group, resource.name])
        for resource in builtin_table().resources()
        if resource.storage == resource.gvk and (resource.group, resource.name) in made_by
    ]


@pytest.mark.parametrize(
    ("resource", "factory"),
    [pytest.param(*kind, id=kind[0].group_resource) for kind in kinds()],
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_every_decoded_object_is_judged(
    resource: Resource, factory: Callable[[], Strategy], seed: int
) -> None:
    dice = random.Random(seed)
    strategy = factory()
    codec = codec_for(resource.group, resource.version, resource.kind)
    try:
        obj = codec.decode(body(resource, dice))
        changed = codec.decode(body(resource, dice))
    except DecodeError:
        return
    ctx = context()
    try:
        strategy.default(obj)
        once = copy.deepcopy(obj)
        strategy.default(obj)
        assert obj == once
        strategy.prepare_for_create(ctx, obj)
        causes = validate_metadata_create(
            obj, namespaced=resource.namespaced, validate_name=strategy.validate_name
        )
        causes += strategy.validate_create(ctx, obj)
        assert all(isinstance(cause, Cause) for cause in causes)
        strategy.warn_on_create(ctx, obj)
    except ApiError:
        return
    old = copy.deepcopy(obj)
    for hooks in (strategy, *strategy.subresources().values()):
        new = copy.deepcopy(changed)
        try:
            strategy.default(new)
            hooks.prepare_for_update(ctx, new, old)
            validate_metadata_update(new, old, namespaced=resource.namespaced)
            hooks.validate_update(ctx, new, old)
            hooks.warn_on_update(ctx, new, old)
        except ApiError:
            continue
        finally:
            assert old == obj
