"""The status of a ResourceClaim: what was allocated, who uses it, how the devices are.

Source: kube-apiserver v1.36.2, pkg/apis/resource/validation/validation.go,
pkg/registry/resource/resourceclaim/strategy.go (dropDeallocatedStatusDevices).
"""

from __future__ import annotations

import re

from services.apiserver.errors import Cause
from services.apiserver.kinds.persistentvolume import validate_node_selector
from services.apiserver.kinds.platform.devices import (
    MAX_CONFIGS,
    driver_name,
    pool_name,
    validate_binding_conditions,
    validate_configuration,
    validate_list,
    validate_raw_object,
    validate_set,
)
from services.apiserver.kinds.platform.requestnames import RequestNames
from services.apiserver.kinds.platform.rules import follows, immutable
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.addresses import parse_cidr
from services.apiserver.validation.field import (
    child,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from services.apiserver.validation.metadata import validate_conditions
from services.apiserver.validation.names import dns1123_label, longer_than

MAX_REQUESTS = 32
MAX_CONSUMERS = 256
MAX_RESULTS = 32
MAX_DEVICE_CONDITIONS = 8
MAX_DATA_BYTES = 10 * 1024
MAX_ADDRESSES = 16
MAX_NAME_BYTES = {"interfaceName": 256, "hardwareAddress": 128}
CONFIG_SOURCES = ("FromClaim", "FromClass")
_UID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

DeviceId = tuple[str, str, str, str]
"""Driver, pool, device, share of it."""


def _device_id(holder: Object) -> DeviceId:
    driver, pool, device, share = (
        holder.get(name) or "" for name in ("driver", "pool", "device", "shareID")
    )
    return driver, pool, device, share


def _allocated(obj: Object) -> set[DeviceId]:
    allocation = (obj.get("status") or {}).get("allocation") or {}
    results = (allocation.get("devices") or {}).get("results") or ()
    return {_device_id(result) for result in results}


def drop_deallocated_devices(obj: Object, old: Object) -> None:
    """Forget the status of devices that this update takes from the claim."""
    status = obj.get("status") or {}
    gone = _allocated(old) - _allocated(obj)
    devices = [one for one in status.get("devices") or () if _device_id(one) not in gone]
    if devices:
        status["devices"] = devices
    else:
        status.pop("devices", None)


def validate_claim_status(obj: Object, old: Object) -> list[Cause]:
    status, before = obj.get("status") or {}, old.get("status") or {}
    names = RequestNames.of(obj["spec"].get("devices") or {})
    consumers = status.get("reservedFor") or []
    path = "status.reservedFor"
    found = validate_set(
        consumers, MAX_CONSUMERS, _validate_consumer, path, lambda one: str(one.get("uid", ""))
    )
    allocated = _allocated(obj)

    def device(one: Object, where: str) -> list[Cause]:
        return _validate_device(one, where, allocated)

    found += validate_set(status.get("devices") or [], None, device, "status.devices", _device_id)
    allocation, present = status.get("allocation"), before.get("allocation")
    if consumers:
        if allocation is None:
            detail = "may not be specified when `allocated` is not set"
            found.append(forbidden(path, detail))
        elif "deletionTimestamp" in obj["metadata"] and any(
            one not in (before.get("reservedFor") or ()) for one in consumers
        ):
            found.append(forbidden(path, "new entries may not be added while being deleted"))
    if allocation is not None:
        at = "status.allocation"
        if present is not None:
            found += immutable(at, allocation, present)
        else:
            found += _validate_allocation(allocation, at, names)
    return found


def _validate_consumer(consumer: Object, path: str) -> list[Cause]:
    return [
        required(child(path, name))
        for name in ("resource", "name", "uid")
        if not consumer.get(name)
    ]


def _validate_device(device: Object, path: str, allocated: set[DeviceId]) -> list[Cause]:
    found = _validate_device_id(device, path)
    if _device_id(device) not in allocated:
        found.append(invalid(path, device, "must be an allocated device in the claim"))
    conditions, at = device.get("conditions") or [], child(path, "conditions")
    if len(conditions) > MAX_DEVICE_CONDITIONS:
        found.append(too_many(at, len(conditions), MAX_DEVICE_CONDITIONS))
    found += validate_conditions(conditions, at)
    if device.get("data") is not None:
        found += validate_raw_object(device["data"], child(path, "data"), MAX_DATA_BYTES)
    return found + _validate_network(device.get("networkData") or {}, child(path, "networkData"))


def _validate_device_id(holder: Object, path: str) -> list[Cause]:
    found = driver_name(holder.get("driver", ""), child(path, "driver"))
    found += pool_name(holder.get("pool", ""), child(path, "pool"))
    found += follows(child(path, "device"), holder.get("device", ""), dns1123_label)
    share = holder.get("shareID")
    if share is not None and not _UID.fullmatch(share):
        found.append(invalid(child(path, "shareID"), share, "must be a lower-case UUID"))
    return found


def _validate_network(network: Object, path: str) -> list[Cause]:
    found = [
        too_long(child(path, name), maximum)
        for name, maximum in MAX_NAME_BYTES.items()
        if longer_than(network.get(name, ""), maximum)
    ]
    ips = network.get("ips") or []
    return found + validate_set(
        ips, MAX_ADDRESSES, _validate_interface_address, child(path, "ips"), str
    )


def _validate_interface_address(text: str, path: str) -> list[Cause]:
    parsed = parse_cidr(text)
    if parsed is None:
        return [invalid(path, text, "must be a valid address in CIDR form")]
    canonical = f"{parsed[0]}/{parsed[1]}"
    if canonical != text:
        return [invalid(path, text, f'must be in canonical form ("{canonical}")')]
    return []


def _validate_allocation(allocation: Object, path: str, names: RequestNames) -> list[Cause]:
    devices, at = allocation.get("devices") or {}, child(path, "devices")

    def result(one: Object, where: str) -> list[Cause]:
        found = names.validate_reference(one.get("request", ""), child(where, "request"))
        return found + _validate_device_id(one, where) + validate_binding_conditions(one, where)

    def config(one: Object, where: str) -> list[Cause]:
        source, source_path = one.get("source", ""), child(where, "source")
        found: list[Cause] = []
        if not source:
            found.append(required(source_path))
        elif source not in CONFIG_SOURCES:
            found.append(not_supported(source_path, source, CONFIG_SOURCES))
        requests = one.get("requests") or []
        found += validate_set(
            requests, MAX_REQUESTS, names.validate_reference, child(where, "requests"), str
        )
        return found + validate_configuration(one, where)

    found = validate_list(devices.get("results") or [], MAX_RESULTS, result, child(at, "results"))
    # A class and a claim may both bring as many as they have room for.
    found += validate_list(
        devices.get("config") or [], 2 * MAX_CONFIGS, config, child(at, "config")
    )
    if allocation.get("nodeSelector") is not None:
        found += validate_node_selector(allocation["nodeSelector"], child(path, "nodeSelector"))
    return found
