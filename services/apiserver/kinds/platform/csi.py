"""CSIDriver and CSINode.

Source: kube-apiserver v1.36.2, pkg/registry/storage/{csidriver,csinode}/strategy.go,
pkg/apis/storage/validation/validation.go, pkg/apis/storage/v1/defaults.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import follows, immutable, metadata_again
from services.apiserver.kinds.volumesources import validate_csi_driver_name
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import NOT_NEGATIVE
from services.apiserver.validation.names import longer_than, qualified_name

FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES = ("Persistent", "Ephemeral")
MIN_TOKEN_S = 600
MAX_TOKEN_S = 1 << 32
MIN_UPDATE_PERIOD_S = 10
MAX_NODE_ID_BYTES = 256
GATED = "preventPodSchedulingIfMissing"
"""A field of volume limit scaling, which is off."""
SPEC_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}
TOKENS_IN_SECRETS_WARNING = (
    "spec.tokenRequests is set: consider setting spec.serviceAccountTokenInSecrets to true, so"
    " that tokens are not passed in the volume context"
)


class CSIDriverStrategy(Strategy):
    unconditional_update = False
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for name, value in SPEC_DEFAULTS.items():
            spec.setdefault(name, value)
        if not spec.get("volumeLifecycleModes"):
            spec["volumeLifecycleModes"] = ["Persistent"]

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["spec"].pop(GATED, None)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        if GATED not in old["spec"]:
            obj["spec"].pop(GATED, None)
        if obj["spec"] != old["spec"]:
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_driver(obj["spec"])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        found = _validate_driver(spec)
        # The path of this error is misspelt in kube-apiserver, and clients may look for it.
        for name, path in (
            ("attachRequired", "spec.attachedRequired"),
            ("volumeLifecycleModes", "spec.volumeLifecycleModes"),
        ):
            found += immutable(path, spec.get(name), before.get(name))
        return found

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _token_warnings(obj["spec"])

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        if obj["spec"].get("tokenRequests") == old["spec"].get("tokenRequests"):
            return []
        return _token_warnings(obj["spec"])


def _token_warnings(spec: Object) -> list[str]:
    wanted = spec.get("tokenRequests") and "serviceAccountTokenInSecrets" not in spec
    return [TOKENS_IN_SECRETS_WARNING] if wanted else []


def _validate_driver(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in FS_GROUP_POLICIES:
        found.append(not_supported("spec.fsGroupPolicy", policy, FS_GROUP_POLICIES))
    tokens = spec.get("tokenRequests") or []
    found += _validate_tokens(tokens)
    found += [
        not_supported("spec.volumeLifecycleModes", mode, LIFECYCLE_MODES)
        for mode in spec.get("volumeLifecycleModes") or ()
        if mode not in LIFECYCLE_MODES
    ]
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < MIN_UPDATE_PERIOD_S:
        found.append(
            invalid(
                "spec.nodeAllocatableUpdatePeriodSeconds",
                period,
                "must be greater than or equal to 10 seconds",
            )
        )
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not tokens:
        detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        found.append(invalid("spec.serviceAccountTokenInSecrets", in_secrets, detail))
    return found


def _validate_tokens(tokens: list[Object]) -> list[Cause]:
    found: list[Cause] = []
    audiences: set[str] = set()
    for number, token in enumerate(tokens):
        at = index("spec.tokenRequests", number)
        audience, expiration = token.get("audience", ""), token.get("expirationSeconds")
        if audience in audiences:
            found.append(duplicate(child(at, "audience"), audience))
            continue
        audiences.add(audience)
        if expiration is None:
            continue
        at = child(at, "expirationSeconds")
        if expiration < MIN_TOKEN_S:
            found.append(invalid(at, expiration, "may not specify a duration less than 10 minutes"))
        if expiration > MAX_TOKEN_S:
            detail = "may not specify a duration larger than 2^32 seconds"
            found.append(invalid(at, expiration, detail))
    return found


class CSINodeStrategy(Strategy):
    unconditional_update = False
    returns_deleted_object = True

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_drivers(obj["spec"].get("drivers") or [])

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        drivers = obj["spec"].get("drivers") or []
        found = metadata_again(self, obj, old) + _validate_drivers(drivers)
        for before in old["spec"].get("drivers") or ():
            for driver in drivers:
                if driver.get("name") == before.get("name"):
                    found += immutable("spec.drivers", _fixed(driver), _fixed(before))
        return found


def _fixed(driver: Object) -> Object:
    """Return a driver without what may change."""
    return {name: value for name, value in driver.items() if name != "allocatable"}


def _validate_drivers(drivers: list[Object]) -> list[Cause]:
    found: list[Cause] = []
    names: set[str] = set()
    for number, driver in enumerate(drivers):
        at = index("spec.drivers", number)
        name, node = driver.get("name", ""), driver.get("nodeID", "")
        path = child(at, "name")
        found += validate_csi_driver_name(name, path) if name else [required(path)]
        path = child(at, "nodeID")
        if not node:
            found.append(required(path))
        elif longer_than(node, MAX_NODE_ID_BYTES):
            found.append(invalid(path, node, f"must be {MAX_NODE_ID_BYTES} characters or less"))
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            found.append(invalid(child(at, "allocatable", "count"), count, NOT_NEGATIVE))
        if name in names:
            found.append(duplicate(child(at, "name"), name))
        names.add(name)
        found += _validate_topology_keys(driver.get("topologyKeys") or [], at)
    return found


def _validate_topology_keys(labels: list[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for label in labels:
        if not label:
            found.append(required(path))
        if label in seen:
            found.append(duplicate(path, label))
        seen.add(label)
        found += follows(path, label, qualified_name)
    return found


CSI_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("storage.k8s.io", "csidrivers"): CSIDriverStrategy,
    ("storage.k8s.io", "csinodes"): CSINodeStrategy,
}
