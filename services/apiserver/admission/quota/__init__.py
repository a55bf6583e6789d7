"""ResourceQuota: what objects use (usage.py), and whether the quotas have room (plugin.py)."""

from services.apiserver.admission.quota.plugin import ResourceQuota

__all__ = ["ResourceQuota"]
