"""The strategies of workload kinds, by (group, resource)."""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.kinds.pod import PodStrategy
from services.apiserver.registry.strategy import Strategy

WORKLOAD_STRATEGIES: Mapping[tuple[str, str], type[Strategy]] = {
    ("", "pods"): PodStrategy,
}
