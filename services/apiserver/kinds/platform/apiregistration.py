"""APIService.

Source: kube-apiserver v1.36.2, kube-aggregator/pkg/registry/apiservice/strategy.go,
kube-aggregator/pkg/apis/apiregistration/validation/validation.go and v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import (
    MetadataKeepingStatus,
    follows,
    metadata_again,
)
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import index, invalid, not_supported, required
from services.apiserver.validation.names import (
    dns1035_label,
    dns1123_subdomain,
    path_segment,
    port_number,
)

DEFAULT_PORT = 443
MAX_GROUP_PRIORITY = 20000
MAX_VERSION_PRIORITY = 1000
STATUSES = ("True", "False", "Unknown")


class APIServiceStrategy(Strategy):
    unconditional_update = False
    has_status = True

    def default(self, obj: Object) -> None:
        service = (obj.get("spec") or {}).get("service")
        if service is not None:
            service.setdefault("port", DEFAULT_PORT)

    def validate_name(self, name: str) -> list[str]:
        return path_segment(name)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {}
        if obj["spec"].get("service") is None:
            obj["status"] = {"conditions": [local_condition(ctx.now)]}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_service(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + _validate_service(obj)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": APIServiceStatus(self)}


class APIServiceStatus(MetadataKeepingStatus):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return [
            not_supported(
                f"{index('status.conditions', number)}.status", condition.get("status"), STATUSES
            )
            for number, condition in enumerate(conditions)
            if condition.get("status") not in STATUSES
        ]


def local_condition(now: str) -> Object:
    """Return the condition of an APIService that this server itself answers for."""
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local",
        "message": "Local APIServices are always available",
    }


def _validate_service(obj: Object) -> list[Cause]:
    name, spec = obj["metadata"].get("name", ""), obj["spec"]
    group, version = spec.get("group", ""), spec.get("version", "")
    found: list[Cause] = []
    wanted = f"{version}.{group}"
    if name and name != wanted and not path_segment(name):
        detail = f'must be `spec.version+"."+spec.group`: "{wanted}"'
        found.append(invalid("metadata.name", name, detail))
    if not group and version != "v1":
        found.append(required("spec.group", "only v1 may have an empty group"))
    if group:
        found += follows("spec.group", group, dns1123_subdomain)
    found += follows("spec.version", version, dns1035_label)
    for field, maximum in (
        ("groupPriorityMinimum", MAX_GROUP_PRIORITY),
        ("versionPriority", MAX_VERSION_PRIORITY),
    ):
        priority = spec.get(field, 0)
        if not 0 < priority <= maximum:
            detail = f"must be positive and less than {maximum}"
            found.append(invalid(f"spec.{field}", priority, detail))
    return found + _validate_backend(spec)


def _validate_backend(spec: Object) -> list[Cause]:
    service, bundle = spec.get("service"), spec.get("caBundle")
    insecure, path = spec.get("insecureSkipTLSVerify"), "spec.insecureSkipTLSVerify"
    found: list[Cause] = []
    if service is None:
        if bundle:
            detail = "local APIServices may not have a caBundle"
            found.append(invalid("spec.caBundle", "<bytes>", detail))
        if insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            found.append(invalid(path, insecure, detail))
        return found
    for field in ("namespace", "name"):
        if not service.get(field):
            found.append(required(f"spec.service.{field}"))
    port = service.get("port", 0)
    for message in port_number(port):
        found.append(invalid("spec.service.port", port, f"port is not valid: {message}"))
    if insecure and bundle:
        found.append(invalid(path, insecure, "may not be true if caBundle is present"))
    return found


APIREGISTRATION_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("apiregistration.k8s.io", "apiservices"): APIServiceStrategy,
}
