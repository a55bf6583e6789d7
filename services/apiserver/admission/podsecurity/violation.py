"""Violation: what one check found, and how findings are worded.

Source: kube-apiserver v1.36.2, pod-security-admission/policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.apiserver.registry.strategy import Object


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that failed. `reason` names it, `detail` says who did what."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class CheckedPod:
    """A pod, or a pod template, and the minor version of the standard it is judged by."""

    annotations: Mapping[str, str]
    spec: Object
    minor: int

    @property
    def is_windows(self) -> bool:
        """Whether checks that mean nothing on Windows leave it alone (since v1.25)."""
        return self.minor >= 25 and (self.spec.get("os") or {}).get("name") == "windows"


def containers(spec: Object) -> Iterator[Object]:
    """Yield all containers of a pod, in the order in which they are named."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def security_context(of: Object) -> Object:
    """Return the security context of a pod's spec or a container, {} where there is none."""
    context: Object = of.get("securityContext") or {}
    return context


def plural(one: str, many: str, values: Collection[str]) -> str:
    return one if len(values) == 1 else many


def quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def named_containers(names: Collection[str]) -> str:
    """Return «container "a"» or «containers "a", "b"»."""
    return f"{plural('container', 'containers', names)} {quoted(names)}"


def setters(pod_does: bool, names: Collection[str]) -> str:
    """Return who sets something: the pod, containers, or both."""
    parts = ["pod"] if pod_does else []
    if names:
        parts.append(named_containers(names))
    return " and ".join(parts)
