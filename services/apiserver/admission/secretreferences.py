"""Which Secrets a pod names.

Source: kube-apiserver v1.36.2, pkg/api/pod/util.go (VisitPodSecretNames).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.apiserver.registry.strategy import Object

REFERENCES = ("secretRef", "nodePublishSecretRef")
"""What volume plugins call the Secret they need."""


def secret_names(pod: Object) -> Iterator[str]:
    """Yield the names of the Secrets that a pod's spec names itself, in any of its parts."""
    spec = pod["spec"]
    for reference in spec.get("imagePullSecrets", ()):
        yield from _name(reference)
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers, ()):
            yield from container_secret_names(container)
    for volume in spec.get("volumes", ()):
        yield from volume_secret_names(volume)


def container_secret_names(container: Object) -> Iterator[str]:
    for source in container.get("envFrom", ()):
        yield from _name(source.get("secretRef", {}))
    for variable in container.get("env", ()):
        yield from _name(variable.get("valueFrom", {}).get("secretKeyRef", {}))


def volume_secret_names(volume: Object) -> Iterator[str]:
    for kind, source in volume.items():
        if kind == "name":
            continue
        if kind in ("secret", "azureFile"):
            yield from filter(None, (source.get("secretName", ""),))
        elif kind == "projected":
            for projection in source.get("sources", ()):
                yield from _name(projection.get("secret", {}))
        else:
            for field in REFERENCES:
                yield from _name(source.get(field, {}))


def _name(reference: Object) -> Iterator[str]:
    if reference.get("name"):
        yield reference["name"]
