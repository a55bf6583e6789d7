"""What creation does to a pod spec besides defaulting.

Source: kube-apiserver v1.36.2, pkg/registry/core/pod/strategy.go, pkg/api/pod/util.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.kinds.podspec import podannotations, security

Object = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def drop_disabled_fields(spec: Object) -> None:
    """Drop the fields of features that are off by default in v1.36."""
    spec.pop("schedulingGroup", None)
    for volume in spec.get("volumes", ()):
        for source in volume.get("projected", {}).get("sources") or ():
            source.pop("clusterTrustBundle", None)
            source.pop("podCertificate", None)
    for container, _ in security.containers_of(spec, ""):
        lifecycle = container.get("lifecycle")
        if lifecycle is not None:
            lifecycle.pop("stopSignal", None)


def merge_label_keys(pod: Object) -> None:
    """Turn matchLabelKeys and mismatchLabelKeys into expressions of the labelSelector."""
    spec, labels = pod["spec"], pod["metadata"].get("labels", {})
    for constraint in spec.get("topologySpreadConstraints", ()):
        _merge(constraint, labels)
    affinity = spec.get("affinity", {})
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind, {})
        for weighted in terms.get(_PREFERRED, ()):
            _merge(weighted.get("podAffinityTerm", {}), labels)
        for term in terms.get(_REQUIRED, ()):
            _merge(term, labels)


def _merge(term: Object, labels: dict[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:  # matches nothing, whatever the keys are
        return
    added = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(name, ())
        if key in labels
    ]
    if added:
        selector["matchExpressions"] = [*selector.get("matchExpressions", ()), *added]


def fill_app_armor_fields(pod: Object, warnings: list[str]) -> None:
    """Copy the AppArmor annotations of old clients to the fields that replaced them."""
    notes = pod["metadata"].get("annotations", {})
    spec = pod["spec"]
    if spec.get("os", {}).get("name") == "windows":
        return
    of_pod = spec.get("securityContext", {}).get("appArmorProfile")
    for container, _ in security.containers_of(spec, ""):
        name = podannotations.APP_ARMOR + container.get("name", "")
        if name not in notes or "appArmorProfile" in container.get("securityContext", {}):
            continue
        profile = _app_armor_profile(notes[name])
        if profile is not None and profile != of_pod:
            container.setdefault("securityContext", {})["appArmorProfile"] = profile
        elif profile is not None:
            continue
        warnings.append(
            f"metadata.annotations[{name}]: deprecated since v1.30;"
            ' use the "appArmorProfile" field instead'
        )


def _app_armor_profile(annotation: str) -> Object | None:
    """Return the field's value for an annotation's; None if there is none that is valid."""
    if annotation in ("", "runtime/default"):
        return {"type": "RuntimeDefault"} if annotation else None
    if annotation == "unconfined":
        return {"type": "Unconfined"}
    if not annotation.startswith("localhost/"):
        return None
    profile: Object = {
        "type": "Localhost",
        "localhostProfile": annotation.removeprefix("localhost/"),
    }
    return None if any(security.validate_app_armor(profile, "")) else profile


def add_gated_condition(pod: Object, now: str) -> None:
    """Tell in the status of a new pod that scheduling gates hold it back."""
    if not pod["spec"].get("schedulingGates"):
        return
    conditions = pod["status"].setdefault("conditions", [])
    conditions.append(
        {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": now,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
    )
