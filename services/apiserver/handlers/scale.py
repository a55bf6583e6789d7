"""/scale: the object seen as autoscaling/v1 Scale."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from services.apiserver.apply.managers import Entry
from services.apiserver.codec import codec_for
from services.apiserver.errors import BadRequest, Cause, Conflict
from services.apiserver.http.negotiation import MediaType, include_object, negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.kinds.scale import apply_scale, to_scale, validate_scale
from services.apiserver.printers import partial, table
from services.apiserver.read.get import is_pretty, read, resource_version
from services.apiserver.read.representation import response, written
from services.apiserver.registry.interpret import invalid, not_found
from services.apiserver.registry.served import Served
from services.apiserver.registry.store import Written
from services.apiserver.registry.strategy import (
    Object,
    ScaleView,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.options import (
    WriteOptions,
    parse_patch_options,
    parse_update_options,
)
from services.apiserver.write.apply import applied, read_configuration
from services.apiserver.write.body import read_kind
from services.apiserver.write.ownership import SCALE_DEFINITION, set_entries
from services.apiserver.write.patch import (
    APPLY_PATCH,
    patch_result,
    read_patch,
    requested_type,
)
from services.apiserver.write.writes import WriteFlow
from shared.resources import Resource

SCALE = ("autoscaling/v1", "Scale")
Wanted = Callable[[Object, Object], Awaitable[tuple[Object, list[Entry]]]]
"""Makes the new Scale, and its managedFields, out of the object and its Scale."""


class ScaleSubresource(UpdateSubresource):
    """Only spec.replicas differs, so only the generation is for the strategy to decide."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        self.strategy.prepare_for_update(ctx, obj, old)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if self.strategy.scale is None:
            return []
        # Only a custom resource's own schema knows what its replicas may be.
        return self.strategy.validate_update(ctx, obj, old)


class BuiltinScale:
    """The scale view of the kinds that keep their replicas in spec.replicas."""

    def to_scale(self, obj: Object, resource: Resource) -> Object:
        return to_scale(obj, resource)

    def before_patch(self, obj: Object, resource: Resource) -> Object:
        return to_scale(obj, resource)

    def apply(self, obj: Object, scale: Object) -> Object:
        return apply_scale(obj, scale)

    def validate(self, scale: Object) -> list[Cause]:
        return validate_scale(scale)


BUILTIN_SCALE = BuiltinScale()


def scale_view(served: Served) -> ScaleView:
    return served.store.strategy.scale or BUILTIN_SCALE


async def get_scale(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    media = _media(request, served)
    info, store = request.info, served.store
    body = await read(store, store.key(info.namespace, info.name), resource_version(request))
    if body is None:
        raise not_found(served.resource, info.name)
    return await _answer(request, served, media, body)


async def update_scale(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    media = _media(request, served)
    options = parse_update_options(request.query)
    ctx = flow.context(request, dry_run=options.dry_run)
    codec = codec_for("autoscaling", "v1", "Scale")
    sent = await read_kind(request, codec, SCALE, options.field_validation, ctx.warnings)

    async def wanted(old: Object, before: Object) -> tuple[Object, list[Entry]]:
        return sent, await flow.ownership.track_scale(request, ctx, sent, before, options)

    done = await _write(ctx, request, served, flow, options, wanted)
    return await _answer(request, served, media, done.body, ctx.warnings)


async def patch_scale(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    media = _media(request, served)
    kind = requested_type(request, custom=served.resource.custom)
    options = parse_patch_options(request.query, apply=kind == APPLY_PATCH)
    ctx = flow.context(request, dry_run=options.dry_run)
    warned_of: list[str] = []
    codec = codec_for("autoscaling", "v1", "Scale")
    wanted: Wanted
    if kind == APPLY_PATCH:
        config = await read_configuration(request)

        async def wanted(old: Object, before: Object) -> tuple[Object, list[Entry]]:
            return await applied(flow.ownership.of_scale, config, before, ctx, codec, options)
    else:
        patch = await read_patch(request, kind, SCALE_DEFINITION)

        async def wanted(old: Object, before: Object) -> tuple[Object, list[Entry]]:
            scale = patch_result(codec, patch, before, options.field_validation, warned_of)
            return scale, await flow.ownership.track_scale(request, ctx, scale, before, options)

    done = await _write(ctx, request, served, flow, options, wanted)
    return await _answer(request, served, media, done.body, [*warned_of, *ctx.warnings])


async def _write(
    ctx: WriteContext,
    request: Request,
    served: Served,
    flow: WriteFlow,
    options: WriteOptions,
    wanted: Wanted,
) -> Written:
    name = request.info.name

    async def change(old: Object | None) -> Object:
        if old is None:
            raise not_found(served.resource, name)
        view = scale_view(served)
        before = view.before_patch(old, served.resource)
        set_entries(before, flow.ownership.scale_entries(served, old))
        scale, entries = await wanted(old, before)
        _match(request, served, scale, old)
        causes = view.validate(scale)
        if causes:
            raise invalid(served.resource, name, causes, kind="Scale", group="autoscaling")
        obj = view.apply(old, scale)
        flow.ownership.set_scale_entries(served, obj, entries)
        return obj

    return await served.store.update(
        ctx,
        name,
        change,
        check=flow.check_update(ctx, served, options),
        subresource=ScaleSubresource(served.store.strategy),
        may_be_unconditional=True,
        always_write=True,
    )


def _match(request: Request, served: Served, scale: Object, old: Object) -> None:
    """Compare the names and the uid that the Scale names with the object.

    Raises:
        BadRequest: it is another object's.
        Conflict: it is an earlier object's of the same name.
    """
    meta, info = scale.get("metadata", {}), request.info
    if meta.get("name") != info.name:
        raise BadRequest(
            f"the name of the object ({meta.get('name', '')}) does not match the name on the URL "
            f"({info.name})"
        )
    if meta.get("namespace", info.namespace) != info.namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    uid = meta.get("uid")
    if uid and uid != old["metadata"].get("uid"):
        raise Conflict(
            f'Operation cannot be fulfilled on {served.resource.group_resource} "{info.name}": '
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
            f"{old['metadata'].get('uid')}",
            details={
                "name": info.name,
                **({"group": served.resource.group} if served.resource.group else {}),
                "kind": served.resource.name,
            },
        )


def _media(request: Request, served: Served) -> MediaType:
    return negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )


async def _answer(
    request: Request,
    served: Served,
    media: MediaType,
    body: bytes,
    warnings: Sequence[str] = (),
) -> AnyResponse:
    media.check_shape(is_list=False)
    obj = await served.store.load(body)
    scale = scale_view(served).to_scale(obj, served.resource)
    convert = media.convert
    if convert is not None and convert.kind == "Table":
        meta = {"resourceVersion": scale["metadata"].get("resourceVersion", "")}
        value = table(
            ("autoscaling", "Scale"),
            [scale],
            meta,
            include_object=include_object(request.parameter("includeObject")),
            now=time.time(),
            api_version=convert.api_version,
        )
    elif convert is not None:
        value = partial(scale, convert.api_version)
    else:
        value = scale
    return response(200, written(value, media), media, warnings)
