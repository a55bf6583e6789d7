"""Rows of pods: the one status that sums up phase, containers and deletion.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go (printPod).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.duration import parse_time, since
from services.apiserver.printers.formatting import items, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object

_COLUMNS = (
    NAME,
    Column(
        "Ready",
        description="The aggregate readiness state of this pod for accepting traffic.",
    ),
    Column("Status", description="The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        description="The number of times the containers in this pod have been restarted and when"
        " the last container in this pod has restarted.",
    ),
    AGE,
    Column("IP", priority=1, doc="api.core.v1.PodStatus.podIP"),
    Column("Node", priority=1, doc="api.core.v1.PodSpec.nodeName"),
    Column("Nominated Node", priority=1, doc="api.core.v1.PodStatus.nominatedNodeName"),
    Column("Readiness Gates", priority=1, doc="api.core.v1.PodSpec.readinessGates"),
)

_CONDITIONS = {
    "Succeeded": [
        {
            "type": "Completed",
            "status": "True",
            "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }
    ],
    "Failed": [
        {
            "type": "Completed",
            "status": "True",
            "reason": "Failed",
            "message": "The pod failed.",
        }
    ],
}


@dataclass(slots=True)
class _Restarts:
    count: int = 0
    last: str = ""
    """When a container last ended, RFC 3339; "" if none says so."""

    def add(self, status: dict[str, Any]) -> None:
        self.count += status.get("restartCount", 0)
        ended = part(status, "lastState", "terminated").get("finishedAt")
        if ended and (not self.last or parse_time(ended) > parse_time(self.last)):
            self.last = ended

    def cell(self, now: float) -> str:
        if self.count and self.last:
            return f"{self.count} ({since(self.last, now)} ago)"
        return str(self.count)


def _cells(pod: Object, now: float) -> list[Any]:
    spec, status = part(pod, "spec"), part(pod, "status")
    sidecars = {
        one.get("name")
        for one in items(spec, "initContainers")
        if one.get("restartPolicy") == "Always"
    }
    total = len(items(spec, "containers")) + len(sidecars)
    summary, ready, restarts = _summarise(spec, status, sidecars)
    if formatting.terminating(pod):
        if status.get("reason") == "NodeLost":
            summary = "Unknown"
        elif status.get("phase") not in _CONDITIONS:
            summary = "Terminating"
    addresses = items(status, "podIPs")
    return [
        formatting.name(pod),
        f"{ready}/{total}",
        summary,
        restarts.cell(now),
        formatting.age(pod, now),
        (addresses[0].get("ip") if addresses else "") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _readiness_gates(spec, status),
    ]


def _summarise(
    spec: dict[str, Any], status: dict[str, Any], sidecars: set[Any]
) -> tuple[str, int, _Restarts]:
    """Return the status, the number of ready containers and the restarts."""
    conditions = items(status, "conditions")
    summary = status.get("reason") or status.get("phase", "")
    for condition in conditions:
        scheduled = condition.get("type") == "PodScheduled"
        if scheduled and condition.get("reason") == "SchedulingGated":
            summary = "SchedulingGated"

    ready = 0
    restarts, sidecar_restarts = _Restarts(), _Restarts()
    initializing = ""
    for number, container in enumerate(items(status, "initContainerStatuses")):
        sidecar = container.get("name") in sidecars
        restarts.add(container)
        if sidecar:
            sidecar_restarts.add(container)
        terminated = part(container, "state").get("terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        waiting_for = part(container, "state", "waiting").get("reason")
        if terminated is not None:
            initializing = f"Init:{_ended(terminated)}"
        elif waiting_for and waiting_for != "PodInitializing":
            initializing = f"Init:{waiting_for}"
        else:
            initializing = f"Init:{number}/{len(items(spec, 'initContainers'))}"
        break

    if initializing and formatting.condition_status(conditions, "Initialized") != "True":
        return initializing, ready, restarts

    restarts = sidecar_restarts
    summary = initializing or summary
    failure = ""
    running = False
    for container in reversed(items(status, "containerStatuses")):
        restarts.add(container)
        state = part(container, "state")
        terminated = state.get("terminated")
        if waiting_for := part(state, "waiting").get("reason"):
            summary = waiting_for
        elif terminated is not None:
            summary = _ended(terminated)
            if terminated.get("exitCode"):
                failure = summary
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if summary == "Completed":
        if running and formatting.condition_status(conditions, "Ready") == "True":
            summary = "Running"
        elif failure:
            summary = failure
        elif running:
            summary = "NotReady"
    return summary, ready, restarts


def _ended(terminated: dict[str, Any]) -> str:
    if reason := terminated.get("reason"):
        return str(reason)
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _readiness_gates(spec: dict[str, Any], status: dict[str, Any]) -> str:
    gates = items(spec, "readinessGates")
    if not gates:
        return "<none>"
    conditions = items(status, "conditions")
    passed = [
        gate
        for gate in gates
        if formatting.condition_status(conditions, gate.get("conditionType", "")) == "True"
    ]
    return f"{len(passed)}/{len(gates)}"


def _conditions(pod: Object) -> list[dict[str, str]] | None:
    return _CONDITIONS.get(part(pod, "status").get("phase", ""))


POD = KindPrinter(_COLUMNS, _cells, _conditions)
