"""CustomResourceDefinition as an object; what it serves is the affair of customresources/.

kube-apiserver checks the rules on its internal form, in which what is equal in all versions
stands once at the top: hence paths like spec.validation that no v1 object has. Its leniency
towards objects stored by v1beta1 has no counterpart here.
Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/registry/customresourcedefinition,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, v1/defaults.go,
v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.apiextensionsconversion import (
    validate_choice,
    validate_conversion,
)
from services.apiserver.kinds.platform.apiextensionsversions import (
    VersionedPaths,
    validate_versioned,
    validate_versions,
)
from services.apiserver.kinds.platform.rules import duplicates, immutable
from services.apiserver.kinds.platform.schemaopenapi import subschemas
from services.apiserver.kinds.platform.webhookclient import (
    default_webhook_service,
)
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.field import (
    child,
    index,
    invalid,
    key,
    required,
)
from services.apiserver.validation.names import dns1035_label, dns1123_subdomain
from services.apiserver.values.time import now

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVAL = "api-approved.kubernetes.io"
SCOPES = ("Cluster", "Namespaced")
PROTECTED_GROUPS = ("k8s.io", "kubernetes.io")
STRING_FORMATS = frozenset(
    (
        "bsonobjectid",
        "uri",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "byte",
        "password",
        "date",
        "duration",
        "datetime",
        "k8sshortname",
        "k8slongname",
    )
)
"""The known formats of strings, without dashes."""
FORMATS = {"integer": ("int32", "int64"), "number": ("float", "double")}


class CustomResourceDefinitionStrategy(Strategy):
    unconditional_update = False
    has_generation = True
    has_status = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        names = spec.setdefault("names", {})
        kind = names.get("kind", "")
        if kind and not names.get("singular"):
            names["singular"] = kind.lower()
        if kind and not names.get("listKind"):
            names["listKind"] = f"{kind}List"
        if spec.get("conversion") is None:
            spec["conversion"] = {"strategy": "None"}
        webhook = spec["conversion"].get("webhook") or {}
        default_webhook_service(webhook.get("clientConfig") or {})
        status = obj.setdefault("status", {})
        if not status.get("storedVersions"):
            status["storedVersions"] = _storage_versions(spec)[:1] or None

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": _storage_versions(obj["spec"])[:1] or None,
        }

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        stored = (obj.get("status") or {}).get("storedVersions") or []
        for version in _storage_versions(obj["spec"])[:1]:
            if version not in stored:
                obj["status"] = {**obj.get("status", {}), "storedVersions": [*stored, version]}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        name, plural, group = obj["metadata"].get("name", ""), _plural(spec), spec.get("group", "")
        found: list[Cause] = []
        if name and name != f"{plural}.{group}":
            detail = 'must be spec.names.plural+"."+spec.group'
            found.append(invalid("metadata.name", name, detail))
        return found + _validate_spec(spec) + _validate_rest(obj, None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        found = _validate_spec(spec)
        if is_established(old):
            found += immutable("spec.scope", spec.get("scope"), before.get("scope"))
            found += immutable(
                "spec.names.kind", spec["names"].get("kind"), before["names"].get("kind")
            )
        found += immutable("spec.group", spec.get("group"), before.get("group"))
        found += immutable("spec.names.plural", _plural(spec), _plural(before))
        return found + _validate_rest(obj, old)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return [f'unrecognized format "{text}"' for text in _unknown_formats(obj)]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        known = set(_unknown_formats(old))
        return [
            f'unrecognized format "{text}"' for text in _unknown_formats(obj) if text not in known
        ]

    def is_held(self, obj: Object) -> bool:
        """A definition stays until its custom resources are gone: a finalizer, set on deletion."""
        return "deletionTimestamp" not in obj["metadata"]

    def mark_deleting(self, obj: Object) -> None:
        meta = obj["metadata"]
        if any(one.get("type") == "Terminating" for one in _conditions(obj)):
            return
        # Unlike other kinds, its generation does not count the deletion, nor has it a period.
        meta["generation"] = max(meta.get("generation", 1) - 1, 1)
        meta.pop("deletionGracePeriodSeconds", None)
        finalizers = meta.get("finalizers") or []
        if CLEANUP_FINALIZER not in finalizers:
            meta["finalizers"] = [*finalizers, CLEANUP_FINALIZER]
        obj.setdefault("status", {})["conditions"] = [
            *_conditions(obj),
            {
                "type": "Terminating",
                "status": "True",
                "lastTransitionTime": now(),
                "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion;"
                " CustomResource deletion will begin soon",
            },
        ]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": CustomResourceDefinitionStatus(self)}


class CustomResourceDefinitionStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        names = (obj.get("status") or {}).get("acceptedNames") or {}
        return _validate_names(names, "status.acceptedNames")


def is_established(obj: Object) -> bool:
    """Whether the names of a definition are settled and it is served."""
    return any(
        one.get("type") == "Established" and one.get("status") == "True" for one in _conditions(obj)
    )


def _conditions(obj: Object) -> list[Object]:
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def _versions(spec: Object) -> list[Object]:
    found: list[Object] = spec.get("versions") or []
    return found


def _storage_versions(spec: Object) -> list[str]:
    return [version.get("name", "") for version in _versions(spec) if version.get("storage")]


def _plural(spec: Object) -> str:
    plural: str = spec["names"].get("plural", "")
    return plural


def _unknown_formats(obj: Object) -> list[str]:
    return [
        text
        for version in _versions(obj["spec"])
        for schema in subschemas((version.get("schema") or {}).get("openAPIV3Schema"))
        if (text := schema.get("format")) and not _is_known_format(schema.get("type", ""), text)
    ]


def _is_known_format(kind: str, text: str) -> bool:
    if kind in ("", "string"):
        return text.replace("-", "") in STRING_FORMATS
    return text in FORMATS.get(kind, ())


def _validate_spec(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    group, scope, preserves = spec.get("group", ""), spec.get("scope", ""), _preserves(spec)
    messages = dns1123_subdomain(group)
    if not group:
        found.append(required("spec.group"))
    elif messages:
        found.append(invalid("spec.group", group, ",".join(messages)))
    elif "." not in group:
        found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    found += validate_choice(scope, "spec.scope", SCOPES)
    versions = _versions(spec)
    for number, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            path = child(index("spec.versions", number), "schema", "openAPIV3Schema")
            found.append(required(path))
    if preserves and any("default" in schema for schema in _all_schemas(spec)):
        detail = "must be false in order to use defaults in the schema"
        found.append(invalid("spec.preserveUnknownFields", True, detail))
    paths = VersionedPaths.of(versions)
    found += validate_versions(versions, paths)
    if duplicates([version.get("name", "") for version in versions]):
        found.append(invalid("spec.versions", versions, "must contain unique version names"))
    if len(_storage_versions(spec)) != 1:
        detail = "must have exactly one version marked as storage version"
        found.append(invalid("spec.versions", versions, detail))
    first = versions[0].get("name", "") if versions else ""
    if first:
        found += _joined("spec.version", first)
    names = spec["names"]
    found += [
        required(child("spec.names", name))
        for name in ("plural", "singular", "kind", "listKind")
        if not names.get(name)
    ]
    found += _validate_names(names, "spec.names")
    if versions:
        found += validate_versioned(versions[0], "spec", paths.at_top)
    conversion = spec.get("conversion") or {}
    if preserves and conversion.get("strategy", "None") != "None":
        detail = "must be None if spec.preserveUnknownFields is true"
        found.append(invalid("spec.conversion.strategy", conversion.get("strategy"), detail))
    return found + validate_conversion(conversion, "spec.conversion")


def _all_schemas(spec: Object) -> Iterator[Object]:
    for version in _versions(spec):
        yield from subschemas((version.get("schema") or {}).get("openAPIV3Schema"))


def _preserves(spec: Object) -> bool:
    return bool(spec.get("preserveUnknownFields"))


def _validate_rest(obj: Object, old: Object | None) -> list[Cause]:
    """Check the status, the approval of protected groups, and the field that may not be true."""
    spec, status = obj["spec"], obj.get("status") or {}
    found = _validate_names(status.get("acceptedNames") or {}, "status.acceptedNames")
    found += _validate_stored(status.get("storedVersions") or [], _versions(spec))
    found += _validate_approval(obj, old)
    if _preserves(spec) and not (old is not None and _preserves(old["spec"])):
        detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields in the schemas"
        found.append(invalid("spec.preserveUnknownFields", True, detail))
    return found


def _validate_stored(stored: list[str], versions: list[Object]) -> list[Cause]:
    path = "status.storedVersions"
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    names = [version.get("name", "") for version in versions]
    found = [
        invalid(path, stored, f"must have the storage version {version.get('name')}")
        for version in versions
        if version.get("storage") and version.get("name", "") not in stored
    ]
    return found + [
        invalid(
            index(path, number),
            version,
            "missing from spec.versions; it must remain there until a storage migration ensures"
            " that no data is stored in it",
        )
        for number, version in enumerate(stored)
        if version not in names
    ]


def _approval_state(obj: Object) -> str:
    text = (obj["metadata"].get("annotations") or {}).get(APPROVAL, "")
    if not text:
        return "missing"
    if text.startswith("unapproved"):
        return "bypassed"
    try:
        url = urlsplit(text)
    except ValueError:
        return "invalid"
    return "approved" if url.scheme and url.netloc else "invalid"


def _validate_approval(obj: Object, old: Object | None) -> list[Cause]:
    group = obj["spec"].get("group", "")
    if not any(group == one or group.endswith(f".{one}") for one in PROTECTED_GROUPS):
        return []
    state, path = _approval_state(obj), key("metadata.annotations", APPROVAL)
    if old is not None and _approval_state(old) == state:
        return []
    detail = "protected groups need it: a URL, or a reason that starts with unapproved"
    if state == "missing":
        return [required(path, detail)]
    if state == "invalid":
        return [invalid(path, obj["metadata"]["annotations"][APPROVAL], detail)]
    return []


def _joined(path: str, value: str) -> list[Cause]:
    """Check a DNS-1035 label; all that is wrong makes one cause."""
    messages = dns1035_label(value)
    return [invalid(path, value, ",".join(messages))] if messages else []


def _validate_names(names: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    for name in ("plural", "singular", "kind", "listKind"):
        value = names.get(name, "")
        if value:
            text = value.lower() if name in ("kind", "listKind") else value
            found += _joined(child(path, name), text)
    for number, short in enumerate(names.get("shortNames") or ()):
        found += _joined(index(child(path, "shortNames"), number), short)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        detail = "kind and listKind may not be the same"
        found.append(invalid(child(path, "listKind"), names["listKind"], detail))
    for number, category in enumerate(names.get("categories") or ()):
        found += _joined(index(child(path, "categories"), number), category)
    return found


APIEXTENSIONS_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("apiextensions.k8s.io", "customresourcedefinitions"): CustomResourceDefinitionStrategy,
}
