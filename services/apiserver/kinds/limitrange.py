"""LimitRange.

Source: kube-apiserver v1.36.2, pkg/registry/core/limitrange/strategy.go,
pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go (ValidateLimitRange).
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.http.request import new_uuid
from services.apiserver.kinds.podspec.resources import (
    is_overcommit_allowed,
    round_up,
    validate_container_resource_name,
    validate_resource_name,
)
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    key,
    required,
)
from services.apiserver.validation.metadata import validate_metadata_create
from services.apiserver.validation.names import qualified_name
from services.apiserver.values.quantity import parse

STANDARD_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


class LimitRangeStrategy(Strategy):
    create_on_update = True

    def default(self, obj: Object) -> None:
        for limit in obj.setdefault("spec", {}).get("limits") or ():
            for name in LISTS:
                if name in limit:
                    round_up(limit[name])
            if limit.get("type") == "Container":
                _default_container(limit)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        if not obj["metadata"].get("name"):
            obj["metadata"]["name"] = new_uuid()

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_limits(obj["spec"].get("limits") or ())

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found: list[Cause] = []
        if obj["metadata"] != old["metadata"]:
            found += validate_metadata_create(
                obj, namespaced=True, validate_name=self.validate_name
            )
        return found + _validate_limits(obj["spec"].get("limits") or ())


def _default_container(limit: Object) -> None:
    """max fills default, which fills defaultRequest; min fills what is left of that."""
    default = {**limit.get("max", {}), **limit.get("default", {})}
    request = {**limit.get("min", {}), **default, **limit.get("defaultRequest", {})}
    if default:
        limit["default"] = default
    if request:
        limit["defaultRequest"] = request


def _validate_limits(limits: list[Object] | tuple[()]) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for number, limit in enumerate(limits):
        path = index("spec.limits", number)
        kind = limit.get("type", "")
        messages = qualified_name(kind)
        found += [invalid(child(path, "type"), kind, message) for message in messages]
        if not messages and "/" not in kind and kind not in STANDARD_TYPES:
            found.append(
                invalid(
                    child(path, "type"), kind, "must be a standard limit type or fully qualified"
                )
            )
        if kind in seen:
            found.append(duplicate(child(path, "type"), kind))
        seen.add(kind)
        found += _validate_limit(limit, kind, path)
    return found


def _validate_limit(limit: Object, kind: str, path: str) -> list[Cause]:
    check_name = (
        validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    )
    found: list[Cause] = []
    names: dict[str, None] = {}
    lists = {name: limit.get(name, {}) for name in LISTS}
    for list_name in LISTS:
        if kind == "Pod" and list_name in ("default", "defaultRequest"):
            if lists[list_name]:
                found.append(
                    forbidden(child(path, list_name), "may not be specified when `type` is 'Pod'")
                )
            lists[list_name] = {}
            continue
        if (
            list_name == "maxLimitRequestRatio"
            and kind == "PersistentVolumeClaim"
            and "storage" not in lists["min"]
            and "storage" not in lists["max"]
        ):
            found.append(
                required(
                    child(path, "limits"),
                    "either minimum or maximum storage value is required, but neither was provided",
                )
            )
        for name in lists[list_name]:
            found += check_name(name, key(child(path, list_name), name))
            names[name] = None
    for name in names:
        found += _compare(name, lists, path)
    return found


def _compare(name: str, lists: Mapping[str, Mapping[str, str]], path: str) -> list[Cause]:
    texts = {list_name: amounts[name] for list_name, amounts in lists.items() if name in amounts}
    amounts = {list_name: parse(text) for list_name, text in texts.items()}
    found: list[Cause] = []

    def not_above(low: str, high: str, at: str, shown: str) -> None:
        if low in amounts and high in amounts and amounts[low] > amounts[high]:
            found.append(
                invalid(
                    key(child(path, at), name),
                    texts[shown],
                    f"{low} value {texts[low]} is greater than {high} value {texts[high]}",
                )
            )

    not_above("min", "max", "min", "min")
    not_above("min", "defaultRequest", "defaultRequest", "defaultRequest")
    not_above("defaultRequest", "max", "defaultRequest", "defaultRequest")
    not_above("defaultRequest", "default", "defaultRequest", "defaultRequest")
    not_above("min", "default", "default", "min")
    not_above("default", "max", "default", "max")
    ratio = amounts.get("maxLimitRequestRatio")
    if ratio is not None:
        at, text = key(child(path, "maxLimitRequestRatio"), name), texts["maxLimitRequestRatio"]
        if ratio < parse("1"):
            found.append(invalid(at, text, f"ratio {text} is less than 1"))
        if "min" in amounts and "max" in amounts and amounts["min"].sign:
            most = amounts["max"].milli_value() / amounts["min"].milli_value()
            if ratio.milli_value() / 1000 > most:
                found.append(invalid(at, text, f"ratio {text} is greater than max/min = {most:f}"))
    if (
        not is_overcommit_allowed(name)
        and "default" in amounts
        and "defaultRequest" in amounts
        and amounts["default"] != amounts["defaultRequest"]
    ):
        found.append(
            invalid(
                key(child(path, "defaultRequest"), name),
                texts["defaultRequest"],
                f"default value {texts['default']} must equal to defaultRequest value"
                f" {texts['defaultRequest']} in {name}",
            )
        )
    return found
