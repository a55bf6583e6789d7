"""The strategies of platform kinds: networking, storage, rbac, admission, extensions and others.

One module a family; nothing here knows workloads or the core group's kinds.
"""

from __future__ import annotations

from services.apiserver.kinds.platform.addresses import ADDRESS_STRATEGIES
from services.apiserver.kinds.platform.apiextensions import APIEXTENSIONS_STRATEGIES
from services.apiserver.kinds.platform.apiregistration import APIREGISTRATION_STRATEGIES
from services.apiserver.kinds.platform.certificates import CERTIFICATE_STRATEGIES
from services.apiserver.kinds.platform.coordination import COORDINATION_STRATEGIES
from services.apiserver.kinds.platform.csi import CSI_STRATEGIES
from services.apiserver.kinds.platform.discovery import DISCOVERY_STRATEGIES
from services.apiserver.kinds.platform.flowschemas import FLOWSCHEMA_STRATEGIES
from services.apiserver.kinds.platform.networking import NETWORKING_STRATEGIES
from services.apiserver.kinds.platform.networkpolicy import NETWORKPOLICY_STRATEGIES
from services.apiserver.kinds.platform.node import NODE_STRATEGIES
from services.apiserver.kinds.platform.policies import POLICY_STRATEGIES
from services.apiserver.kinds.platform.prioritylevels import PRIORITYLEVEL_STRATEGIES
from services.apiserver.kinds.platform.rbac import RBAC_STRATEGIES
from services.apiserver.kinds.platform.resourceclaims import RESOURCECLAIM_STRATEGIES
from services.apiserver.kinds.platform.resourceslices import RESOURCESLICE_STRATEGIES
from services.apiserver.kinds.platform.scheduling import SCHEDULING_STRATEGIES
from services.apiserver.kinds.platform.storage import STORAGE_STRATEGIES
from services.apiserver.kinds.platform.webhooks import WEBHOOK_STRATEGIES
from services.apiserver.registry.strategy import StrategyFactory

PLATFORM_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    **ADDRESS_STRATEGIES,
    **APIEXTENSIONS_STRATEGIES,
    **APIREGISTRATION_STRATEGIES,
    **CERTIFICATE_STRATEGIES,
    **COORDINATION_STRATEGIES,
    **CSI_STRATEGIES,
    **DISCOVERY_STRATEGIES,
    **FLOWSCHEMA_STRATEGIES,
    **NETWORKING_STRATEGIES,
    **NETWORKPOLICY_STRATEGIES,
    **NODE_STRATEGIES,
    **POLICY_STRATEGIES,
    **PRIORITYLEVEL_STRATEGIES,
    **RBAC_STRATEGIES,
    **RESOURCECLAIM_STRATEGIES,
    **RESOURCESLICE_STRATEGIES,
    **SCHEDULING_STRATEGIES,
    **STORAGE_STRATEGIES,
    **WEBHOOK_STRATEGIES,
}
"""The strategies by (group, resource)."""

__all__ = ["PLATFORM_STRATEGIES"]
