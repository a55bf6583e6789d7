"""The objects that a server makes sure are there: default namespaces, the kubernetes Service.

Source: kube-apiserver v1.36.2, pkg/controlplane/controller/systemnamespaces and
.../kubernetesservice.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from services.apiserver.errors import AlreadyExists, ApiError
from services.apiserver.registry.served import Registry
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now

log = logging.getLogger("kubefan.apiserver.bootstrap")

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
APISERVER_USER = UserInfo("system:apiserver", groups=("system:masters",))
PRIORITY_CLASSES = (
    ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
    ("system-cluster-critical", 2_000_000_000, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
)  # fmt: skip


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
    yield "", "services", _service(addresses)
    if not ipaddress.ip_address(addresses.advertise_address).is_loopback:
        # An endpoint on the loopback would lead every node to itself.
        yield "", "endpoints", _endpoints(addresses)
        yield "discovery.k8s.io", "endpointslices", _endpoint_slice(addresses)


async def ensure(registry: Registry, lookup: Lookup, addresses: ClusterAddresses) -> None:
    """Create what is missing of the default objects.

    Raises:
        StorageError: the storage did not answer.
    """
    for group, resource, obj in default_objects(addresses):
        store = registry.stored(group, resource)
        if store is None:
            continue
        meta = obj["metadata"]
        key = store.key(meta.get("namespace", ""), meta["name"])
        if store.cache.get(key) is not None:
            continue
        info = RequestInfo(True, "", "create", "", group, "v1", meta.get("namespace", ""), resource)
        ctx = WriteContext(info, APISERVER_USER, now(), lookup)
        store.strategy.default(obj)
        store.fill_system_fields(ctx, obj)
        try:
            await store.create(ctx, obj)
        except AlreadyExists:
            continue  # another replica starts beside this one
        except ApiError as error:
            log.error("default object", extra={"resource": resource, "why": error.message})


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


def _endpoints(addresses: ClusterAddresses) -> Object:
    obj = _object("v1", "Endpoints", "kubernetes", "default")
    obj["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    obj["subsets"] = [
        {
            "addresses": [{"ip": addresses.advertise_address}],
            "ports": [{"name": "https", "port": addresses.secure_port, "protocol": "TCP"}],
        }
    ]
    return obj


def _endpoint_slice(addresses: ClusterAddresses) -> Object:
    obj = _object("discovery.k8s.io/v1", "EndpointSlice", "kubernetes", "default")
    obj["metadata"]["labels"] = {"kubernetes.io/service-name": "kubernetes"}
    obj["addressType"] = "IPv6" if ":" in addresses.advertise_address else "IPv4"
    obj["endpoints"] = [{"addresses": [addresses.advertise_address], "conditions": {"ready": True}}]
    obj["ports"] = [{"name": "https", "port": addresses.secure_port, "protocol": "TCP"}]
    return obj
