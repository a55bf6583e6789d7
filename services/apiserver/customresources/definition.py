"""Definition: what a CustomResourceDefinition object says, as values.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apis/apiextensions/v1/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.apiserver.customresources.versionschema import VersionSchema
from shared.resources import Resource
from shared.resources.resource import custom_resource

Object = dict[str, Any]

GROUP = "apiextensions.k8s.io"
RESOURCE = "customresourcedefinitions"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where an object keeps what its scale subresource shows; without the leading dot."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    label_selector: tuple[str, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ScalePaths:
        return cls(
            _path(value["specReplicasPath"]),
            _path(value["statusReplicasPath"]),
            _path(value.get("labelSelectorPath", "")),
        )


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.removeprefix(".").split(".")) if text else ()


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of spec.versions."""

    name: str
    served: bool
    storage: bool
    schema: VersionSchema
    has_status: bool
    scale: ScalePaths | None
    columns: tuple[Mapping[str, Any], ...]
    selectable: tuple[str, ...]
    deprecation: str
    """What every answer warns of; "" for a version that is not deprecated."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A CustomResourceDefinition, reduced to what serving it takes."""

    name: str
    uid: str
    generation: int
    group: str
    plural: str
    kind: str
    list_kind: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    namespaced: bool
    versions: tuple[Version, ...]
    conversion: Mapping[str, Any]
    terminating: bool
    established: bool

    @property
    def storage_version(self) -> Version:
        return next(one for one in self.versions if one.storage)

    def resource(self, version: Version) -> Resource:
        """Return the resource of one version, as the table and the handlers know it."""
        return custom_resource(
            group=self.group,
            version=version.name,
            plural=self.plural,
            kind=self.kind,
            namespaced=self.namespaced,
            storage_version=self.storage_version.name,
            singular=self.singular,
            list_kind=self.list_kind,
            short_names=self.short_names,
            categories=self.categories,
            status=version.has_status,
            scale=version.scale is not None,
            selectable_fields=version.selectable,
        )


def read_definition(crd: Object) -> Definition:
    """Return the values of a CustomResourceDefinition that passed validation."""
    spec, meta = crd["spec"], crd["metadata"]
    # What is served has the names that were accepted, whatever spec asks for by now.
    accepted = crd.get("status", {}).get("acceptedNames") or {}
    names = accepted if accepted.get("plural") else spec["names"]
    return Definition(
        name=meta["name"],
        uid=meta.get("uid", ""),
        generation=meta.get("generation", 0),
        group=spec["group"],
        plural=spec["names"]["plural"],
        kind=names.get("kind") or spec["names"]["kind"],
        list_kind=names.get("listKind", ""),
        singular=names.get("singular", ""),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec["scope"] == "Namespaced",
        versions=tuple(_version(spec, one) for one in spec["versions"]),
        conversion=spec.get("conversion") or {"strategy": "None"},
        terminating="deletionTimestamp" in meta,
        established=condition_is(crd, "Established", "True"),
    )


def _version(spec: Object, value: Object) -> Version:
    subresources = value.get("subresources") or {}
    scale = subresources.get("scale")
    return Version(
        name=value["name"],
        served=bool(value.get("served")),
        storage=bool(value.get("storage")),
        schema=VersionSchema((value.get("schema") or {}).get("openAPIV3Schema") or {}),
        has_status=subresources.get("status") is not None,
        scale=None if scale is None else ScalePaths.from_json(scale),
        columns=tuple(value.get("additionalPrinterColumns") or ()),
        selectable=tuple(one["jsonPath"] for one in value.get("selectableFields") or ()),
        deprecation=_deprecation(spec, value),
    )


def _deprecation(spec: Object, value: Object) -> str:
    if not value.get("deprecated"):
        return ""
    own: str | None = value.get("deprecationWarning")
    if own is not None:
        return own
    return f"{spec['group']}/{value['name']} {spec['names']['kind']} is deprecated"


def condition(crd: Object, kind: str) -> Object | None:
    """Return a condition of the definition's status by its type."""
    conditions = crd.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), None)


def condition_is(crd: Object, kind: str, status: str) -> bool:
    found = condition(crd, kind)
    return found is not None and found.get("status") == status
