"""The strategies of workload kinds, by (group, resource)."""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.kinds.controllerrevision import ControllerRevisionStrategy
from services.apiserver.kinds.cronjob import CronJobStrategy
from services.apiserver.kinds.daemonset import DaemonSetStrategy
from services.apiserver.kinds.deployment import DeploymentStrategy
from services.apiserver.kinds.job import JobStrategy
from services.apiserver.kinds.pod import PodStrategy
from services.apiserver.kinds.poddisruptionbudget import PodDisruptionBudgetStrategy
from services.apiserver.kinds.podtemplate import PodTemplateStrategy
from services.apiserver.kinds.replicaset import ReplicaSetStrategy
from services.apiserver.kinds.replicationcontroller import ReplicationControllerStrategy
from services.apiserver.kinds.statefulset import StatefulSetStrategy
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
    ("batch", "cronjobs"): CronJobStrategy,
    ("batch", "jobs"): JobStrategy,
    ("policy", "poddisruptionbudgets"): PodDisruptionBudgetStrategy,
}
