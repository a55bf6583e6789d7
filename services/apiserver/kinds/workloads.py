"""The strategies of workload kinds, and the versions that differ from the stored ones."""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.kinds import horizontalpodautoscaler_v1
from services.apiserver.kinds.controllerrevision import ControllerRevisionStrategy
from services.apiserver.kinds.cronjob import CronJobStrategy
from services.apiserver.kinds.daemonset import DaemonSetStrategy
from services.apiserver.kinds.deployment import DeploymentStrategy
from services.apiserver.kinds.horizontalpodautoscaler import HorizontalPodAutoscalerStrategy
from services.apiserver.kinds.job import JobStrategy
from services.apiserver.kinds.pod import PodStrategy
from services.apiserver.kinds.poddisruptionbudget import PodDisruptionBudgetStrategy
from services.apiserver.kinds.podtemplate import PodTemplateStrategy
from services.apiserver.kinds.replicaset import ReplicaSetStrategy
from services.apiserver.kinds.replicationcontroller import ReplicationControllerStrategy
from services.apiserver.kinds.statefulset import StatefulSetStrategy
from services.apiserver.registry.served import Conversion
from services.apiserver.registry.strategy import Strategy

WORKLOAD_STRATEGIES: Mapping[tuple[str, str], type[Strategy]] = {
    ("", "pods"): PodStrategy,
    ("", "podtemplates"): PodTemplateStrategy,
    ("", "replicationcontrollers"): ReplicationControllerStrategy,
    ("apps", "controllerrevisions"): ControllerRevisionStrategy,
    ("apps", "daemonsets"): DaemonSetStrategy,
    ("apps", "deployments"): DeploymentStrategy,
    ("apps", "replicasets"): ReplicaSetStrategy,
    ("apps", "statefulsets"): StatefulSetStrategy,
    ("autoscaling", "horizontalpodautoscalers"): HorizontalPodAutoscalerStrategy,
    ("batch", "cronjobs"): CronJobStrategy,
    ("batch", "jobs"): JobStrategy,
    ("policy", "poddisruptionbudgets"): PodDisruptionBudgetStrategy,
}

WORKLOAD_CONVERSIONS: Mapping[tuple[str, str, str], Conversion] = {
    ("autoscaling", "v1", "horizontalpodautoscalers"): Conversion(
        to_storage=horizontalpodautoscaler_v1.to_storage,
        from_storage=horizontalpodautoscaler_v1.from_storage,
    ),
}
"""By (group, version, resource)."""
