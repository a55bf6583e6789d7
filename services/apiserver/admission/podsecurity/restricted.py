"""The checks that the restricted level adds or makes stricter: hardened pods.

Source: kube-apiserver v1.36.2, pod-security-admission/policy/check_*.go.
"""

from __future__ import annotations

from services.apiserver.admission.podsecurity import baseline
from services.apiserver.admission.podsecurity.baseline import SECCOMP_TYPES
from services.apiserver.admission.podsecurity.violation import (
    CheckedPod,
    Violation,
    containers,
    named_containers,
    plural,
    quoted,
    security_context,
    setters,
)
from services.apiserver.registry.strategy import Object

VOLUME_TYPES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)


def allow_privilege_escalation(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    if pod.is_windows:
        return None
    bad = [
        one["name"]
        for one in containers(spec)
        if security_context(one).get("allowPrivilegeEscalation") is not False
    ]
    if not bad:
        return None
    return Violation(
        "allowPrivilegeEscalation != false",
        f"{named_containers(bad)} must set securityContext.allowPrivilegeEscalation=false",
    )


def capabilities(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    if pod.minor < 22:  # the stricter rule came later
        return baseline.capabilities(pod)
    if pod.is_windows:
        return None
    keeps: list[str] = []
    adds: list[str] = []
    added: set[str] = set()
    for container in containers(spec):
        wanted = security_context(container).get("capabilities") or {}
        if "ALL" not in (wanted.get("drop") or ()):
            keeps.append(container["name"])
        forbidden = set(wanted.get("add") or ()) - {"NET_BIND_SERVICE"}
        if forbidden:
            adds.append(container["name"])
            added |= forbidden
    found: list[str] = []
    if keeps:
        found.append(
            f'{named_containers(keeps)} must set securityContext.capabilities.drop=["ALL"]'
        )
    if adds:
        found.append(
            f"{named_containers(adds)} must not include {quoted(sorted(added))} in"
            " securityContext.capabilities.add"
        )
    return Violation("unrestricted capabilities", "; ".join(found)) if found else None


def restricted_volumes(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    bad: list[str] = []
    types: set[str] = set()
    for volume in spec.get("volumes") or ():
        used = volume.keys() - VOLUME_TYPES - {"name"}
        if used or len(volume) == 1:
            bad.append(volume["name"])
            types |= used or {"unknown"}
    if not bad:
        return None
    return Violation(
        "restricted volume types",
        f"{plural('volume', 'volumes', bad)} {quoted(bad)} {plural('uses', 'use', bad)}"
        f" restricted volume {plural('type', 'types', types)} {quoted(sorted(types))}",
    )


def run_as_non_root(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    of_pod = security_context(spec).get("runAsNonRoot")
    refuses: list[str] = []
    silent: list[str] = []
    for container in containers(spec):
        own = security_context(container).get("runAsNonRoot")
        if own is False:
            refuses.append(container["name"])
        elif own is None and not of_pod:
            silent.append(container["name"])
    if of_pod is False or refuses:
        return Violation(
            "runAsNonRoot != true",
            f"{setters(of_pod is False, refuses)} must not set securityContext.runAsNonRoot=false",
        )
    if silent:
        return Violation(
            "runAsNonRoot != true",
            f"pod or {named_containers(silent)} must set securityContext.runAsNonRoot=true",
        )
    return None


def run_as_user(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    pod_does = security_context(spec).get("runAsUser") == 0
    bad = [one["name"] for one in containers(spec) if security_context(one).get("runAsUser") == 0]
    if not pod_does and not bad:
        return None
    return Violation("runAsUser=0", f"{setters(pod_does, bad)} must not set runAsUser=0")


def seccomp_profile(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    if pod.is_windows:
        return None
    used: set[str] = set()

    def kind_of(of: Object) -> str | None:
        profile = security_context(of).get("seccompProfile")
        kind: str | None = None if profile is None else profile.get("type", "")
        if kind is not None and kind not in SECCOMP_TYPES:
            used.add(kind)
        return kind

    of_pod = kind_of(spec)
    pod_is_fine = of_pod in SECCOMP_TYPES
    bad: list[str] = []
    silent: list[str] = []
    for container in containers(spec):
        kind = kind_of(container)
        if kind is None:
            if not pod_is_fine:
                silent.append(container["name"])
        elif kind not in SECCOMP_TYPES:
            bad.append(container["name"])
    field = "securityContext.seccompProfile.type"
    if used:
        pod_does = of_pod is not None and not pod_is_fine
        return Violation(
            "seccompProfile",
            f"{setters(pod_does, bad)} must not set {field} to {quoted(sorted(used))}",
        )
    if silent:
        return Violation(
            "seccompProfile",
            f'pod or {named_containers(silent)} must set {field} to "RuntimeDefault" or'
            ' "Localhost"',
        )
    return None
