"""The objects that a server makes sure are there: default namespaces, the kubernetes Service,
the roles and bindings of the bootstrap policy.

Source: kube-apiserver v1.36.2, pkg/controlplane/controller/systemnamespaces and
.../{kubernetesservice,legacytokentracking}, pkg/registry/rbac/rest/storage_rbac.go
(EnsureRBACPolicy).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.apiserver.authorization.bootstrappolicy import (
    bootstrap_policy,
    is_replaced,
    repaired,
)
from services.apiserver.authorization.roleindex import GROUP as RBAC_GROUP
from services.apiserver.errors import AlreadyExists, ApiError, NotFound
from services.apiserver.flowcontrol import ensure_defaults
from services.apiserver.registry.deletion import DeleteRequest
from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now

log = logging.getLogger("kubefan.apiserver.bootstrap")

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
LEGACY_TOKEN_TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
APISERVER_USER = UserInfo("system:apiserver", groups=("system:masters",))
PRIORITY_CLASSES = (
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to "
        "another node if necessary.",
    ),
)


@dataclass(frozen=True, slots=True)
class ClusterAddresses:
    """Where the cluster finds its API: the Service's range, and this server's own address."""

    service_cluster_ip_range: str
    advertise_address: str
    secure_port: int

    @property
    def service_ip(self) -> str:
        """The first address of the range, which belongs to the kubernetes Service."""
        network = ipaddress.ip_network(self.service_cluster_ip_range.split(",")[0], strict=False)
        return str(network[1])


def default_objects(addresses: ClusterAddresses) -> Iterator[tuple[str, str, Object]]:
    """Yield (group, resource, object) of all that has to be there, in order."""
    for name in SYSTEM_NAMESPACES:
        yield "", "namespaces", _object("v1", "Namespace", name)
    for name, value, description in PRIORITY_CLASSES:
        yield (
            "scheduling.k8s.io",
            "priorityclasses",
            {
                **_object("scheduling.k8s.io/v1", "PriorityClass", name),
                "value": value,
                "description": description,
                "preemptionPolicy": "PreemptLowerPriority",
            },
        )
    yield (
        "networking.k8s.io",
        "servicecidrs",
        {
            **_object("networking.k8s.io/v1", "ServiceCIDR", "kubernetes"),
            "spec": {"cidrs": addresses.service_cluster_ip_range.split(",")},
        },
    )
    # What aggregated API servers read to trust this one; they refuse to start without it.
    yield (
        "",
        "configmaps",
        _object("v1", "ConfigMap", "extension-apiserver-authentication", "kube-system"),
    )
    # Since when tokens out of Secrets have a label with the day of their last use: what
    # kube-controller-manager must know before it removes those that nobody uses.
    yield (
        "",
        "configmaps",
        {
            **_object("v1", "ConfigMap", LEGACY_TOKEN_TRACKING, "kube-system"),
            "data": {"since": now()[: len("2006-01-02")]},
        },
    )
    yield "", "services", _service(addresses)
    if not ipaddress.ip_address(addresses.advertise_address).is_loopback:
        # An endpoint on the loopback would lead every node to itself.
        yield "", "endpoints", endpoints(addresses, [addresses.advertise_address])
        yield (
            "discovery.k8s.io",
            "endpointslices",
            endpoint_slice(addresses, [addresses.advertise_address]),
        )


async def ensure(registry: Registry, lookup: Lookup, addresses: ClusterAddresses) -> None:
    """Create what is missing of the default objects, and repair the bootstrap roles.

    Returns when the watch cache shows all of it: the first request is judged by it.

    Raises:
        StorageError: the storage did not answer.
    """
    for group, resource, obj in default_objects(addresses):
        store = registry.stored(group, resource)
        if store is not None and not _is_there(store, obj):
            await _create(store, lookup, obj)
    await _mark_ready(registry, lookup)
    # All at once: the storage commits together what comes together.
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ensure_defaults(registry, lookup), name="flow control")
        for resource, obj in bootstrap_policy():
            store = registry.stored(RBAC_GROUP, resource)
            if store is not None:
                tasks.create_task(_reconcile(store, lookup, obj), name="bootstrap policy")
    namespaces = registry.stored("", "namespaces")
    if namespaces is not None:
        await namespaces.backend.fresh()


async def _mark_ready(registry: Registry, lookup: Lookup) -> None:
    """Tell clients that the range of the service addresses can be used.

    Source: kube-apiserver v1.36.2, pkg/controlplane/controller/defaultservicecidr.
    """
    store = registry.stored("networking.k8s.io", "servicecidrs")
    if store is None:
        return
    condition = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": now(),
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }

    def change(obj: Object) -> Object:
        status = obj.get("status") or {}
        conditions = status.get("conditions") or []
        if any(one.get("type") == "Ready" for one in conditions):
            return obj
        return {**obj, "status": {**status, "conditions": [*conditions, condition]}}

    cached = store.cache.get(store.key("", "kubernetes"))
    if cached is not None:
        present = store.decode(cached.body)
        if change(present) == present:
            return
    ranges = _object("networking.k8s.io/v1", "ServiceCIDR", "kubernetes")
    try:
        await store.modify(_context(store, lookup, ranges, "update"), "kubernetes", change)
    except ApiError as error:
        _tell(store, error)


def _is_there(store: ResourceStore, obj: Object) -> bool:
    meta = obj["metadata"]
    return store.cache.get(store.key(meta.get("namespace", ""), meta["name"])) is not None


async def _create(store: ResourceStore, lookup: Lookup, obj: Object) -> None:
    ctx = _context(store, lookup, obj, "create")
    store.strategy.default(obj)
    store.fill_system_fields(ctx, obj)
    try:
        await store.create(ctx, obj)
    except AlreadyExists:
        return  # another replica starts beside this one
    except ApiError as error:
        _tell(store, error)


async def _reconcile(store: ResourceStore, lookup: Lookup, wanted: Object) -> None:
    """Create a role or binding, or give the present one what it lacks."""
    meta = wanted["metadata"]
    cached = store.cache.get(store.key(meta.get("namespace", ""), meta["name"]))
    if cached is None:
        await _create(store, lookup, wanted)
        return
    present = store.decode(cached.body)
    if repaired(present, wanted) == present and not is_replaced(present, wanted):
        return
    ctx = _context(store, lookup, wanted, "update")

    async def change(old: Object | None) -> Object:
        if old is None:
            raise NotFound(f"{meta['name']} is gone")
        obj = repaired(old, wanted)
        obj["metadata"].pop("resourceVersion", None)
        return obj

    try:
        if is_replaced(present, wanted):
            await store.delete(ctx, meta["name"], DeleteRequest())
            await _create(store, lookup, wanted)
        else:
            await store.update(ctx, meta["name"], change, may_be_unconditional=True)
    except ApiError as error:
        _tell(store, error)


def _context(store: ResourceStore, lookup: Lookup, obj: Object, verb: str) -> WriteContext:
    resource, namespace = store.resource, obj["metadata"].get("namespace", "")
    info = RequestInfo(
        True, "", verb, "", resource.group, resource.version, namespace, resource.name
    )
    return WriteContext(info, APISERVER_USER, now(), lookup)


def _tell(store: ResourceStore, error: ApiError) -> None:
    log.error("default object", extra={"resource": store.resource.name, "why": error.message})


def host_address() -> str:
    """Return the address by which this host reaches others; the loopback if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only chooses a route.
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
        except OSError:
            return _named_address()
        return address


def _named_address() -> str:
    """Return the address that this host's name stands for, where it has no route to others."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _object(api_version: str, kind: str, name: str, namespace: str = "") -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"kind": kind, "apiVersion": api_version, "metadata": meta}


def _service(addresses: ClusterAddresses) -> Object:
    obj = _object("v1", "Service", "kubernetes", "default")
    obj["metadata"]["labels"] = {"component": "apiserver", "provider": "kubernetes"}
    obj["spec"] = {
        "clusterIP": addresses.service_ip,
        "clusterIPs": [addresses.service_ip],
        "ipFamilies": ["IPv6" if ":" in addresses.service_ip else "IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [
            {
                "name": "https",
                "port": 443,
                "protocol": "TCP",
                "targetPort": addresses.secure_port,
            }
        ],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    obj["status"] = {"loadBalancer": {}}
    return obj


def endpoints(addresses: ClusterAddresses, alive: Sequence[str]) -> Object:
    """Return the Endpoints of the kubernetes Service with these addresses."""
    obj = _object("v1", "Endpoints", "kubernetes", "default")
    obj["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    obj["subsets"] = [
        {
            "addresses": [{"ip": address} for address in alive],
            "ports": [{"name": "https", "port": addresses.secure_port, "protocol": "TCP"}],
        }
    ]
    return obj


def endpoint_slice(addresses: ClusterAddresses, alive: Sequence[str]) -> Object:
    """Return the EndpointSlice of the kubernetes Service with these addresses."""
    obj = _object("discovery.k8s.io/v1", "EndpointSlice", "kubernetes", "default")
    obj["metadata"]["labels"] = {"kubernetes.io/service-name": "kubernetes"}
    obj["addressType"] = "IPv6" if ":" in addresses.advertise_address else "IPv4"
    obj["endpoints"] = [
        {"addresses": [address], "conditions": {"ready": True}} for address in alive
    ]
    obj["ports"] = [{"name": "https", "port": addresses.secure_port, "protocol": "TCP"}]
    return obj
