"""The strategies of platform kinds: networking, storage, rbac, admission, extensions and others.

One module a family; nothing here knows workloads or the core group.
"""

from __future__ import annotations

from services.apiserver.registry.strategy import StrategyFactory

PLATFORM_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {}
"""The strategies by (group, resource)."""

__all__ = ["PLATFORM_STRATEGIES"]
