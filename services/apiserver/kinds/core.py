"""The strategies of core kinds that are no workloads, and of events in both groups."""

from __future__ import annotations

from functools import partial

from services.apiserver.kinds.configmap import ConfigMapStrategy
from services.apiserver.kinds.endpoints import EndpointsStrategy
from services.apiserver.kinds.event import EventStrategy
from services.apiserver.kinds.limitrange import LimitRangeStrategy
from services.apiserver.kinds.namespace import NamespaceStrategy
from services.apiserver.kinds.node import NodeStrategy
from services.apiserver.kinds.persistentvolume import PersistentVolumeStrategy
from services.apiserver.kinds.persistentvolumeclaim import PersistentVolumeClaimStrategy
from services.apiserver.kinds.resourcequota import ResourceQuotaStrategy
from services.apiserver.kinds.secret import SecretStrategy
from services.apiserver.kinds.service import ServiceStrategy
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.kinds.serviceaccount import ServiceAccountStrategy
from services.apiserver.registry.strategy import StrategyFactory

CORE_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("", "configmaps"): ConfigMapStrategy,
    ("", "endpoints"): EndpointsStrategy,
    ("", "limitranges"): LimitRangeStrategy,
    ("", "namespaces"): NamespaceStrategy,
    ("", "nodes"): NodeStrategy,
    ("", "persistentvolumes"): PersistentVolumeStrategy,
    ("", "persistentvolumeclaims"): PersistentVolumeClaimStrategy,
    ("", "resourcequotas"): ResourceQuotaStrategy,
    ("", "secrets"): SecretStrategy,
    ("", "serviceaccounts"): ServiceAccountStrategy,
}
"""Those that need nothing of the server; `core_strategies` adds the others."""


def core_strategies(
    allocators: ServiceAllocators, *, event_ttl_s: int
) -> dict[tuple[str, str], StrategyFactory]:
    """Return the strategies by group and resource."""
    return {
        **CORE_STRATEGIES,
        ("", "events"): partial(EventStrategy, event_ttl_s),
        ("events.k8s.io", "events"): partial(EventStrategy, event_ttl_s, strict=True),
        ("", "services"): partial(ServiceStrategy, allocators),
    }
