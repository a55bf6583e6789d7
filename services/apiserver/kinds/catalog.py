"""The catalog: which strategy serves which resource, and how served versions differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.apiserver.kinds.core import core_strategies
from services.apiserver.kinds.event import from_events_v1, to_events_v1
from services.apiserver.kinds.platform import PLATFORM_STRATEGIES
from services.apiserver.kinds.service_allocation import ServiceAllocators
from services.apiserver.kinds.workloads import WORKLOAD_CONVERSIONS, WORKLOAD_STRATEGIES
from services.apiserver.registry.served import Conversion
from services.apiserver.registry.strategy import Strategy


@dataclass(frozen=True, slots=True)
class StrategyNeeds:
    """What some strategies are made with."""

    allocators: ServiceAllocators
    event_ttl_s: int


def strategies(needs: StrategyNeeds) -> Mapping[tuple[str, str], Callable[[], Strategy]]:
    """Return the strategy factories by (group, resource)."""
    return {
        **WORKLOAD_STRATEGIES,
        **PLATFORM_STRATEGIES,
        **core_strategies(needs.allocators, event_ttl_s=needs.event_ttl_s),
    }


def conversions() -> Mapping[tuple[str, str, str], Conversion]:
    """Return the served versions that are not the stored one, by (group, version, resource)."""
    return {
        **WORKLOAD_CONVERSIONS,
        ("events.k8s.io", "v1", "events"): Conversion(from_events_v1, to_events_v1),
    }
