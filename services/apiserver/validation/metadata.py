"""The rules of ObjectMeta and label selectors, for every kind.

Source: kube-apiserver v1.36.2, apimachinery/pkg/api/validation/objectmeta.go,
apimachinery/pkg/apis/meta/v1/validation/validation.go, apiserver/pkg/registry/rest/update.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from services.apiserver.errors import Cause
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
    too_long,
)
from services.apiserver.validation.names import (
    condition_reason,
    dns1123_label,
    is_label_value,
    is_qualified_name,
    label_value,
    longer_than,
    path_segment,
    qualified_name,
    with_trailing_dash_masked,
)

NameRule = Callable[[str], list[str]]
"""Returns what is wrong with a name, as messages."""

ANNOTATIONS_MAX_BYTES = 256 * 1024
FIELD_MANAGER_MAX_BYTES = 128
SUBRESOURCE_MAX_BYTES = 256
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def validate_metadata_create(
    obj: Mapping[str, Any],
    *,
    namespaced: bool,
    validate_name: NameRule,
    path: str = "metadata",
    standard_finalizers_only: bool = True,
) -> list[Cause]:
    """Return what is wrong with the metadata of a new object.

    generateName must already have become a name. `standard_finalizers_only` refuses finalizers
    without a domain that Kubernetes does not know; custom resources do not check that.
    """
    meta = obj["metadata"]
    found: list[Cause] = []
    prefix = meta.get("generateName")
    if prefix:
        found += [
            invalid(child(path, "generateName"), prefix, message)
            for message in validate_name(with_trailing_dash_masked(prefix))
        ]
    name = meta.get("name")
    if not name:
        found.append(required(child(path, "name"), "name or generateName is required"))
    else:
        found += [invalid(child(path, "name"), name, message) for message in validate_name(name)]
    found += _validate_common(meta, namespaced, path)
    if standard_finalizers_only and "finalizers" in meta:
        found += _validate_unqualified_finalizers(meta["finalizers"], child(path, "finalizers"))
    return found


def validate_metadata_update(
    new: Mapping[str, Any],
    old: Mapping[str, Any],
    *,
    namespaced: bool | None = None,
    standard_finalizers_only: bool = True,
) -> list[Cause]:
    """Return what is wrong with the metadata of an object that replaces `old`.

    The answer holds what kube-apiserver finds in its generic checks and again in those of the
    kind, so most causes come twice or three times. Kinds that validate the whole object once
    more on update add `validate_metadata_create` in their own validate_update.
    `namespaced` None takes it from the old object.
    """
    meta, before = new["metadata"], old["metadata"]
    if namespaced is None:
        namespaced = bool(before.get("namespace"))
    changes = _validate_changes(meta, before)
    found = [
        *(
            invalid("metadata.name", meta.get("name"), message)
            for message in path_segment(meta.get("name", ""))
        ),
        *_validate_common(meta, namespaced, "metadata"),
    ]
    unqualified = (
        _validate_unqualified_finalizers(meta["finalizers"], "metadata.finalizers")
        if standard_finalizers_only and "finalizers" in meta
        else []
    )
    if not (found or changes or unqualified):
        return []
    return found + changes + changes + unqualified


def validate_metadata_changes(
    new: Mapping[str, Any], old: Mapping[str, Any], *, standard_finalizers_only: bool = True
) -> list[Cause]:
    """Return what one pass of ValidateObjectMetaUpdate finds, as subresources run it."""
    meta = new["metadata"]
    found = _validate_changes(meta, old["metadata"])
    if standard_finalizers_only and "finalizers" in meta:
        found += _validate_unqualified_finalizers(meta["finalizers"], "metadata.finalizers")
    return found


def _validate_common(meta: Mapping[str, Any], namespaced: bool, path: str) -> list[Cause]:
    found: list[Cause] = []
    namespace = meta.get("namespace")
    if namespaced:
        if not namespace:
            found.append(required(child(path, "namespace")))
        else:
            found += [
                invalid(child(path, "namespace"), namespace, message)
                for message in dns1123_label(namespace)
            ]
    elif namespace:
        found.append(forbidden(child(path, "namespace"), "not allowed on this type"))
    if meta.get("generation", 0) < 0:
        found.append(invalid(child(path, "generation"), meta["generation"], NOT_NEGATIVE))
    if "labels" in meta:
        found += validate_labels(meta["labels"], child(path, "labels"))
    if "annotations" in meta:
        found += validate_annotations(meta["annotations"], child(path, "annotations"))
    if "ownerReferences" in meta:
        found += validate_owner_references(meta["ownerReferences"], child(path, "ownerReferences"))
    if "finalizers" in meta:
        found += validate_finalizers(meta["finalizers"], child(path, "finalizers"))
    if "managedFields" in meta:
        found += validate_managed_fields(meta["managedFields"], child(path, "managedFields"))
    return found


def _validate_changes(meta: Mapping[str, Any], before: Mapping[str, Any]) -> list[Cause]:
    found: list[Cause] = []
    if before.get("deletionTimestamp") is not None and "finalizers" in meta:
        extra = sorted(set(meta["finalizers"]) - set(before.get("finalizers", ())))
        if extra:
            found.append(
                forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new"
                    f" finalizers {extra}",
                )
            )
    if meta.get("generation", 0) < before.get("generation", 0):
        found.append(
            invalid("metadata.generation", meta.get("generation", 0), "must not be decremented")
        )
    for name in _IMMUTABLE_FIELDS:
        if meta.get(name) != before.get(name):
            found.append(invalid(f"metadata.{name}", meta.get(name), IMMUTABLE))
    if "labels" in meta:
        found += validate_labels(meta["labels"], "metadata.labels")
    if "annotations" in meta:
        found += validate_annotations(meta["annotations"], "metadata.annotations")
    if "ownerReferences" in meta:
        found += validate_owner_references(meta["ownerReferences"], "metadata.ownerReferences")
    if "managedFields" in meta:
        found += validate_managed_fields(meta["managedFields"], "metadata.managedFields")
    return found


_IMMUTABLE_FIELDS = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key, value in (labels or {}).items():
        if not is_qualified_name(key):
            found += [invalid(path, key, message) for message in qualified_name(key)]
        if not is_label_value(value):
            found += [invalid(path, value, message) for message in label_value(value)]
    return found


def validate_label_name(name: str, path: str) -> list[Cause]:
    if is_qualified_name(name):
        return []
    return [invalid(path, name, message) for message in qualified_name(name)]


def validate_annotations(annotations: Mapping[str, str] | None, path: str) -> list[Cause]:
    if not annotations:
        return []
    found: list[Cause] = []
    size = 0
    for key, value in annotations.items():
        if not is_qualified_name(key) and not is_qualified_name(key.lower()):
            found += [invalid(path, key, message) for message in qualified_name(key.lower())]
        size += len(key) + (len(value) if value.isascii() else len(value.encode()))
    if size > ANNOTATIONS_MAX_BYTES:
        found.append(too_long(path, ANNOTATIONS_MAX_BYTES))
    return found


def validate_owner_references(references: list[dict[str, Any]] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    controller = ""
    for reference in references or ():
        api_version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
        name = reference.get("name", "")
        if api_version.count("/") > 1 or not api_version.rpartition("/")[2]:
            # Go's ParseGroupVersion fails on "a/b/c" and leaves group and version empty.
            found.append(
                invalid(child(path, "apiVersion"), api_version, "version must not be empty")
            )
        for field, value in (("kind", kind), ("name", name), ("uid", reference.get("uid", ""))):
            if not value:
                found.append(invalid(child(path, field), value, "must not be empty"))
        if api_version == "v1" and kind == "Event":
            found.append(
                invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner")
            )
        if reference.get("controller"):
            current = f"{kind}/{name}"
            if controller:
                found.append(
                    invalid(
                        path,
                        references,
                        "Only one reference can have Controller set to true. Found"
                        f' "true" in references for {controller} and {current}',
                    )
                )
            else:
                controller = current
    return found


def merge_duplicate_owner_references(obj: Mapping[str, Any], warnings: list[str]) -> None:
    """Drop ownerReferences that are there twice, with a warning."""
    references = obj["metadata"].get("ownerReferences")
    if not references or len(references) < 2:
        return
    kept = {orjson.dumps(one, option=orjson.OPT_SORT_KEYS): one for one in references}
    if len(kept) < len(references):
        uids = Counter(one.get("uid", "") for one in references)
        doubled = ", ".join(sorted(uid for uid, count in uids.items() if count > 1))
        obj["metadata"]["ownerReferences"] = list(kept.values())
        warnings.append(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner"
            " references in 1.20+, and may reject such requests as early as 1.24; please fix your"
            f" requests; duplicate UID(s) observed: {doubled}"
        )


def validate_finalizers(finalizers: list[str] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    for finalizer in finalizers or ():
        if not is_qualified_name(finalizer):
            found += [invalid(path, finalizer, message) for message in qualified_name(finalizer)]
    if finalizers and "orphan" in finalizers and "foregroundDeletion" in finalizers:
        found.append(
            invalid(
                path,
                finalizers,
                "finalizer orphan and foregroundDeletion cannot be both set",
            )
        )
    return found


def _validate_unqualified_finalizers(finalizers: list[str] | None, path: str) -> list[Cause]:
    return [
        invalid(
            index(path, number),
            finalizer,
            "name is neither a standard finalizer name nor is it fully qualified",
        )
        for number, finalizer in enumerate(finalizers or ())
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
    ]


def validate_managed_fields(entries: list[dict[str, Any]] | None, path: str) -> list[Cause]:
    found: list[Cause] = []
    for number, entry in enumerate(entries or ()):
        at = index(path, number)
        if entry.get("operation") not in ("Apply", "Update"):
            found.append(
                invalid(
                    child(at, "operation"),
                    entry.get("operation", ""),
                    "must be `Apply` or `Update`",
                )
            )
        if entry.get("fieldsType", "FieldsV1") != "FieldsV1":
            found.append(
                invalid(child(at, "fieldsType"), entry["fieldsType"], "must be `FieldsV1`")
            )
        found += validate_field_manager(entry.get("manager", ""), child(at, "manager"))
        if longer_than(entry.get("subresource", ""), SUBRESOURCE_MAX_BYTES):
            found.append(too_long(child(at, "subresource"), SUBRESOURCE_MAX_BYTES))
    return found


def validate_field_manager(manager: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    if longer_than(manager, FIELD_MANAGER_MAX_BYTES):
        found.append(too_long(path, FIELD_MANAGER_MAX_BYTES))
    if not manager.isprintable():
        found += [
            invalid(
                path, manager, f"invalid character U+{ord(letter):04X} (at position {position})"
            )
            for position, letter in enumerate(manager)
            if not letter.isprintable()
        ]
    return found


def validate_label_selector(
    selector: Mapping[str, Any] | None, path: str, *, check_values: bool = True
) -> list[Cause]:
    """Check a metav1.LabelSelector. `check_values` False lets bad label values through, as some
    kinds do for objects that were stored with them."""
    if not selector:
        return []
    found = validate_labels(selector.get("matchLabels"), child(path, "matchLabels"))
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        at = index(child(path, "matchExpressions"), number)
        operator, values = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not values:
                found.append(
                    required(
                        child(at, "values"),
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    )
                )
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                found.append(
                    forbidden(
                        child(at, "values"),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    )
                )
        else:
            found.append(invalid(child(at, "operator"), operator, "not a valid selector operator"))
        found += validate_label_name(expression.get("key", ""), child(at, "key"))
        if check_values:
            for position, value in enumerate(values):
                if not is_label_value(value):
                    found += [
                        invalid(index(child(at, "values"), position), value, message)
                        for message in label_value(value)
                    ]
    return found


def validate_conditions(conditions: list[dict[str, Any]] | None, path: str) -> list[Cause]:
    """Check a list of metav1.Condition."""
    found: list[Cause] = []
    types: set[str] = set()
    for number, condition in enumerate(conditions or ()):
        at = index(path, number)
        kind = condition.get("type", "")
        if kind in types:
            found.append(duplicate(child(at, "type"), kind))
        types.add(kind)
        found += validate_label_name(kind, child(at, "type"))
        if condition.get("status") not in ("False", "True", "Unknown"):
            found.append(
                not_supported(
                    child(at, "status"), condition.get("status", ""), ("False", "True", "Unknown")
                )
            )
        if condition.get("observedGeneration", 0) < 0:
            found.append(
                invalid(
                    child(at, "observedGeneration"),
                    condition["observedGeneration"],
                    "must be greater than or equal to zero",
                )
            )
        if not condition.get("lastTransitionTime"):
            found.append(required(child(at, "lastTransitionTime"), "must be set"))
        reason = condition.get("reason", "")
        if not reason:
            found.append(required(child(at, "reason"), "must be set"))
        else:
            found += [
                invalid(child(at, "reason"), reason, message)
                for message in condition_reason(reason)
            ]
            if longer_than(reason, 1024):
                found.append(too_long(child(at, "reason"), 1024))
        if longer_than(condition.get("message", ""), 32 * 1024):
            found.append(too_long(child(at, "message"), 32 * 1024))
    return found
