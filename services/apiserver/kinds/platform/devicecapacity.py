"""The capacity of a device, and what part of it a claim may take.

Source: kube-apiserver v1.36.2, pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.devices import validate_set
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import child, forbidden, index, invalid, required
from services.apiserver.values.quantity import Quantity, parse

MAX_OPTIONS = 10


def validate_capacity(capacity: Object, path: str, *, shared: bool) -> list[Cause]:
    """Check a DeviceCapacity; `shared`: several claims may have a part of the device."""
    policy, at = capacity.get("requestPolicy"), child(path, "requestPolicy")
    if policy is None:
        return []
    if not shared:
        return [forbidden(at, "allowMultipleAllocations must be true")]
    values, bounds = policy.get("validValues") or [], policy.get("validRange")
    if values and bounds is not None:
        return [forbidden(at, 'cannot specify "validValues" and "validRange" at the same time')]
    if not values and bounds is None:
        return []
    default, most = policy.get("default"), parse(capacity.get("value", "0"))
    if default is None:
        return [required(child(at, "default"), "required when there are valid values")]
    if values:
        return _validate_values(values, parse(default), most, child(at, "validValues"))
    return _validate_range(bounds or {}, parse(default), most, child(at, "validRange"))


def _validate_values(
    values: list[str], default: Quantity, most: Quantity, path: str
) -> list[Cause]:
    amounts = [parse(value) for value in values]
    found = [
        invalid(index(path, number), values[number], "values must be sorted in ascending order")
        for number in range(1, len(values))
        if amounts[number - 1] > amounts[number]
    ]

    def option(text: str, where: str) -> list[Cause]:
        if parse(text) <= most:
            return []
        return [invalid(where, text, f"option is larger than capacity value: {most}")]

    found += validate_set(values, MAX_OPTIONS, option, path, lambda text: parse(text).value())
    if len(values) > MAX_OPTIONS or default not in amounts:
        detail = "default value is not valid according to the requestPolicy"
        found.append(invalid(path, str(default), detail))
    return found


def _validate_range(bounds: Object, default: Quantity, most: Quantity, path: str) -> list[Cause]:
    at = {name: child(path, name) for name in ("min", "max", "step")}
    low, high, step = (
        None if bounds.get(name) is None else parse(bounds[name]) for name in ("min", "max", "step")
    )
    if low is None:
        return [required(at["min"], "required when validRange is defined")]
    found: list[Cause] = []

    def not_above(small: Quantity, large: Quantity, where: str, shown: Quantity) -> None:
        if small > large:
            found.append(invalid(at[where], str(shown), f"{small} is larger than {large}"))

    not_above(low, most, "min", low)
    not_above(low, default, "min", default)
    if high is not None:
        not_above(low, high, "max", low)
        not_above(high, most, "max", high)
        not_above(default, high, "max", default)
    if step is not None:
        not_above(low + step, most, "step", step)
        for value in (default,) if high is None else (default, high):
            # A step of nothing reaches no other value.
            width = step.value()
            if width == 0 or (value.value() - low.value()) % width:
                detail = f"value is not a multiple of a given step ({step}) from ({low})"
                found.append(invalid(at["step"], str(value), detail))
    return found
