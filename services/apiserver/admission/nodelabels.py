"""Which labels of its own node a kubelet may set.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/noderestriction/admission.go
(getForbiddenLabels) and kubelet/pkg/apis/well_known_labels.go.
"""

from __future__ import annotations

from collections.abc import Mapping

OWN_NAMESPACE = "node-restriction.kubernetes.io"
"""Labels of this domain say where pods may run: a node must not choose them."""
KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    }
)
KUBELET_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Return the labels of a node that differ though the node must not change them."""
    return sorted(
        label
        for label in new.keys() | old.keys()
        if new.get(label) != old.get(label) and _is_forbidden(label)
    )


def _is_forbidden(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    if not slash:
        return False
    if _is_within(domain, OWN_NAMESPACE):
        return True
    if not _is_within(domain, "kubernetes.io") and not _is_within(domain, "k8s.io"):
        return False
    return label not in KUBELET_LABELS and not any(
        _is_within(domain, allowed) for allowed in KUBELET_LABEL_DOMAINS
    )


def _is_within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith(f".{parent}")
