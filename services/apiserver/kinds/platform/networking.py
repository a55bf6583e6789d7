"""Ingress and IngressClass.

Source: kube-apiserver v1.36.2, pkg/registry/networking/{ingress,ingressclass}/strategy.go,
pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    address_warnings,
    domain_prefixed_path,
    follows,
    immutable,
    metadata_again,
    required_name,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.addresses import parse_address, validate_address
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
    too_long,
)
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    longer_than,
    path_segment,
    port_name,
    port_number,
    wildcard_dns1123_subdomain,
)

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
PARAMETER_SCOPES = ("Cluster", "Namespace")
MAX_CONTROLLER_BYTES = 250
INVALID_PATH_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
INVALID_PATH_SUFFIXES = ("/..", "/.")
NOT_AN_ADDRESS = "must be a DNS name, not an IP address"


class IngressStrategy(Strategy):
    has_status = True
    has_generation = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {"loadBalancer": {}}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        found = _validate_ingress(spec)
        annotations = obj["metadata"].get("annotations") or {}
        class_name = spec.get("ingressClassName")
        if class_name is not None and annotations.get(CLASS_ANNOTATION, class_name) != class_name:
            found.append(
                invalid(
                    child("annotations", CLASS_ANNOTATION),
                    annotations[CLASS_ANNOTATION],
                    "must match `ingressClassName` when both are specified",
                )
            )
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + _validate_ingress(obj["spec"], old["spec"])

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        annotations = obj["metadata"].get("annotations") or {}
        if CLASS_ANNOTATION in annotations and "ingressClassName" not in obj["spec"]:
            return [
                f'annotation "{CLASS_ANNOTATION}" is deprecated,'
                " please use 'spec.ingressClassName' instead"
            ]
        return []

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": IngressStatus(self)}


class IngressStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        before = [one["ip"] for one in _ingress_points(old) if one.get("ip")]
        found: list[Cause] = []
        for number, point in enumerate(_ingress_points(obj)):
            at = index("status.loadBalancer.ingress", number)
            if point.get("ip"):
                found += validate_address(point["ip"], child(at, "ip"), before)
            hostname = point.get("hostname")
            if hostname:
                found += follows(child(at, "hostname"), hostname, dns1123_subdomain)
                if parse_address(hostname) is not None:
                    found.append(invalid(child(at, "hostname"), hostname, NOT_AN_ADDRESS))
        return found

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return [
            warning
            for number, point in enumerate(_ingress_points(obj))
            for warning in address_warnings(
                index("status.loadBalancer.ingress", number), point.get("ip", "")
            )
        ]


def _ingress_points(obj: Object) -> list[Object]:
    found: list[Object] = obj.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return found


def _validate_ingress(spec: Object, before: Object | None = None) -> list[Cause]:
    rules, backend = spec.get("rules") or [], spec.get("defaultBackend")
    found: list[Cause] = []
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        found.append(invalid("spec", rules, detail))
    if backend is not None:
        found += _validate_backend(backend, "spec.defaultBackend")
    let_wildcards_pass = before is not None and _has_bad_wildcard_rule(before)
    for number, rule in enumerate(rules):
        at = index("spec.rules", number)
        found += _validate_host(rule.get("host", ""), child(at, "host"))
        if not (let_wildcards_pass and "*" in rule.get("host", "")):
            found += _validate_rule(rule, at)
    found += _validate_tls(spec.get("tls") or [], let_secrets_pass=_has_bad_secret_name(before))
    if "ingressClassName" in spec:
        found += follows("spec.ingressClassName", spec["ingressClassName"], dns1123_subdomain)
    return found


def _validate_host(host: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if host:
        if parse_address(host) is not None:
            found.append(invalid(path, host, NOT_AN_ADDRESS))
        found += _validate_wildcard_host(host, path)
    return found


def _validate_wildcard_host(host: str, path: str) -> list[Cause]:
    rule = wildcard_dns1123_subdomain if "*" in host else dns1123_subdomain
    return follows(path, host, rule)


def _validate_tls(entries: list[Object], *, let_secrets_pass: bool) -> list[Cause]:
    found: list[Cause] = []
    for number, entry in enumerate(entries):
        at = index("spec.tls", number)
        for position, host in enumerate(entry.get("hosts") or ()):
            found += _validate_wildcard_host(host, index(child(at, "hosts"), position))
        secret = entry.get("secretName")
        if secret and not let_secrets_pass:
            found += follows(child(at, "secretName"), secret, dns1123_subdomain)
    return found


def _has_bad_secret_name(spec: Object | None) -> bool:
    entries = (spec or {}).get("tls") or ()
    return any(one.get("secretName") and dns1123_subdomain(one["secretName"]) for one in entries)


def _has_bad_wildcard_rule(spec: Object) -> bool:
    return any(
        "*" in rule.get("host", "") and _validate_rule(rule, "") for rule in spec.get("rules") or ()
    )


def _validate_rule(rule: Object, path: str) -> list[Cause]:
    http = rule.get("http")
    if http is None:
        return []
    at = child(path, "http", "paths")
    paths = http.get("paths") or []
    found = [] if paths else [required(at)]
    for number, one in enumerate(paths):
        found += _validate_path(one, index(at, number))
    return found


def _validate_path(entry: Object, path: str) -> list[Cause]:
    if entry.get("pathType") is None:
        return [required(child(path, "pathType"), "pathType must be specified")]
    found: list[Cause] = []
    kind, text, at = entry["pathType"], entry.get("path", ""), child(path, "path")
    absolute = [] if text.startswith("/") else [invalid(at, text, "must be an absolute path")]
    if kind in ("Exact", "Prefix"):
        found += absolute
        found += [
            invalid(at, text, f"must not contain '{sequence}'")
            for sequence in INVALID_PATH_SEQUENCES
            if sequence in text
        ]
        found += [
            invalid(at, text, f"cannot end with '{suffix}'")
            for suffix in INVALID_PATH_SUFFIXES
            if text.endswith(suffix)
        ]
    elif kind == "ImplementationSpecific":
        found += absolute if text else []
    else:
        found.append(not_supported(child(path, "pathType"), kind, PATH_TYPES))
    return found + _validate_backend(entry.get("backend") or {}, child(path, "backend"))


def _validate_backend(backend: Object, path: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _validate_reference(resource, child(path, "resource"))
    if service is None:
        return [invalid(path, "", "resource or service backend is required")]
    found = required_name(child(path, "service", "name"), service.get("name", ""), dns1123_label)
    port = service.get("port") or {}
    name, number, at = port.get("name"), port.get("number"), child(path, "service", "port")
    if name and number:
        found.append(invalid(path, "", "cannot set both port name & port number"))
    elif name:
        found += follows(child(at, "name"), name, port_name)
    elif number:
        found += [invalid(child(at, "number"), number, text) for text in port_number(number)]
    else:
        found.append(required(path, "port name or number is required"))
    return found


def _validate_reference(reference: Object, path: str) -> list[Cause]:
    """Check a TypedLocalObjectReference: apiGroup, kind, name."""
    found: list[Cause] = []
    if reference.get("apiGroup") is not None:
        found += follows(child(path, "apiGroup"), reference["apiGroup"], dns1123_subdomain)
    for name in ("kind", "name"):
        found += required_name(child(path, name), reference.get(name, ""), path_segment)
    return found


class IngressClassStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        parameters = (obj.get("spec") or {}).get("parameters")
        if parameters is not None and parameters.get("scope") is None:
            parameters["scope"] = "Cluster"

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_class(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        return [
            *immutable("spec.controller", spec.get("controller", ""), before.get("controller", "")),
            *metadata_again(self, obj, old),
            *_validate_class(spec),
        ]


def _validate_class(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    controller = spec.get("controller", "")
    if longer_than(controller, MAX_CONTROLLER_BYTES):
        found.append(too_long("spec.controller", MAX_CONTROLLER_BYTES))
    found += domain_prefixed_path("spec.controller", controller)
    parameters, at = spec.get("parameters"), "spec.parameters"
    if parameters is None:
        return found
    found += _validate_reference(parameters, at)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        found.append(required(child(at, "scope")))
    elif scope not in PARAMETER_SCOPES:
        found.append(not_supported(child(at, "scope"), scope, PARAMETER_SCOPES))
    elif scope == "Namespace":
        if namespace is None:
            detail = "`parameters.scope` is set to 'Namespace'"
            found.append(required(child(at, "namespace"), detail))
        else:
            found += follows(child(at, "namespace"), namespace, dns1123_label)
    elif namespace is not None:
        found.append(forbidden(child(at, "namespace"), "`parameters.scope` is set to 'Cluster'"))
    return found


NETWORKING_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("networking.k8s.io", "ingresses"): IngressStrategy,
    ("networking.k8s.io", "ingressclasses"): IngressClassStrategy,
}
