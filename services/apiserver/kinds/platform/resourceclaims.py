"""DeviceClass, ResourceClaim and ResourceClaimTemplate.

Source: kube-apiserver v1.36.2, pkg/registry/resource/{deviceclass,resourceclaim,
resourceclaimtemplate}/strategy.go, pkg/registry/resource/utils.go,
pkg/apis/resource/validation/validation.go, pkg/apis/resource/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.claimstatus import (
    drop_deallocated_devices,
    validate_claim_status,
)
from services.apiserver.kinds.platform.devices import (
    MAX_CONFIGS,
    MAX_SELECTORS,
    fully_qualified_attribute,
    name_of,
    validate_configuration,
    validate_list,
    validate_selector,
    validate_set,
    validate_toleration,
)
from services.apiserver.kinds.platform.requestnames import RequestNames
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    follows,
    immutable,
    metadata_again,
    required_name,
)
from services.apiserver.kinds.podspec.resources import is_extended
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_annotations, validate_labels
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain

MAX_REQUESTS = 32
MAX_CONSTRAINTS = 32
MAX_ALTERNATIVES = 8
ALLOCATION_MODES = ("All", "ExactCount")
ADMIN_LABEL = "resource.kubernetes.io/admin-access"
TEMPLATE_METADATA = ("labels", "annotations")


class DeviceClassStrategy(Strategy):
    has_generation = True
    returns_deleted_object = True

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        found = _validate_selectors(spec, "spec")
        found += validate_list(
            spec.get("config") or [], MAX_CONFIGS, validate_configuration, "spec.config"
        )
        name = spec.get("extendedResourceName")
        if name is not None and not is_extended(name):
            detail = "must be a valid extended resource name"
            found.append(invalid("spec.extendedResourceName", name, detail))
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_create(ctx, obj)


class ResourceClaimStrategy(Strategy):
    has_status = True
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        _default_claim(obj.setdefault("spec", {}))
        allocation = (obj.get("status") or {}).get("allocation") or {}
        for result in (allocation.get("devices") or {}).get("results") or ():
            _default_tolerations(result)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _admin_access(ctx, obj, obj["spec"]) + _validate_claim(obj["spec"], "spec")

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + immutable("spec", obj["spec"], old["spec"])

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": ResourceClaimStatus(self)}


class ResourceClaimStatus(MetadataKeepingStatus):
    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        drop_deallocated_devices(obj, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return _admin_results(ctx, obj, old) + validate_claim_status(obj, old)


class ResourceClaimTemplateStrategy(Strategy):
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        _default_claim(obj.setdefault("spec", {}).setdefault("spec", {}))

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _admin_access(ctx, obj, obj["spec"]["spec"]) + _validate_template(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return [
            *metadata_again(self, obj, old),
            *_validate_template(obj["spec"]),
            *immutable("spec", obj["spec"], old["spec"]),
        ]


def _default_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly")
        alternatives = request.get("firstAvailable") or []
        for one in [exactly, *alternatives] if exactly is not None else alternatives:
            if not one.get("allocationMode"):
                one["allocationMode"] = "ExactCount"
            if one["allocationMode"] == "ExactCount" and not one.get("count"):
                one["count"] = 1
            _default_tolerations(one)


def _default_tolerations(holder: Object) -> None:
    for toleration in holder.get("tolerations") or ():
        if not toleration.get("operator"):
            toleration["operator"] = "Equal"


def _admin_access(ctx: WriteContext, obj: Object, spec: Object) -> list[Cause]:
    """Check that the namespace may have what asks for administrative access to devices."""
    for number, request in enumerate((spec.get("devices") or {}).get("requests") or ()):
        if (request.get("exactly") or {}).get("adminAccess"):
            path = child(index("spec.devices.requests", number), "adminAccess")
            return [] if _is_admin_namespace(ctx, obj) else [_no_admin(path)]
    return []


def _admin_results(ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
    def position(claim: Object) -> int | None:
        results = ((claim.get("status") or {}).get("allocation") or {}).get("devices") or {}
        for number, result in enumerate(results.get("results") or ()):
            if result.get("adminAccess"):
                return number
        return None

    number = position(obj)
    if number is None or position(old) is not None or _is_admin_namespace(ctx, obj):
        return []
    return [_no_admin(child(index("status.allocation.devices.results", number), "adminAccess"))]


def _is_admin_namespace(ctx: WriteContext, obj: Object) -> bool:
    namespace = ctx.lookup.get("", "namespaces", "", obj["metadata"].get("namespace", ""))
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    return bool(labels.get(ADMIN_LABEL) == "true")


def _no_admin(path: str) -> Cause:
    detail = f"admin access to devices requires the `{ADMIN_LABEL}: true` label on the namespace"
    return forbidden(path, detail)


def _validate_template(spec: Object) -> list[Cause]:
    meta, path = spec.get("metadata") or {}, "spec.metadata"
    found = validate_annotations(meta.get("annotations"), child(path, "annotations"))
    found += validate_labels(meta.get("labels"), child(path, "labels"))
    found += [
        forbidden(child(path, name), "cannot be set")
        for name, value in meta.items()
        if value and name not in TEMPLATE_METADATA
    ]
    return found + _validate_claim(spec["spec"], "spec.spec")


def _validate_claim(spec: Object, path: str) -> list[Cause]:
    devices, at = spec.get("devices") or {}, child(path, "devices")
    names = RequestNames.of(devices)
    found = validate_set(
        devices.get("requests") or [],
        MAX_REQUESTS,
        _validate_request,
        child(at, "requests"),
        name_of,
    )

    def constraint(one: Object, where: str) -> list[Cause]:
        return _validate_references(one, where, names) + _validate_constraint(one, where)

    def config(one: Object, where: str) -> list[Cause]:
        return _validate_references(one, where, names) + validate_configuration(one, where)

    found += validate_list(
        devices.get("constraints") or [], MAX_CONSTRAINTS, constraint, child(at, "constraints")
    )
    return found + validate_list(
        devices.get("config") or [], MAX_CONFIGS, config, child(at, "config")
    )


def _validate_request(request: Object, path: str) -> list[Cause]:
    found = follows(child(path, "name"), request.get("name", ""), dns1123_label)
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    one_of = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly is None and not alternatives:
        found.append(required(path, one_of))
    elif exactly is not None and alternatives:
        found.append(invalid(path, None, f"{one_of}, but multiple fields are set"))
    elif exactly is not None:
        found += _validate_device(exactly, child(path, "exactly"))
    else:
        at = child(path, "firstAvailable")
        found += validate_set(alternatives, MAX_ALTERNATIVES, _validate_subrequest, at, name_of)
    return found


def _validate_subrequest(request: Object, path: str) -> list[Cause]:
    found = follows(child(path, "name"), request.get("name", ""), dns1123_label)
    return found + _validate_device(request, path)


def _validate_device(request: Object, path: str) -> list[Cause]:
    """Check what a request asks of a device."""
    name = request.get("deviceClassName", "")
    found = required_name(child(path, "deviceClassName"), name, dns1123_subdomain)
    found += _validate_selectors(request, path)
    mode, count = request.get("allocationMode", ""), request.get("count", 0)
    if mode not in ALLOCATION_MODES:
        found.append(not_supported(child(path, "allocationMode"), mode, ALLOCATION_MODES))
    elif mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        found.append(invalid(child(path, "count"), count, detail))
    elif mode == "ExactCount" and count <= 0:
        found.append(invalid(child(path, "count"), count, "must be greater than zero"))
    tolerations = request.get("tolerations") or []
    return found + validate_list(tolerations, None, validate_toleration, child(path, "tolerations"))


def _validate_selectors(holder: Object, path: str) -> list[Cause]:
    selectors = holder.get("selectors") or []
    return validate_list(selectors, MAX_SELECTORS, validate_selector, child(path, "selectors"))


def _validate_references(holder: Object, path: str, names: RequestNames) -> list[Cause]:
    requests, at = holder.get("requests") or [], child(path, "requests")
    return validate_set(requests, MAX_REQUESTS, names.validate_reference, at, str)


def _validate_constraint(constraint: Object, path: str) -> list[Cause]:
    for name in ("matchAttribute", "distinctAttribute"):
        if constraint.get(name) is not None:
            return fully_qualified_attribute(constraint[name], child(path, name))
    return [required(path, 'exactly one of "matchAttribute" or "distinctAttribute" is required')]


RESOURCECLAIM_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("resource.k8s.io", "deviceclasses"): DeviceClassStrategy,
    ("resource.k8s.io", "resourceclaims"): ResourceClaimStrategy,
    ("resource.k8s.io", "resourceclaimtemplates"): ResourceClaimTemplateStrategy,
}
