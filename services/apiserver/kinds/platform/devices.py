"""Rules that the kinds of dynamic resource allocation share: names, selectors, configuration.

Source: kube-apiserver v1.36.2, pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import orjson

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.expressions import BOOL, DEVICE, check
from services.apiserver.kinds.platform.rules import duplicates, follows
from services.apiserver.kinds.volumesources import validate_csi_driver_name
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from services.apiserver.validation.metadata import validate_label_name
from services.apiserver.validation.names import (
    c_identifier,
    dns1123_subdomain,
    label_value,
    longer_than,
)

MAX_POOL_BYTES = 253
MAX_ID_BYTES = 32
MAX_SELECTORS = 32
MAX_CONFIGS = 32
MAX_CONDITIONS = 4
MAX_EXPRESSION_BYTES = 10 * 1024
MAX_PARAMETERS_BYTES = 10 * 1024
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "None")
TOLERATION_OPERATORS = ("Equal", "Exists")

Item = TypeVar("Item")
Check = Callable[[Item, str], list[Cause]]
"""Checks one item of a list, which is at the given path."""


def validate_list(
    items: Sequence[Item], maximum: int | None, check: Check[Item], path: str
) -> list[Cause]:
    """Check a list's length (None: any), then its items."""
    if maximum is not None and len(items) > maximum:
        return [too_many(path, len(items), maximum)]
    found: list[Cause] = []
    for number, item in enumerate(items):
        found += check(item, index(path, number))
    return found


def validate_set(
    items: Sequence[Item],
    maximum: int | None,
    check: Check[Item],
    path: str,
    key: Callable[[Item], Hashable],
) -> list[Cause]:
    """Check a list as `validate_list`, then that no two items have the same key."""
    found = validate_list(items, maximum, check, path)
    if maximum is not None and len(items) > maximum:
        return found
    seen: set[Hashable] = set()
    for number, item in enumerate(items):
        identity = key(item)
        if identity in seen:
            found.append(duplicate(index(path, number), identity))
        seen.add(identity)
    return found


def name_of(item: Object) -> str:
    name: str = item.get("name", "")
    return name


def driver_name(name: str, path: str) -> list[Cause]:
    return validate_csi_driver_name(name, path) if name else [required(path)]


def pool_name(name: str, path: str) -> list[Cause]:
    if not name:
        return [required(path)]
    found = [too_long(path, MAX_POOL_BYTES)] if longer_than(name, MAX_POOL_BYTES) else []
    for part in name.split("/"):
        found += follows(path, part, dns1123_subdomain)
    return found


def qualified_name(name: str, path: str) -> list[Cause]:
    """Check the name of an attribute or capacity: [domain/]identifier."""
    parts = name.split("/")
    if len(parts) == 1:
        return _identifier(name, path)
    if len(parts) > 2:
        return []  # kube-apiserver lets these through
    domain, identifier = parts
    found = (
        driver_name(domain, path) if domain else [invalid(path, "", "the domain must not be empty")]
    )
    if not identifier:
        return [*found, invalid(path, "", "the name must not be empty")]
    return found + _identifier(identifier, path)


def fully_qualified_attribute(name: str, path: str) -> list[Cause]:
    """Check the name of an attribute that must have a domain."""
    found = qualified_name(name, path)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        found.append(invalid(path, name, detail))
    return found


def _identifier(name: str, path: str) -> list[Cause]:
    found = [too_long(path, MAX_ID_BYTES)] if longer_than(name, MAX_ID_BYTES) else []
    return found + follows(path, name, c_identifier)


def validate_selector(selector: Object, path: str) -> list[Cause]:
    cel = selector.get("cel")
    at = child(path, "cel")
    if cel is None:
        return [required(at)]
    text, at = cel.get("expression", ""), child(at, "expression")
    if longer_than(text, MAX_EXPRESSION_BYTES):
        return [too_long(at, MAX_EXPRESSION_BYTES)]
    if not text.strip():
        return [invalid(at, text, "the expression is empty")]
    return check(text, at, DEVICE, BOOL)


def validate_configuration(config: Object, path: str) -> list[Cause]:
    """Check a DeviceConfiguration: parameters for a driver, which only it understands."""
    opaque, at = config.get("opaque"), child(path, "opaque")
    if opaque is None:
        return [required(at)]
    found = driver_name(opaque.get("driver", ""), child(at, "driver"))
    parameters = opaque.get("parameters")
    return found + validate_raw_object(parameters, child(at, "parameters"), MAX_PARAMETERS_BYTES)


def validate_raw_object(value: Any, path: str, max_bytes: int) -> list[Cause]:
    if value is None:
        return [required(path)]
    if len(orjson.dumps(value)) > max_bytes:
        return [too_long(path, max_bytes)]
    if not isinstance(value, dict):
        return [invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def validate_taint(taint: Object, path: str) -> list[Cause]:
    found = validate_label_name(taint.get("key", ""), child(path, "key"))
    if taint.get("value"):
        found += follows(child(path, "value"), taint["value"], label_value)
    effect, at = taint.get("effect", ""), child(path, "effect")
    if not effect:
        found.append(required(at))
    elif effect not in TAINT_EFFECTS:
        found.append(not_supported(at, effect, TAINT_EFFECTS))
    return found


def validate_toleration(toleration: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    if toleration.get("key"):
        found += validate_label_name(toleration["key"], child(path, "key"))
    operator, value = toleration.get("operator", ""), toleration.get("value", "")
    if operator == "Exists":
        if value:
            found.append(
                invalid(child(path, "value"), value, "must be empty for operator `Exists`")
            )
    elif operator == "Equal":
        found += follows(child(path, "value"), value, label_value)
    elif not operator:
        found.append(required(child(path, "operator")))
    else:
        found.append(not_supported(child(path, "operator"), operator, TOLERATION_OPERATORS))
    effect = toleration.get("effect", "")
    if effect and effect not in TAINT_EFFECTS:
        found.append(not_supported(child(path, "effect"), effect, TAINT_EFFECTS))
    return found


def validate_binding_conditions(holder: Object, path: str) -> list[Cause]:
    """Check the conditions that a device waits for before, or gives up, a binding."""
    found: list[Cause] = []
    lists = {
        name: holder.get(name) or [] for name in ("bindingConditions", "bindingFailureConditions")
    }
    for name, conditions in lists.items():
        found += validate_list(conditions, MAX_CONDITIONS, validate_label_name, child(path, name))
    succeed, fail = lists["bindingConditions"], lists["bindingFailureConditions"]
    at = child(path, "bindingConditions")
    found += [duplicate(index(at, number), succeed[number]) for number in duplicates(succeed)]
    doubled = set(duplicates(fail))
    at = child(path, "bindingFailureConditions")
    for number, condition in enumerate(fail):
        if number in doubled:
            found.append(duplicate(index(at, number), condition))
        if condition in succeed:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            found.append(invalid(index(at, number), condition, detail))
    if bool(succeed) != bool(fail):
        empty = "bindingFailureConditions" if succeed else "bindingConditions"
        detail = "bindingConditions and bindingFailureConditions need each other"
        found.append(invalid(child(path, empty), [], detail))
    return found
