"""The audiences for which a pod needs tokens: those of its volumes and their drivers.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/noderestriction/admission.go
(podReferencesAudience).
"""

from __future__ import annotations

from typing import Any

from services.apiserver.authorization.podreferences import ephemeral_claim_name, projected_sources
from services.apiserver.registry.strategy import Object, WriteContext


def names_audience(ctx: WriteContext, pod: Object, audience: str) -> bool:
    """Whether a volume of the pod, or the driver behind one, takes tokens for `audience`."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        for source in projected_sources(volume):
            token = source.get("serviceAccountToken")
            if token is not None and token.get("audience", "") == audience:
                return True
        driver = ctx.lookup.get("storage.k8s.io", "csidrivers", "", _driver(ctx, pod, volume))
        requests = (driver or {}).get("spec", {}).get("tokenRequests") or ()
        if any(one.get("audience", "") == audience for one in requests):
            return True
    return False


def _driver(ctx: WriteContext, pod: Object, volume: dict[str, Any]) -> str:
    """Return the name of the CSI driver of a pod's volume, "" if there is none."""
    if "ephemeral" in volume:
        claim_name = ephemeral_claim_name(pod, volume)
    elif "persistentVolumeClaim" in volume:
        claim_name = volume["persistentVolumeClaim"].get("claimName", "")
    else:
        own: str = (volume.get("csi") or {}).get("driver", "")
        return own
    namespace = pod["metadata"].get("namespace", "")
    claim = ctx.lookup.get("", "persistentvolumeclaims", namespace, claim_name) or {}
    volume_name = claim.get("spec", {}).get("volumeName", "")
    bound = ctx.lookup.get("", "persistentvolumes", "", volume_name) or {}
    driver: str = (bound.get("spec", {}).get("csi") or {}).get("driver", "")
    return driver
