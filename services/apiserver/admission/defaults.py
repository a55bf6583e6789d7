"""Which admission plugins are built in and on by default, and how the chain is made of them."""

from __future__ import annotations

from collections.abc import Collection

from services.apiserver.admission.attributes import Mutating, Plugin, Validating
from services.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    Permits,
)
from services.apiserver.admission.chain import ORDER, AdmissionChain
from services.apiserver.admission.ingress import DefaultIngressClass
from services.apiserver.admission.limitranger import LimitRanger
from services.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from services.apiserver.admission.noderestriction import NodeRestriction
from services.apiserver.admission.nodes import TaintNodesByCondition
from services.apiserver.admission.podplugins import (
    AlwaysPullImages,
    ExtendedResourceToleration,
    LimitPodHardAntiAffinityTopology,
)
from services.apiserver.admission.podsecurity import PodSecurity
from services.apiserver.admission.priority import Priority
from services.apiserver.admission.quota import ResourceQuota
from services.apiserver.admission.runtimeclass import RuntimeClass
from services.apiserver.admission.serviceaccount import ServiceAccount
from services.apiserver.admission.storageplugins import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from services.apiserver.admission.tolerations import DefaultTolerationSeconds
from services.apiserver.admission.topologylabels import PodTopologyLabels
from services.apiserver.registry.allocators import ObjectStore

DEFAULT_PLUGINS = frozenset(
    {
        "CertificateApproval",
        "CertificateSigning",
        "CertificateSubjectRestriction",
        "DefaultIngressClass",
        "DefaultStorageClass",
        "DefaultTolerationSeconds",
        "LimitRanger",
        "NamespaceLifecycle",
        "PersistentVolumeClaimResize",
        "PodSecurity",
        "PodTopologyLabels",
        "Priority",
        "ResourceQuota",
        "RuntimeClass",
        "ServiceAccount",
        "StorageObjectInUseProtection",
        "TaintNodesByCondition",
    }
)
"""What is on unless it is disabled, as far as it is supported."""
SUPPORTED_PLUGINS = DEFAULT_PLUGINS | {
    "AlwaysPullImages",
    "ExtendedResourceToleration",
    "LimitPodHardAntiAffinityTopology",
    "NodeRestriction",
}
"""What can be enabled."""


def admission_chain(
    *,
    storage: ObjectStore,
    permits: Permits,
    etcd_prefix: str = "/registry",
    enabled: Collection[str] = (),
    disabled: Collection[str] = (),
) -> AdmissionChain:
    """Return the chain of the default plugins, with those `enabled` and without `disabled`.

    `storage` is where quotas are charged, `permits` asks the authorizers.
    """
    built: tuple[Plugin, ...] = (
        AlwaysPullImages(),
        CertificateApproval(permits),
        CertificateSigning(permits),
        CertificateSubjectRestriction(),
        DefaultIngressClass(),
        DefaultStorageClass(),
        DefaultTolerationSeconds(),
        ExtendedResourceToleration(),
        LimitPodHardAntiAffinityTopology(),
        LimitRanger(),
        NamespaceLifecycle(),
        NodeRestriction(permits),
        PersistentVolumeClaimResize(),
        PodSecurity(),
        PodTopologyLabels(),
        Priority(),
        ResourceQuota(storage, etcd_prefix=etcd_prefix),
        RuntimeClass(),
        ServiceAccount(),
        StorageObjectInUseProtection(),
        TaintNodesByCondition(),
    )
    on = (DEFAULT_PLUGINS | set(enabled)) - set(disabled)
    plugins = {plugin.name: plugin for plugin in built if plugin.name in on}
    ordered = [plugins[name] for name in ORDER if name in plugins]
    return AdmissionChain(
        [plugin for plugin in ordered if isinstance(plugin, Mutating)],
        [plugin for plugin in ordered if isinstance(plugin, Validating)],
    )
