"""Service.

Source: kube-apiserver v1.36.2, pkg/registry/core/service/{strategy.go,storage/storage.go},
pkg/apis/core/v1/defaults.go, pkg/api/service/warnings.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from services.apiserver.errors import Cause
from services.apiserver.kinds.service_allocation import (
    NODE_PORT_TYPES,
    ServiceAllocators,
    drop_type_dependent,
    give_back,
    keep_allocated,
    release_all,
    reserve,
    settle,
)
from services.apiserver.kinds.service_changes import (
    validate_load_balancer_status,
    validate_service_update,
)
from services.apiserver.kinds.service_families import complete_families, normalize_cluster_ips
from services.apiserver.kinds.service_validation import (
    is_externally_accessible,
    validate_service,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation.metadata import validate_conditions, validate_metadata_create
from services.apiserver.validation.names import dns1123_label
from shared.storage import StorageUnavailable

log = logging.getLogger(__name__)

DEFAULT_AFFINITY_TIMEOUT_S = 10800


class ServiceStrategy(Strategy):
    create_on_update = True
    returns_deleted_object = True
    has_status = True

    def __init__(self, allocators: ServiceAllocators) -> None:
        self._allocators = allocators

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        affinity = spec.get("sessionAffinity") or "None"
        spec["sessionAffinity"] = affinity
        if affinity == "None":
            spec.pop("sessionAffinityConfig", None)
        elif affinity == "ClientIP":
            config = spec.get("sessionAffinityConfig") or {}
            client = config.get("clientIP") or {}
            if client.get("timeoutSeconds") is None:
                spec["sessionAffinityConfig"] = {
                    "clientIP": {"timeoutSeconds": DEFAULT_AFFINITY_TIMEOUT_S}
                }
        kind = spec.get("type") or "ClusterIP"
        spec["type"] = kind
        for port in spec.get("ports", ()):
            if not port.get("protocol"):
                port["protocol"] = "TCP"
            if port.get("targetPort") in (None, 0, ""):
                port["targetPort"] = port.get("port", 0)
        if is_externally_accessible(spec) and not spec.get("externalTrafficPolicy"):
            spec["externalTrafficPolicy"] = "Cluster"
        if kind != "ExternalName" and "internalTrafficPolicy" not in spec:
            spec["internalTrafficPolicy"] = "Cluster"
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
            for ingress in obj.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
                if ingress.get("ip") and "ipMode" not in ingress:
                    ingress["ipMode"] = "VIP"

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}
        normalize_cluster_ips(obj["spec"], None)
        complete_families(obj, None, self._allocators.addresses.families)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        spec, before = obj["spec"], old["spec"]
        keep(obj, old, "status")
        keep_allocated(spec, before)
        normalize_cluster_ips(spec, before)
        complete_families(obj, before, self._allocators.addresses.families)
        if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
            obj["status"] = {**old.get("status", {}), "loadBalancer": {}}
        drop_type_dependent(spec, before)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return validate_service(obj, None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = validate_service_update(obj, old)
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        return found + validate_service(obj, old)

    def validate_name(self, name: str) -> list[str]:
        return dns1123_label(name)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return _warnings(obj)

    def allocate(
        self, ctx: WriteContext, obj: Object, old: Object | None
    ) -> AbstractAsyncContextManager[None]:
        return self._reserved(ctx, obj, old)

    @asynccontextmanager
    async def _reserved(
        self, ctx: WriteContext, obj: Object, old: Object | None
    ) -> AsyncIterator[None]:
        if old is not None and not _needs_allocation(obj["spec"], old["spec"]):
            yield
            return
        taken = await reserve(self._allocators, obj, old, dry_run=ctx.dry_run)
        try:
            yield
        except (StorageUnavailable, asyncio.CancelledError):
            # The write may have happened. Two Services with one address would be worse than
            # what leaks until its repair.
            raise
        except BaseException:
            if not ctx.dry_run:
                await give_back(self._allocators, taken)
            raise
        if not ctx.dry_run:
            with _written_already():
                await settle(self._allocators, taken)

    async def after_delete(self, ctx: WriteContext, obj: Object) -> None:
        with _written_already():
            await release_all(self._allocators, obj["spec"])

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ServiceStatus(self)}


class ServiceStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status, before = obj.get("status", {}), old.get("status", {})
        return validate_load_balancer_status(
            status.get("loadBalancer", {}),
            "status.loadBalancer",
            obj["spec"],
            before.get("loadBalancer", {}),
        ) + validate_conditions(status.get("conditions"), "status.conditions")


@contextmanager
def _written_already() -> Iterator[None]:
    """The Service's write stands: an address or port that can't be released only leaks."""
    try:
        yield
    except StorageUnavailable:
        log.warning("a service's addresses or ports were not released", exc_info=True)


def _needs_allocation(spec: Object, before: Object) -> bool:
    """Whether an update may take or give back addresses or ports."""
    names = ("type", "clusterIPs", "ipFamilies", "ports", "externalTrafficPolicy")
    return any(spec.get(name) != before.get(name) for name in names) or (
        spec.get("type") in NODE_PORT_TYPES
        and any(not port.get("nodePort") for port in spec.get("ports", ()))
    )


def _warnings(obj: Object) -> list[str]:
    spec = obj["spec"]
    found: list[str] = []
    if "service.kubernetes.io/topology-aware-hints" in obj["metadata"].get("annotations", ()):
        found.append(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use"
            " service.kubernetes.io/topology-mode instead"
        )
    if spec.get("clusterIP") == "None" and spec.get("type") == "ClusterIP":
        for name in ("loadBalancerIP", "externalIPs"):
            if spec.get(name):
                found.append(f"spec.{name} is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    if spec.get("externalIPs"):
        found.append("spec.externalIPs is deprecated")
        if spec.get("type") == "ExternalName":
            found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.get("externalName") and spec.get("type") != "ExternalName":
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found
