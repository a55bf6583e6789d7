"""Ownership: the field managers of all endpoints, and managedFields on what they write.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/installer.go (what each scope gets),
apimachinery/pkg/util/managedfields/internal/versionconverter.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import orjson

from services.apiserver.apply import FieldManager, Schema, Updater, manager_of, reset_fields
from services.apiserver.apply.builtintypes import struct_type
from services.apiserver.apply.customtypes import custom_type
from services.apiserver.apply.managers import Entry
from services.apiserver.apply.resetfields import NOTHING_RESET
from services.apiserver.apply.scalefields import REPLICAS, SCALE_VERSION, Path, to_object, to_scale
from services.apiserver.codec import codec_for
from services.apiserver.customresources.codec import StructuralCodec
from services.apiserver.customresources.scale import CustomScale
from services.apiserver.errors import ApiError
from services.apiserver.http.request import Request
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.validation.options import WriteOptions

SCALE_DEFINITION = "io.k8s.api.autoscaling.v1.Scale"
LIMIT_KEPT = 4096
"""Field managers kept; custom resources come and go."""


class Ownership:
    """Who owns what, for everything that is served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._managers: dict[tuple[str, str, str, str], tuple[Served, FieldManager]] = {}
        self._schemas: dict[tuple[str, str, str], tuple[Served, Schema]] = {}
        self._scale = FieldManager(
            Updater(
                SCALE_VERSION,
                Schema(struct_type(SCALE_DEFINITION)),
                NOTHING_RESET,
                lambda version: Schema(struct_type(SCALE_DEFINITION)),
                _unconverted,
            ),
            {
                **codec_for("autoscaling", "v1", "Scale").empty(),
                "kind": "Scale",
                "apiVersion": SCALE_VERSION,
            },
            "scale",
        )

    @property
    def of_scale(self) -> FieldManager:
        """The field manager of every /scale; its objects are Scales."""
        return self._scale

    def manager(self, served: Served, subresource: str) -> FieldManager:
        """Return the field manager of an endpoint; its objects are of the served version."""
        key = (*served.resource.gvr, subresource)
        found = self._managers.get(key)
        if found is not None and found[0] is served:
            return found[1]
        if len(self._managers) >= LIMIT_KEPT:
            self._managers.clear()
        manager = self._made(served, subresource)
        self._managers[key] = (served, manager)
        return manager

    async def track(
        self,
        request: Request,
        ctx: WriteContext,
        served: Served,
        obj: Object,
        old: Object | None,
        options: WriteOptions,
    ) -> None:
        """Set the managedFields of an object that some write, no apply, makes out of `old`.

        Both are in the stored version. Done before admission, whose changes nobody owns.
        """
        manager = self.manager(served, ctx.info.subresource)
        name = manager_of(options.field_manager, request.header(b"user-agent"))
        live = None if old is None else served.from_storage(old)
        try:
            entries = await manager.update(live, served.from_storage(obj), name, ctx.now)
        except ApiError:
            # A conversion failed. Better no managedFields than wrong ones.
            entries = []
        set_entries(obj, entries)

    async def track_scale(
        self,
        request: Request,
        ctx: WriteContext,
        scale: Object,
        before: Object,
        options: WriteOptions,
    ) -> list[Entry]:
        """Return the managedFields of a Scale that some write, no apply, makes out of `before`."""
        name = manager_of(options.field_manager, request.header(b"user-agent"))
        return await self._scale.update(before, scale, name, ctx.now)

    def scale_entries(self, served: Served, obj: Object) -> list[Entry]:
        """Return the managedFields of an object's Scale."""
        return to_scale(_entries(obj), self._replicas_paths(served))

    def set_scale_entries(self, served: Served, obj: Object, scale_entries: list[Entry]) -> None:
        """Set the managedFields of an object after those of its Scale."""
        paths = self._replicas_paths(served)
        version = served.resource.group_version
        set_entries(obj, to_object(_entries(obj), scale_entries, paths, version))

    def _replicas_paths(self, served: Served) -> Mapping[str, Path | None]:
        """Return where each version of a resource keeps its replicas."""
        resource = served.resource
        if not resource.custom:
            return {resource.group_version: REPLICAS}
        return {
            one.resource.group_version: _replicas_path(one)
            for one in self._registry
            if one.resource.group == resource.group and one.resource.name == resource.name
        }

    def _made(self, served: Served, subresource: str) -> FieldManager:
        resource = served.resource
        reset = reset_fields(
            resource.group,
            resource.name,
            subresource,
            has_status=served.store.strategy.has_status,
            custom=resource.custom,
        )
        updater = Updater(
            resource.group_version,
            self._schema(served),
            reset,
            partial(self._schema_of, served),
            partial(self._convert, served),
            schema_changes=resource.custom and served.conversion is not None,
        )
        empty = {"kind": resource.kind, "apiVersion": resource.group_version}
        return FieldManager(updater, {**empty, **served.codec.empty()}, subresource)

    def _schema(self, served: Served) -> Schema:
        key = served.resource.gvr
        found = self._schemas.get(key)
        if found is not None and found[0] is served:
            return found[1]
        if served.resource.custom:
            codec = cast(StructuralCodec, served.codec)
            schema = Schema(custom_type(codec.structural))
        else:
            schema = Schema(struct_type(served.resource.definition))
        if len(self._schemas) >= LIMIT_KEPT:
            self._schemas.clear()
        self._schemas[key] = (served, schema)
        return schema

    def _schema_of(self, served: Served, api_version: str) -> Schema:
        other = self._other(served, api_version)
        assert other is not None, "converted to it before"
        return self._schema(other)

    def _other(self, served: Served, api_version: str) -> Served | None:
        """Return the resource in another of its versions, None if it is not served so."""
        if api_version == served.resource.group_version:
            return served
        group, _, version = api_version.rpartition("/")
        if served.resource.custom and group != served.resource.group:
            return None
        return self._registry.find(group, version, served.resource.name)

    async def _convert(
        self, served: Served, obj: Object, from_version: str, to_version: str
    ) -> Object | None:
        """See Convert. What has been pruned is made whole as decoding would."""
        if from_version == to_version:
            return obj
        source, target = self._other(served, from_version), self._other(served, to_version)
        if source is None or target is None:
            return None
        whole = source.codec.decode(obj)
        whole.setdefault("metadata", {})
        if served.resource.custom:
            seen: Object = orjson.loads(orjson.dumps(await target.store.seen(whole)))
            cast(StructuralCodec, target.codec).fit(seen)
            return seen
        converted = target.from_storage(source.to_storage(whole))
        converted["apiVersion"] = to_version
        return converted


def set_entries(obj: Object, entries: list[Entry]) -> None:
    """Make `entries` the managedFields of an object."""
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def _entries(obj: Object) -> list[Entry]:
    return obj["metadata"].get("managedFields") or []


def _replicas_path(served: Served) -> Path | None:
    scale = served.store.strategy.scale
    if not isinstance(scale, CustomScale):
        return None
    return tuple(f"f:{name}" for name in scale.spec_replicas)


async def _unconverted(obj: Object, from_version: str, to_version: str) -> Object | None:
    """Convert a Scale: there is one version of it."""
    return obj if from_version == to_version else None
