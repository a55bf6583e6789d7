"""ResourceSlice: the devices of a driver's pool.

Source: kube-apiserver v1.36.2, pkg/registry/resource/resourceslice/strategy.go,
pkg/apis/resource/validation/validation.go, pkg/apis/resource/v1/defaults.go.
"""

from __future__ import annotations

import re

from services.apiserver.errors import Cause
from services.apiserver.kinds.persistentvolume import validate_node_selector
from services.apiserver.kinds.platform.devicecapacity import validate_capacity
from services.apiserver.kinds.platform.devices import (
    driver_name,
    name_of,
    pool_name,
    qualified_name,
    validate_binding_conditions,
    validate_list,
    validate_set,
    validate_taint,
)
from services.apiserver.kinds.platform.rules import follows, immutable, required_name
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    invalid,
    key,
    required,
    too_long,
    too_many,
)
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain, longer_than
from services.apiserver.values.time import now

MAX_DEVICES = 128
MAX_ADVANCED_DEVICES = 64
"""The most devices of a slice where one has taints or consumes counters."""
MAX_ATTRIBUTES = 32
MAX_VALUE_BYTES = 64
MAX_TAINTS = 16
MAX_COUNTER_SETS = 8
MAX_COUNTERS = 32
MAX_CONSUMPTIONS = 2
ATTRIBUTE_VALUES = ("bool", "int", "string", "version")
GATED_VALUES = ("bools", "ints", "strings", "versions")
"""List-typed attributes, which are off."""
GATED_MAPPINGS = "nodeAllocatableResourceMappings"
"""Devices that count as a node's resources, which are off."""
_NUMBER = r"(0|[1-9]\d*)"
_PRERELEASE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRERELEASE}(\.{_PRERELEASE})*)?"
    rf"(\+{_BUILD}(\.{_BUILD})*)?"
)


class ResourceSliceStrategy(Strategy):
    has_generation = True
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        for device in (obj.get("spec") or {}).get("devices") or ():
            for taint in device.get("taints") or ():
                if not taint.get("timeAdded"):
                    taint["timeAdded"] = now()

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        _drop_gated(obj, None)
        super().prepare_for_create(ctx, obj)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        _drop_gated(obj, old)
        super().prepare_for_update(ctx, obj, old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_spec(obj["spec"], None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return _validate_spec(obj["spec"], old["spec"])

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        driver = obj["spec"].get("driver", "")
        if driver == driver.lower():
            return []
        return [f'spec.driver: driver names should be lowercase; "{driver}" has others']

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.warn_on_create(ctx, obj)


def _devices(spec: Object | None) -> list[Object]:
    found: list[Object] = (spec or {}).get("devices") or []
    return found


def _drop_gated(obj: Object, old: Object | None) -> None:
    """Drop the fields of features that are off, unless the old object uses them."""
    before = _devices(old["spec"]) if old else []
    keeps_lists = any(
        name in attribute
        for device in before
        for attribute in (device.get("attributes") or {}).values()
        for name in GATED_VALUES
    )
    keeps_mappings = any(GATED_MAPPINGS in device for device in before)
    for device in _devices(obj["spec"]):
        if not keeps_mappings:
            device.pop(GATED_MAPPINGS, None)
        if not keeps_lists:
            for attribute in (device.get("attributes") or {}).values():
                for name in GATED_VALUES:
                    attribute.pop(name, None)


def _validate_spec(spec: Object, before: Object | None) -> list[Cause]:
    pool = spec.get("pool") or {}
    found = driver_name(spec.get("driver", ""), "spec.driver")
    found += pool_name(pool.get("name", ""), "spec.pool.name")
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        found.append(invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        detail = "must be greater than or equal to zero"
        found.append(invalid("spec.pool.generation", generation, detail))
    if before is not None:
        old_pool = before.get("pool") or {}
        found += immutable("spec.pool.name", pool.get("name"), old_pool.get("name"))
        for name in ("driver", "nodeName"):
            found += immutable(f"spec.{name}", spec.get(name), before.get(name))
    found += _validate_nodes(
        spec, "spec", ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
    )
    devices, counters = _devices(spec), spec.get("sharedCounters") or []
    if counters and devices:
        found.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    advanced = any(device.get("taints") or device.get("consumesCounters") for device in devices)
    known = {name_of(device): device for device in _devices(before)}
    per_device = bool(spec.get("perDeviceNodeSelection"))

    def device(one: Object, path: str) -> list[Cause]:
        return _validate_device(one, known.get(name_of(one)), path, per_device)

    maximum = MAX_ADVANCED_DEVICES if advanced else MAX_DEVICES
    found += validate_set(devices, maximum, device, "spec.devices", name_of)
    return found + validate_set(
        counters, MAX_COUNTER_SETS, _validate_counter_set, "spec.sharedCounters", name_of
    )


def _validate_nodes(holder: Object, path: str, choices: tuple[str, ...]) -> list[Cause]:
    """Check that the nodes are told in exactly one way."""
    found: list[Cause] = []
    told: list[str] = []
    for name in choices:
        value, at = holder.get(name), child(path, name)
        if value is None:
            continue
        if not value and name != "nodeSelector":
            detail = "must be either unset or set to a value other than the empty one"
            found.append(invalid(at, value, detail))
            continue
        told.append(name)
        if name == "nodeName":
            found += follows(at, value, dns1123_subdomain)
        elif name == "nodeSelector":
            found += validate_node_selector(value, at)
            terms = value.get("nodeSelectorTerms") or []
            # One term is easier to merge where devices come from several slices.
            if path == "spec" and len(terms) != 1:
                detail = "must have exactly one node selector term"
                found.append(invalid(child(at, "nodeSelectorTerms"), terms, detail))
    one_of = f"exactly one of {', '.join(f'`{name}`' for name in choices)} is required"
    if not told:
        found.append(required(path, one_of))
    elif len(told) > 1:
        found.append(invalid(path, told, f"{one_of}, but multiple fields are set"))
    return found


def _validate_device(
    device: Object, before: Object | None, path: str, per_device: bool
) -> list[Cause]:
    found = follows(child(path, "name"), name_of(device), dns1123_label)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    count = len(attributes) + len(capacity)
    if count > MAX_ATTRIBUTES:
        detail = f"the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}"
        found.append(invalid(path, count, detail))
    at = child(path, "attributes")
    for name, attribute in attributes.items():
        found += qualified_name(name, at) + _validate_attribute(attribute, key(at, name))
    at = child(path, "capacity")
    shared = bool(device.get("allowMultipleAllocations"))
    for name, one in capacity.items():
        found += qualified_name(name, at) + validate_capacity(one, key(at, name), shared=shared)
    taints = device.get("taints") or []
    if before is None or taints != (before.get("taints") or []):
        found += validate_list(taints, MAX_TAINTS, validate_taint, child(path, "taints"))
    found += validate_set(
        device.get("consumesCounters") or [],
        MAX_CONSUMPTIONS,
        _validate_consumption,
        child(path, "consumesCounters"),
        lambda one: str(one.get("counterSet", "")),
    )
    choices = ("nodeName", "nodeSelector", "allNodes")
    if per_device:
        found += _validate_nodes(device, path, choices)
    elif any(device.get(name) is not None for name in choices):
        detail = "nodes can only be set if the slice has `perDeviceNodeSelection`"
        found.append(invalid(path, None, detail))
    return found + validate_binding_conditions(device, path)


def _validate_attribute(attribute: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    present = [name for name in ATTRIBUTE_VALUES if attribute.get(name) is not None]
    if "string" in present and longer_than(attribute["string"], MAX_VALUE_BYTES):
        found.append(too_long(child(path, "string"), MAX_VALUE_BYTES))
    if "version" in present:
        version, at = attribute["version"], child(path, "version")
        if not _SEMVER.fullmatch(version):
            detail = "must be a string compatible with semver.org spec 2.0.0"
            found.append(invalid(at, version, detail))
        if longer_than(version, MAX_VALUE_BYTES):
            found.append(too_long(at, MAX_VALUE_BYTES))
    if len(present) != 1:
        found.append(invalid(path, attribute or "", "exactly one value must be specified"))
    return found


def _validate_counter_set(counters: Object, path: str) -> list[Cause]:
    found = required_name(child(path, "name"), name_of(counters), dns1123_label)
    return found + _validate_counters(counters, path)


def _validate_consumption(consumption: Object, path: str) -> list[Cause]:
    name = consumption.get("counterSet", "")
    found = required_name(child(path, "counterSet"), name, dns1123_label)
    return found + _validate_counters(consumption, path)


def _validate_counters(holder: Object, path: str) -> list[Cause]:
    counters, at = holder.get("counters") or {}, child(path, "counters")
    if not counters:
        return [required(at)]
    if len(counters) > MAX_COUNTERS:
        return [too_many(at, len(counters), MAX_COUNTERS)]
    found: list[Cause] = []
    for name in counters:
        found += follows(at, name, dns1123_label)
    return found


RESOURCESLICE_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("resource.k8s.io", "resourceslices"): ResourceSliceStrategy,
}
