"""ResourceQuota: a write that would exceed a quota is refused; others are charged to it.

A charge is a guarded write of the quota's status, made before the object's own write: the
used amounts only rise here, and the quota controller takes back what did not come about.
Source: kube-apiserver v1.36.2, apiserver/pkg/admission/plugin/resourcequota/controller.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from weakref import WeakValueDictionary

import orjson

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.quota.usage import Evaluator, Usage, evaluator_for, matches
from services.apiserver.admission.refusal import refused
from services.apiserver.errors import InternalError
from services.apiserver.registry.allocators import ObjectStore
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.values.quantity import Quantity, parse
from shared.storage import KeyValue, RevisionConflict

ATTEMPTS = 8
"""How often a charge is tried again when other writes change the same quota."""
ZERO = parse("0")


class ResourceQuota:
    """See the module."""

    name = "ResourceQuota"

    def __init__(self, storage: ObjectStore, *, etcd_prefix: str = "/registry") -> None:
        self._storage = storage
        self._prefix = f"{etcd_prefix}/resourcequotas/"
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handles(self, attributes: Attributes) -> bool:
        return evaluator_for(attributes) is not None

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        evaluator = evaluator_for(attributes)
        assert evaluator is not None
        # The cache tells whether there are quotas at all; their amounts are read live.
        if not ctx.lookup.list("", "resourcequotas", attributes.namespace):
            return
        # Requests of this replica would only make each other try again.
        lock = self._locks.setdefault(attributes.namespace, asyncio.Lock())
        charged: set[str] = set()
        async with lock:
            for _ in range(ATTEMPTS):
                page = await self._storage.list(f"{self._prefix}{attributes.namespace}/".encode())
                if await self._charge(attributes, evaluator, page.items, charged):
                    return
        raise InternalError(
            "Internal error occurred: the resource quota was changed by others again and again",
            details={},
        )

    async def _charge(
        self,
        attributes: Attributes,
        evaluator: Evaluator,
        items: Collection[KeyValue],
        charged: set[str],
    ) -> bool:
        """Check all quotas, then write the charges; False when one changed meanwhile.

        `charged` holds the names of the quotas that an earlier try has written already.
        """
        assert attributes.obj is not None
        quotas: list[tuple[KeyValue, Object]] = []
        for item in items:
            quota = orjson.loads(item.value)
            if quota["metadata"]["name"] not in charged and matches(
                quota, evaluator, attributes.obj
            ):
                self._check_known(attributes, evaluator, quota)
                quotas.append((item, quota))
        if not quotas:
            return True
        delta = _increase(evaluator, attributes)
        if not delta:
            return True
        for _, quota in quotas:
            self._check_room(attributes, quota, delta)
        if attributes.dry_run:
            return True
        for item, quota in quotas:
            requested = {name: delta[name] for name in delta if name in quota["status"]["hard"]}
            if not requested:
                continue
            used = quota["status"].setdefault("used", {})
            for name, amount in requested.items():
                used[name] = str(parse(used.get(name, "0")) + amount)
            try:
                await self._storage.update(item.key, orjson.dumps(quota), expected=item.revision)
            except RevisionConflict:
                return False
            charged.add(quota["metadata"]["name"])
        return True

    def _check_known(self, attributes: Attributes, evaluator: Evaluator, quota: Object) -> None:
        status = quota["status"]
        limited = sorted(name for name in status["hard"] if evaluator.limits(name))
        quota_name = quota["metadata"]["name"]
        fault = evaluator.fault(frozenset(limited), attributes.obj or {})
        if fault:
            raise refused(attributes, f"failed quota: {quota_name}: {fault}")
        used: Mapping[str, Any] = status.get("used", {})
        if any(name not in used for name in limited):
            raise refused(
                attributes,
                f"status unknown for quota: {quota_name}, resources: {','.join(limited)}",
            )

    def _check_room(self, attributes: Attributes, quota: Object, delta: Usage) -> None:
        hard, used = quota["status"]["hard"], quota["status"].get("used", {})
        exceeded = sorted(
            name
            for name, amount in delta.items()
            if name in hard and parse(used.get(name, "0")) + amount > parse(hard[name])
        )
        if exceeded:
            requested = ",".join(f"{name}={delta[name]}" for name in exceeded)
            present = ",".join(f"{name}={used.get(name, '0')}" for name in exceeded)
            limited = ",".join(f"{name}={hard[name]}" for name in exceeded)
            raise refused(
                attributes,
                f"exceeded quota: {quota['metadata']['name']}, requested: {requested},"
                f" used: {present}, limited: {limited}",
            )


def _increase(evaluator: Evaluator, attributes: Attributes) -> Usage:
    """Return what the write takes more than before; only what rises."""
    assert attributes.obj is not None
    usage = evaluator.usage(attributes.obj)
    negative = sorted(name for name, amount in usage.items() if amount.sign < 0)
    if negative:
        raise refused(attributes, f"quota usage is negative for resource(s): {','.join(negative)}")
    before: Usage = {} if attributes.old is None else evaluator.usage(attributes.old)
    rises: Usage = {}
    for name, amount in usage.items():
        more: Quantity = amount - before.get(name, ZERO)
        if more.sign > 0:
            rises[name] = more
    return rises
