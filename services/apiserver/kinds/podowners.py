"""What kinds that make pods from a template have in common.

Source: kube-apiserver v1.36.2, pkg/apis/apps/validation/validation.go,
apimachinery/pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import defaults, prepare
from services.apiserver.kinds.podspec.spec import validate_template
from services.apiserver.kinds.podspec.warnings import spec_warnings
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    WriteContext,
)
from services.apiserver.validation import field, names
from services.apiserver.validation.metadata import validate_label_selector
from services.apiserver.values import intorstring
from services.apiserver.values.intorstring import IntOrString

NEGATIVE = "must be greater than or equal to 0"
_MORE_THAN_REPLICAS = "cannot be greater than status.replicas"


class PodOwnerStrategy(Strategy):
    """A kind with a pod template at spec.template."""

    has_generation = True
    has_status = True
    counters: tuple[str, ...] = ()
    """Fields of the status that are there, as 0, from the beginning."""
    names_pods = False
    """Pods are named after the object, so a name that is no DNS label deserves a warning."""
    fixed: tuple[str, ...] = ("selector",)
    """Fields of the spec that never change."""

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        """Check the spec; `old` is the one before, None at creation."""
        return iter(())

    def default(self, obj: Object) -> None:
        defaults.default_template(obj.setdefault("spec", {}).setdefault("template", {}))

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = dict.fromkeys(self.counters, 0)
        self._drop_disabled_fields(obj)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        self._drop_disabled_fields(obj)
        super().prepare_for_update(ctx, obj, old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(self.validate_spec(obj["spec"], None))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        if spec == before:
            return []
        found = list(self.validate_spec(spec, before))
        for name in self.fixed:
            found += immutable(spec, before, name)
        return found

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = [name_warning(obj)] if self.names_pods and has_odd_name(obj) else []
        found += template_warnings(obj)
        return found

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        if obj["metadata"].get("generation") == old["metadata"].get("generation"):
            return []
        return list(template_warnings(obj))

    def _drop_disabled_fields(self, obj: Object) -> None:
        template = obj["spec"].get("template")
        if template:
            prepare.drop_disabled_fields(template["spec"])


class PodOwnerStatus(StatusSubresource):
    """/status of a kind that counts its pods."""

    numbers: tuple[str, ...] = ()
    """Fields that must not be negative, in the order of their errors."""
    parts: tuple[str, ...] = ()
    """Fields that must not be above `replicas`."""

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        return [
            *non_negative(status, "status", *self.numbers),
            *not_above_replicas(status, *self.parts),
            *not_decremented(status, old.get("status", {})),
        ]


def has_odd_name(obj: Object) -> bool:
    return bool(names.dns1123_label(obj["metadata"].get("name", "")))


def name_warning(obj: Object) -> str:
    messages = " ".join(names.dns1123_label(obj["metadata"].get("name", "")))
    return (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising"
        f" behavior; a DNS label is recommended: [{messages}]"
    )


def template_warnings(obj: Object) -> Iterator[str]:
    template = obj["spec"].get("template")
    if template:
        yield from spec_warnings(
            template.get("metadata", {}), template.get("spec", {}), "spec.template"
        )


def non_negative(values: Object, path: str, *fields: str) -> Iterator[Cause]:
    """Check the numbers among `fields` that are there."""
    for name in fields:
        value = values.get(name)
        if value is not None and value < 0:
            yield field.invalid(field.child(path, name), value, NEGATIVE)


def not_above_replicas(status: Object, *fields: str) -> Iterator[Cause]:
    """Check counters of a status; more available than ready replicas are an error as well."""
    replicas = status.get("replicas", 0)
    for name in fields:
        value = status.get(name, 0)
        if value > replicas:
            yield field.invalid(f"status.{name}", value, _MORE_THAN_REPLICAS)
    available = status.get("availableReplicas", 0)
    if available > status.get("readyReplicas", 0):
        yield field.invalid(
            "status.availableReplicas", available, "cannot be greater than readyReplicas"
        )


def not_decremented(status: Object, old: Object) -> Iterator[Cause]:
    """Check that status.collisionCount only grows."""
    before = old.get("collisionCount")
    after = status.get("collisionCount")
    if before is not None and (after is None or after < before):
        yield field.invalid("status.collisionCount", after or 0, "cannot be decremented")


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a metav1.LabelSelector, which has passed validation, selects `labels`."""
    if selector is None:
        return False
    for name, wanted in selector.get("matchLabels", {}).items():
        if labels.get(name) != wanted:
            return False
    for expression in selector.get("matchExpressions", ()):
        name, operator = expression["key"], expression["operator"]
        if operator == "Exists":
            met = name in labels
        elif operator == "DoesNotExist":
            met = name not in labels
        elif operator == "In":
            met = labels.get(name) in expression["values"]
        else:
            met = labels.get(name) not in expression["values"]
        if not met:
            return False
    return True


def validate_selected_template(spec: Object, kind: str, *, also: Object | None) -> Iterator[Cause]:
    """Check spec.selector and the template it selects, which must restart pods always.

    `kind` is named in messages. `also` replaces the template in the checks of its own rules;
    None leaves these out, for a template that is known to be valid.
    """
    selector = spec.get("selector")
    if selector is None:
        yield field.required("spec.selector")
        errors = []
    else:
        errors = validate_label_selector(selector, "spec.selector")
        yield from errors
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield field.invalid(
                "spec.selector", selector, f"empty selector is invalid for {kind.lower()}"
            )
    if errors:
        yield field.invalid("spec.selector", selector, "invalid label selector")
        return
    yield from validate_template_labels(spec)
    if also is not None:
        yield from validate_template(also, "spec.template")
    yield from validate_restarts_always(spec["template"]["spec"], kind)


def validate_template_labels(spec: Object) -> Iterator[Cause]:
    labels = spec["template"]["metadata"].get("labels", {})
    if not matches(spec.get("selector"), labels):
        yield field.invalid(
            "spec.template.metadata.labels",
            labels or None,
            "`selector` does not match template `labels`",
        )


def validate_restarts_always(pod_spec: Object, kind: str) -> Iterator[Cause]:
    policy = pod_spec.get("restartPolicy")
    if policy != "Always":
        yield field.not_supported("spec.template.spec.restartPolicy", policy, ("Always",))
    if "activeDeadlineSeconds" in pod_spec:
        yield field.forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            f"activeDeadlineSeconds in {kind} is not Supported",
        )


def number_or_percent(value: IntOrString, path: str) -> Iterator[Cause]:
    """Check that a value is a number from 0 on or a percentage."""
    if isinstance(value, int):
        if value < 0:
            yield field.invalid(path, value, NEGATIVE)
        return
    for message in names.percent(value):
        yield field.invalid(path, value, message)


def plain_number(value: IntOrString) -> int:
    """Return the number of a number or a percentage; of other texts what they start as."""
    percent = intorstring.parse_percent(value)
    return intorstring.int_value(value) if percent is None else percent


def at_most_100_percent(value: IntOrString, path: str) -> Iterator[Cause]:
    percent = intorstring.parse_percent(value)
    if percent is not None and percent > 100:
        yield field.invalid(path, value, "must not be greater than 100%")


def immutable(obj: Object, old: Object, name: str, path: str = "spec") -> Iterator[Cause]:
    value: Any = obj.get(name)
    if value != old.get(name):
        yield field.invalid(f"{path}.{name}", value, "field is immutable")


def fill(values: Object, pairs: Iterable[tuple[str, Any]]) -> None:
    """Set the fields that are not there."""
    for name, value in pairs:
        if name not in values:
            values[name] = value
