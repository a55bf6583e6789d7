"""Rows of the core group beside pods, workloads and volumes; also events of events.k8s.io.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.duration import since
from services.apiserver.printers.formatting import age, items, label_set, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object


def _service(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    addresses = items(spec, "clusterIPs")
    return [
        name(obj),
        spec.get("type", ""),
        addresses[0] if addresses else "<none>",
        _external_ip(spec, part(obj, "status")),
        ",".join(_service_port(port) for port in items(spec, "ports")) or "<none>",
        age(obj, now),
        label_set(spec.get("selector")),
    ]


def _external_ip(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    external = ",".join(items(spec, "externalIPs"))
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return external or "<none>"
        case "LoadBalancer":
            balanced = formatting.load_balancer_addresses(status)
            return ",".join(text for text in (balanced, external) if text) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case _:
            return "<unknown>"


def _service_port(port: Mapping[str, Any]) -> str:
    number = str(port.get("port", 0))
    if port.get("nodePort"):
        number = f"{number}:{port['nodePort']}"
    return f"{number}/{port.get('protocol', '')}"


def _endpoints(obj: Object, now: float) -> list[Any]:
    subsets = items(obj, "subsets")
    addresses = [address for subset in subsets for address in _subset_addresses(subset)]
    empty = "" if subsets else "<none>"
    return [name(obj), formatting.first_three(addresses, empty), age(obj, now)]


def _subset_addresses(subset: Mapping[str, Any]) -> list[str]:
    hosts = [address.get("ip", "") for address in items(subset, "addresses")]
    ports = items(subset, "ports")
    if not ports:  # a headless service may have none
        return hosts
    return [
        f"[{host}]:{port.get('port', 0)}" if ":" in host else f"{host}:{port.get('port', 0)}"
        for port in ports
        for host in hosts
    ]


def _namespace(obj: Object, now: float) -> list[Any]:
    return [name(obj), part(obj, "status").get("phase", ""), age(obj, now)]


def _secret(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(part(obj, "data")), age(obj, now)]


def _config_map(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(part(obj, "data")) + len(part(obj, "binaryData")), age(obj, now)]


def _name_and_age(obj: Object, now: float) -> list[Any]:
    return [name(obj), age(obj, now)]


_NODE_ROLE = "node-role.kubernetes.io/"


def _node(obj: Object, now: float) -> list[Any]:
    status = part(obj, "status")
    info = part(status, "nodeInfo")
    addresses = items(status, "addresses")
    return [
        name(obj),
        _node_status(obj),
        _node_roles(part(obj, "metadata", "labels")),
        age(obj, now),
        info.get("kubeletVersion", ""),
        _node_address(addresses, "InternalIP"),
        _node_address(addresses, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        _kernel(info),
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_status(obj: Object) -> str:
    status = "Unknown"
    for condition in items(part(obj, "status"), "conditions"):
        if condition.get("type") == "Ready":
            status = "Ready" if condition.get("status") == "True" else "NotReady"
    if part(obj, "spec").get("unschedulable"):
        status += ",SchedulingDisabled"
    return status


def _node_roles(labels: Mapping[str, str]) -> str:
    roles = {key.removeprefix(_NODE_ROLE) for key in labels if key.startswith(_NODE_ROLE)}
    roles.add(labels.get("kubernetes.io/role", ""))
    return ",".join(sorted(roles - {""})) or "<none>"


def _node_address(addresses: list[Any], kind: str) -> str:
    for address in addresses:
        if address.get("type") == kind:
            return str(address.get("address", ""))
    return "<none>"


def _kernel(info: Mapping[str, Any]) -> str:
    version = info.get("kernelVersion") or "<unknown>"
    architecture = info.get("architecture")
    return f"{version} ({architecture})" if architecture else version


def _event(obj: Object, now: float) -> list[Any]:
    """Render an event of either API: events.k8s.io names the same fields differently."""
    subject = part(obj, "involvedObject") or part(obj, "regarding")
    source = part(obj, "source") or part(obj, "deprecatedSource")
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    series = obj.get("series")
    if series is not None:
        last, count = series.get("lastObservedTime"), series.get("count", 0)
    kind = subject.get("kind", "").lower()
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{subject['name']}" if subject.get("name") else kind,
        subject.get("fieldPath", ""),
        _event_source(obj, source),
        (obj.get("message") or obj.get("note") or "").strip(),
        since(first, now),
        count,
        name(obj),
    ]


def _event_source(obj: Object, source: Mapping[str, Any]) -> str:
    reporter = obj.get("reportingComponent") or obj.get("reportingController") or ""
    component = source.get("component") or reporter
    instance = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else component


def _resource_quota(obj: Object, now: float) -> list[Any]:
    status = part(obj, "status")
    used = part(status, "used")
    requests: list[str] = []
    limits: list[str] = []
    for resource, hard in sorted(part(status, "hard").items()):
        cell = limits if resource.startswith("limits.") else requests
        cell.append(f"{resource}: {used.get(resource, '0')}/{hard}")
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def _component_status(obj: Object, now: float) -> list[Any]:
    for condition in items(obj, "conditions"):
        if condition.get("type") == "Healthy":
            healthy = "Healthy" if condition.get("status") == "True" else "Unhealthy"
            texts = [condition.get("message", ""), condition.get("error", "")]
            return [name(obj), healthy, *texts]
    return [name(obj), "Unknown", "", ""]


_SERVICE_SPEC = "api.core.v1.ServiceSpec"
_NODE_INFO = "api.core.v1.NodeSystemInfo"
_EVENT = "api.core.v1.Event"

SERVICE = KindPrinter(
    (
        NAME,
        Column("Type", doc=f"{_SERVICE_SPEC}.type"),
        Column("Cluster-IP", doc=f"{_SERVICE_SPEC}.clusterIP"),
        Column("External-IP", doc=f"{_SERVICE_SPEC}.externalIPs"),
        Column("Port(s)", doc=f"{_SERVICE_SPEC}.ports"),
        AGE,
        Column("Selector", priority=1, doc=f"{_SERVICE_SPEC}.selector"),
    ),
    _service,
)
ENDPOINTS = KindPrinter(
    (NAME, Column("Endpoints", doc="api.core.v1.Endpoints.subsets"), AGE), _endpoints
)
NAMESPACE = KindPrinter(
    (NAME, Column("Status", description="The status of the namespace"), AGE), _namespace
)
SECRET = KindPrinter(
    (
        NAME,
        Column("Type", doc="api.core.v1.Secret.type"),
        Column("Data", doc="api.core.v1.Secret.data"),
        AGE,
    ),
    _secret,
)
CONFIG_MAP = KindPrinter((NAME, Column("Data", doc="api.core.v1.ConfigMap.data"), AGE), _config_map)
NAME_AND_AGE = KindPrinter((NAME, AGE), _name_and_age)
NODE = KindPrinter(
    (
        NAME,
        Column("Status", description="The status of the node"),
        Column("Roles", description="The roles of the node"),
        AGE,
        Column("Version", doc=f"{_NODE_INFO}.kubeletVersion"),
        Column("Internal-IP", priority=1, doc="api.core.v1.NodeStatus.addresses"),
        Column("External-IP", priority=1, doc="api.core.v1.NodeStatus.addresses"),
        Column("OS-Image", priority=1, doc=f"{_NODE_INFO}.osImage"),
        Column("Kernel-Version", priority=1, doc=f"{_NODE_INFO}.kernelVersion"),
        Column("Container-Runtime", priority=1, doc=f"{_NODE_INFO}.containerRuntimeVersion"),
    ),
    _node,
)
EVENT = KindPrinter(
    (
        Column("Last Seen", doc=f"{_EVENT}.lastTimestamp"),
        Column("Type", doc=f"{_EVENT}.type"),
        Column("Reason", doc=f"{_EVENT}.reason"),
        Column("Object", doc=f"{_EVENT}.involvedObject"),
        Column("Subobject", priority=1, doc="api.core.v1.ObjectReference.fieldPath"),
        Column("Source", priority=1, doc=f"{_EVENT}.source"),
        Column("Message", doc=f"{_EVENT}.message"),
        Column("First Seen", priority=1, doc=f"{_EVENT}.firstTimestamp"),
        Column("Count", priority=1, doc=f"{_EVENT}.count"),
        Column("Name", format="name", priority=1, doc=NAME.doc),
    ),
    _event,
)
RESOURCE_QUOTA = KindPrinter(
    (
        NAME,
        Column(
            "Request",
            description="Request represents a minimum amount of cpu/memory that a container may"
            " consume.",
        ),
        Column(
            "Limit",
            description="Limits control the maximum amount of cpu/memory that a container may use"
            " independent of contention on the node.",
        ),
        AGE,
    ),
    _resource_quota,
)
COMPONENT_STATUS = KindPrinter(
    (
        NAME,
        Column("Status", description="Status of the component conditions"),
        Column("Message", description="Message of the component conditions"),
        Column("Error", description="Error of the component conditions"),
    ),
    _component_status,
)
