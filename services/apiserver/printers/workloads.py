"""Rows of what makes pods: deployments, sets, jobs, templates, revisions.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.duration import human_duration, parse_time, since
from services.apiserver.printers.formatting import (
    age,
    containers_and_images,
    items,
    label_selector,
    label_set,
    name,
    part,
)
from services.apiserver.printers.printer import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    Column,
    KindPrinter,
    Object,
)
from shared.selectors import SelectorError, label_selector_from_object


def _pod_template(obj: Object, now: float) -> list[Any]:
    template = part(obj, "template")
    labels = label_set(part(template, "metadata").get("labels"))
    return [name(obj), *containers_and_images(part(template, "spec")), labels]


def _replicas(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj, now),
        *containers_and_images(part(spec, "template", "spec")),
    ]


def _replication_controller(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), label_set(part(obj, "spec").get("selector"))]


def _replica_set(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), label_selector(part(obj, "spec").get("selector"))]


def _deployment(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    try:
        selector = str(label_selector_from_object(spec.get("selector")))
    except SelectorError:
        selector = "<invalid>"
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *containers_and_images(part(spec, "template", "spec")),
        selector,
    ]


def _stateful_set(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        age(obj, now),
        *containers_and_images(part(spec, "template", "spec")),
    ]


def _daemon_set(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    pod_spec = part(spec, "template", "spec")
    return [
        name(obj),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        label_set(pod_spec.get("nodeSelector")),
        age(obj, now),
        *containers_and_images(pod_spec),
        label_selector(spec.get("selector")),
    ]


def _job(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name(obj),
        _job_state(obj, items(status, "conditions")),
        _job_completions(spec, status.get("succeeded", 0)),
        _job_duration(status, now),
        age(obj, now),
        *containers_and_images(part(spec, "template", "spec")),
        label_selector(spec.get("selector")),
    ]


def _job_state(obj: Object, conditions: list[Any]) -> str:
    def has(kind: str) -> bool:
        return formatting.condition_status(conditions, kind) == "True"

    for ended in ("Complete", "Failed"):
        if has(ended):
            return ended
    if formatting.terminating(obj):
        return "Terminating"
    for ending in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if has(ending):
            return ending
    return "Running"


def _job_completions(spec: dict[str, Any], succeeded: int) -> str:
    completions = spec.get("completions")
    if completions is not None:
        return f"{succeeded}/{completions}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(status: dict[str, Any], now: float) -> str:
    started = status.get("startTime")
    if not started:
        return ""
    ended = status.get("completionTime")
    return human_duration((parse_time(ended) if ended else now) - parse_time(started))


def _cron_job(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    job = part(spec, "jobTemplate", "spec")
    last = status.get("lastScheduleTime")
    zone = spec.get("timeZone")
    return [
        name(obj),
        spec.get("schedule", ""),
        "<none>" if zone is None else zone,
        formatting.truth(spec.get("suspend")),
        len(items(status, "active")),
        since(last, now) if last else "<none>",
        age(obj, now),
        *containers_and_images(part(job, "template", "spec")),
        label_selector(job.get("selector")),
    ]


def _controller_revision(obj: Object, now: float) -> list[Any]:
    return [name(obj), _controller(obj), obj.get("revision", 0), age(obj, now)]


def _controller(obj: Object) -> str:
    for owner in items(part(obj, "metadata"), "ownerReferences"):
        if owner.get("controller"):
            group, slash, _ = owner.get("apiVersion", "").rpartition("/")
            kind = f"{owner['kind']}.{group}" if slash and group else owner["kind"]
            return f"{kind.lower()}/{owner['name']}"
    return "<none>"


def _scale(obj: Object, now: float) -> list[Any]:
    desired = part(obj, "spec").get("replicas", 0)
    return [name(obj), desired, part(obj, "status").get("replicas", 0), age(obj, now)]


def _replica_columns(kind: str) -> tuple[Column, ...]:
    return (
        NAME,
        Column("Desired", "integer", doc=f"{kind}Spec.replicas"),
        Column("Current", "integer", doc=f"{kind}Status.replicas"),
        Column("Ready", "integer", doc=f"{kind}Status.readyReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, doc=f"{kind}Spec.selector"),
    )


_READY_PODS = Column("Ready", description="Number of the pod with ready state")
_DAEMON_SET = "api.apps.v1.DaemonSet"
_JOB = "api.batch.v1.Job"
_CRON_JOB = "api.batch.v1.CronJob"

POD_TEMPLATE = KindPrinter(
    (
        NAME,
        Column("Containers", description=CONTAINERS.description),
        Column("Images", description=IMAGES.description),
        Column("Pod Labels", description="The labels for the pod template."),
    ),
    _pod_template,
)
REPLICATION_CONTROLLER = KindPrinter(
    _replica_columns("api.core.v1.ReplicationController"), _replication_controller
)
REPLICA_SET = KindPrinter(_replica_columns("api.apps.v1.ReplicaSet"), _replica_set)
DEPLOYMENT = KindPrinter(
    (
        NAME,
        _READY_PODS,
        Column("Up-to-date", doc="api.apps.v1.DeploymentStatus.updatedReplicas"),
        Column("Available", doc="api.apps.v1.DeploymentStatus.availableReplicas"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, doc="api.apps.v1.DeploymentSpec.selector"),
    ),
    _deployment,
)
STATEFUL_SET = KindPrinter((NAME, _READY_PODS, AGE, CONTAINERS, IMAGES), _stateful_set)
DAEMON_SET = KindPrinter(
    (
        NAME,
        Column("Desired", "integer", doc=f"{_DAEMON_SET}Status.desiredNumberScheduled"),
        Column("Current", "integer", doc=f"{_DAEMON_SET}Status.currentNumberScheduled"),
        Column("Ready", "integer", doc=f"{_DAEMON_SET}Status.numberReady"),
        Column("Up-to-date", "integer", doc=f"{_DAEMON_SET}Status.updatedNumberScheduled"),
        Column("Available", "integer", doc=f"{_DAEMON_SET}Status.numberAvailable"),
        Column("Node Selector", doc="api.core.v1.PodSpec.nodeSelector"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, doc=f"{_DAEMON_SET}Spec.selector"),
    ),
    _daemon_set,
)
JOB = KindPrinter(
    (
        NAME,
        Column("Status", description="Status of the job."),
        Column("Completions", doc=f"{_JOB}Status.succeeded"),
        Column("Duration", description="Time required to complete the job."),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, doc=f"{_JOB}Spec.selector"),
    ),
    _job,
)
CRON_JOB = KindPrinter(
    (
        NAME,
        Column("Schedule", doc=f"{_CRON_JOB}Spec.schedule"),
        Column("Timezone", doc=f"{_CRON_JOB}Spec.timeZone"),
        Column("Suspend", "boolean", doc=f"{_CRON_JOB}Spec.suspend"),
        Column("Active", "integer", doc=f"{_CRON_JOB}Status.active"),
        Column("Last Schedule", doc=f"{_CRON_JOB}Status.lastScheduleTime"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", priority=1, doc=f"{_JOB}Spec.selector"),
    ),
    _cron_job,
)
CONTROLLER_REVISION = KindPrinter(
    (
        NAME,
        Column("Controller", description="Controller of the object"),
        Column("Revision", doc="api.apps.v1.ControllerRevision.revision"),
        AGE,
    ),
    _controller_revision,
)
SCALE = KindPrinter(
    (
        Column("Name", doc=NAME.doc),
        Column("Desired", "integer", doc="api.autoscaling.v1.ScaleSpec.replicas"),
        Column("Available", "integer", doc="api.autoscaling.v1.ScaleStatus.replicas"),
        AGE,
    ),
    _scale,
)
