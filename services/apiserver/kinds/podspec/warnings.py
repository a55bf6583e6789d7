"""Warnings about pod specs that are valid but hardly meant so.

Source: kube-apiserver v1.36.2, pkg/api/pod/warnings.go, pkg/api/node/util.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.apiserver.kinds.podspec import podannotations, security
from services.apiserver.kinds.podspec.addresses import address_warnings
from services.apiserver.validation import field
from services.apiserver.values.quantity import parse

Object = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
}
_DEPRECATED_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
_DEPRECATED_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SECCOMP_ANNOTATION = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_PROJECTED = {"configMap": "ConfigMap", "secret": "Secret", "downwardAPI": "DownwardAPI"}
_BYTES = ("memory", "ephemeral-storage")


def spec_warnings(meta: Object, spec: Object, path: str = "") -> Iterator[str]:
    """Yield the warnings about a pod, or about the template at `path`."""
    at = field.child(path, "spec")
    if "nodeSelector" in spec:
        for name in sorted(spec["nodeSelector"]):
            if name in _DEPRECATED_LABELS:
                yield f"{at}.nodeSelector[{name}]: {_DEPRECATED_LABELS[name]}"
    if "affinity" in spec:
        yield from _node_affinity(spec["affinity"].get("nodeAffinity", {}), f"{at}.affinity")
    for number, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        yield from _spread(constraint, f"{at}.topologySpreadConstraints[{number}]")
    notes = meta.get("annotations", {})
    if notes:
        for name, message in _DEPRECATED_ANNOTATIONS.items():
            if name in notes:
                yield f"{field.child(path, 'metadata.annotations')}[{name}]: {message}"
    if "volumes" in spec:
        yield from _volumes(spec["volumes"], f"{at}.volumes")
    yield from _doubled(spec, at)
    if "overhead" in spec:
        yield from _fractions(spec["overhead"], f"{at}.overhead")
    if notes:
        yield from _profile_annotations(notes, spec, path)
    yield from _containers(spec, at)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        yield (
            f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and"
            " will be treated as 1"
        )
    if "affinity" in spec:
        yield from _pod_affinity(spec["affinity"], f"{at}.affinity")
    config = spec.get("dnsConfig", {})
    for number, server in enumerate(config.get("nameservers", ())):
        yield from address_warnings(server, f"{at}.dnsConfig.nameservers[{number}]")
    for number, alias in enumerate(spec.get("hostAliases", ())):
        yield from address_warnings(alias.get("ip", ""), f"{at}.hostAliases[{number}].ip")


def _node_affinity(affinity: Object, path: str) -> Iterator[str]:
    terms = affinity.get(_REQUIRED, {}).get("nodeSelectorTerms") or ()
    for number, term in enumerate(terms):
        yield from selector_term_warnings(
            term, f"{path}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{number}]"
        )
    for number, preferred in enumerate(affinity.get(_PREFERRED, ())):
        yield from selector_term_warnings(
            preferred.get("preference", {}),
            f"{path}.nodeAffinity.{_PREFERRED}[{number}].preference",
        )


def selector_term_warnings(term: Object, path: str) -> Iterator[str]:
    """Yield warnings about the deprecated labels that a node selector term names."""
    for number, expression in enumerate(term.get("matchExpressions", ())):
        key = expression.get("key", "")
        if key in _DEPRECATED_LABELS:
            yield f"{path}.matchExpressions[{number}].key: {key} is {_DEPRECATED_LABELS[key]}"


def _spread(constraint: Object, path: str) -> Iterator[str]:
    key = constraint.get("topologyKey", "")
    if key in _DEPRECATED_LABELS:
        yield f"{path}.topologyKey: {key} is {_DEPRECATED_LABELS[key]}"
    if "labelSelector" not in constraint:
        yield f"{path}.labelSelector: {_NULL_SELECTOR}"


def _volumes(volumes: list[Object], path: str) -> Iterator[str]:
    for number, volume in enumerate(volumes):
        for kind, message in _DEPRECATED_VOLUMES.items():
            if kind in volume:
                shown = "storageOS" if kind == "storageos" else kind
                yield f"{path}[{number}].{shown}: {message}"
        template = volume.get("ephemeral", {}).get("volumeClaimTemplate")
        if template is not None:
            yield from claim_warnings(
                template.get("spec", {}), f"{path}[{number}].ephemeral.volumeClaimTemplate.spec"
            )
    yield from _overlapping_paths(volumes)


def claim_warnings(spec: Object, path: str) -> Iterator[str]:
    """Yield warnings about a PersistentVolumeClaimSpec."""
    resources = spec.get("resources", {})
    for kind in ("requests", "limits"):
        storage = resources.get(kind, {}).get("storage")
        if storage is not None and parse(storage).milli_value() % 1000:
            yield (
                f"{path}.resources.{kind}[storage]: fractional byte value"
                f' "{storage}" is invalid, must be an integer'
            )


def _overlapping_paths(volumes: list[Object]) -> Iterator[str]:
    """Yield a warning for each file of a volume that stands in another file's way."""
    for volume in volumes:
        name = volume.get("name", "")
        for kind, shown, key in (
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ):
            items = volume.get(kind, {}).get("items")
            if items:
                yield from _overlaps(_paths(items), _source(name, shown, volume[kind].get(key)))
        if "projected" in volume:
            yield from _projected_paths(name, volume["projected"].get("sources") or ())


def _projected_paths(volume: str, sources: Iterable[Object]) -> Iterator[str]:
    known: set[str] = set()
    paths: list[str] = []
    subject = ""
    for source in sources:
        if not source:
            yield f'volume "{volume}" (Projected) has no sources provided'
            continue
        for kind, shown in _PROJECTED.items():
            items = source.get(kind, {}).get("items")
            if items:
                paths = _paths(items)
                subject = _source(volume, f"Projected {shown}", source[kind].get("name"))
                break
        else:
            # A source without items is taken for the one before it, as kube-apiserver does.
            if "serviceAccountToken" in source:
                paths = [source["serviceAccountToken"].get("path", "")]
                subject = _source(volume, "Projected ServiceAccountToken", None)
        if paths:
            yield from _overlaps(paths, subject)
            yield from _overlaps(sorted([*set(paths), *known]), subject)
            known.update(paths)


def _source(volume: str, kind: str, name: str | None) -> str:
    named = kind if name is None else f'{kind} "{name}"'
    return f'volume "{volume}" ({named}): overlapping paths'


def _paths(items: list[Object]) -> list[str]:
    return [item.get("path", "") for item in items]


def _overlaps(paths: list[str], subject: str) -> Iterator[str]:
    seen: dict[str, None] = {}
    for path in paths:
        trimmed = path.rstrip("/")
        for other in seen:
            if not other or not trimmed:
                break
            # Not only whole segments count: token2 lies within token.
            if f"{other}/".startswith(trimmed) or f"{trimmed}/".startswith(other):
                yield f'{subject}: "{trimmed}" with "{other}"'
                break
        seen[trimmed] = None


def _doubled(spec: Object, path: str) -> Iterator[str]:
    for kind, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for number, item in enumerate(spec.get(kind, ())):
            value = item.get(key, "")
            if value in seen:
                yield f'{path}.{kind}[{number}].{key}: duplicate {key} "{value}"'
            seen.add(value)
    for number, item in enumerate(spec.get("imagePullSecrets", ())):
        if not item.get("name"):
            yield f'{path}.imagePullSecrets[{number}].name: invalid empty name ""'


def _fractions(resources: dict[str, str], path: str) -> Iterator[str]:
    for name in _BYTES:
        text = resources.get(name)
        if text is not None and parse(text).milli_value() % 1000:
            yield (f'{path}[{name}]: fractional byte value "{text}" is invalid, must be an integer')


def _profile_annotations(notes: dict[str, str], spec: Object, path: str) -> Iterator[str]:
    at = field.child(path, "metadata.annotations")
    context = spec.get("securityContext", {})
    if podannotations.SECCOMP_POD in notes and "seccompProfile" not in context:
        yield f"{at}[{podannotations.SECCOMP_POD}]: {_SECCOMP_ANNOTATION}"
    for container, _ in security.containers_of(spec, path):
        own = container.get("securityContext", {})
        name = podannotations.SECCOMP_CONTAINER + container.get("name", "")
        if name in notes and "seccompProfile" not in own:
            yield f"{at}[{name}]: {_SECCOMP_ANNOTATION}"
        name = podannotations.APP_ARMOR + container.get("name", "")
        # A pod's annotations were warned about when they became fields.
        if (
            path
            and name in notes
            and not ("appArmorProfile" in own or "appArmorProfile" in context)
        ):
            yield f'{at}[{name}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _containers(spec: Object, path: str) -> Iterator[str]:
    ports: dict[tuple[int, str], list[tuple[str, Object]]] = {}
    for container, at in security.containers_of(spec, path):
        if container["resources"]:
            for kind in ("limits", "requests"):
                listed = container["resources"].get(kind)
                if listed:
                    yield from _fractions(listed, f"{at}.resources.{kind}")
        if "env" in container and len(container["env"]) > 1:
            yield from _hidden_variables(container["env"], f"{at}.env")
    for container, at in security.containers_of(spec, path):
        for number, port in enumerate(container.get("ports", ())):
            yield from _port(port, f"{at}.ports[{number}]", ports)


def _hidden_variables(variables: list[Object], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, variable in enumerate(variables):
        name = variable.get("name", "")
        if name not in seen:
            seen.add(name)
            continue
        value, reference = variable.get("value", ""), f"$({name})"
        if "valueFrom" in variable or value == reference or reference not in value:
            yield (
                f'{path}[{number}]: hides previous definition of "{name}", which may be dropped'
                " when using apply"
            )


def _port(
    port: Object, path: str, ports: dict[tuple[int, str], list[tuple[str, Object]]]
) -> Iterator[str]:
    address, host_port = port.get("hostIP", ""), port.get("hostPort", 0)
    if address and not host_port:
        yield f"{path}: hostIP set without hostPort: {port}"
    known = ports.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
    for other_path, other in known:
        other_address, other_host_port = other.get("hostIP", ""), other.get("hostPort", 0)
        if address == other_address and host_port == other_host_port:
            yield f"{path}: duplicate port definition with {other_path}"
        elif host_port == 0 or other_host_port == 0:
            yield f"{path}: overlapping port definition with {other_path}"
        elif host_port == other_host_port and bool(address) != bool(other_address):
            yield f"{path}: dangerously ambiguous port definition with {other_path}"
    known.append((path, port))


def _pod_affinity(affinity: Object, path: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind, {})
        for number, term in enumerate(terms.get(_REQUIRED, ())):
            if "labelSelector" not in term:
                yield f"{path}.{kind}.{_REQUIRED}[{number}].labelSelector: {_NULL_SELECTOR}"
        for number, weighted in enumerate(terms.get(_PREFERRED, ())):
            if "labelSelector" not in weighted.get("podAffinityTerm", {}):
                yield (
                    f"{path}.{kind}.{_PREFERRED}[{number}].podAffinityTerm.labelSelector:"
                    f" {_NULL_SELECTOR}"
                )
