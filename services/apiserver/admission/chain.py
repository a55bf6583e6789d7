"""The admission chain: which plugins there are, which are on, and in which order they run.

Source of names and order: kube-apiserver v1.36.2, pkg/kubeapiserver/options/plugins.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.apiserver.admission.attributes import Attributes, Mutating, Operation, Validating
from services.apiserver.registry.strategy import WriteContext

ORDER = (
    "AlwaysAdmit",
    "NamespaceAutoProvision",
    "NamespaceLifecycle",
    "NamespaceExists",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "AlwaysPullImages",
    "ImagePolicyWebhook",
    "PodSecurity",
    "PodNodeSelector",
    "Priority",
    "DefaultTolerationSeconds",
    "PodTolerationRestriction",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "PodTopologyLabels",
    "NodeDeclaredFeatureValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
    "AlwaysDeny",
)
KNOWN_PLUGINS = frozenset(ORDER)


class AdmissionChain:
    """The plugins that are on, in order: first all that mutate, later all that validate."""

    def __init__(self, mutating: Sequence[Mutating], validating: Sequence[Validating]) -> None:
        self._mutating = tuple(mutating)
        self._validating = tuple(validating)

    def __repr__(self) -> str:
        mutating = ", ".join(one.name for one in self._mutating)
        validating = ", ".join(one.name for one in self._validating)
        return f"<AdmissionChain mutating {mutating}; validating {validating}>"

    async def mutate(self, ctx: WriteContext, attributes: Attributes) -> bool:
        """Let the mutating plugins change the object; returns whether any looked at it.

        Raises:
            ApiError: a plugin refuses.
        """
        looked = False
        for plugin in self._mutating:
            if plugin.handles(attributes):
                looked = True
                await plugin.admit(ctx, attributes)
        return looked

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        """Ask the validating plugins.

        Raises:
            ApiError: a plugin refuses.
        """
        for plugin in self._validating:
            if plugin.handles(attributes):
                await plugin.validate(ctx, attributes)


__all__ = ["KNOWN_PLUGINS", "ORDER", "AdmissionChain", "Attributes", "Operation"]
