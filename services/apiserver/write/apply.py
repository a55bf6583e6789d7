"""Server-side apply: a PATCH whose body is what its sender wants to be so, and to own.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/patch.go (applyPatcher).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.apiserver.apply import FieldManager, revert_times
from services.apiserver.apply.managers import Entry
from services.apiserver.codec import Codec, DecodeError, decode_body
from services.apiserver.errors import ApiError, BadRequest
from services.apiserver.http.negotiation import IncludeObject, MediaType
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.representation import object_bytes, response
from services.apiserver.registry.interpret import not_found
from services.apiserver.registry.served import Served
from services.apiserver.registry.strategy import Object, UpdateSubresource, WriteContext
from services.apiserver.validation.metadata import merge_duplicate_owner_references
from services.apiserver.validation.options import WriteOptions
from services.apiserver.write.ownership import set_entries
from services.apiserver.write.writes import WriteFlow


@dataclass(frozen=True, slots=True)
class Configuration:
    """The body of an apply. `duplicates` are messages on fields it names twice."""

    value: Object
    duplicates: tuple[str, ...] = ()


async def apply(
    request: Request,
    served: Served,
    flow: WriteFlow,
    subresource: UpdateSubresource | None,
    options: WriteOptions,
    media: MediaType,
    include: IncludeObject,
) -> AnyResponse:
    """Apply to an object, or make it: 201."""
    config = await read_configuration(request)
    ctx = flow.context(request, dry_run=options.dry_run)
    manager = flow.ownership.manager(served, request.info.subresource)

    async def change(old: Object | None) -> Object:
        if old is None and subresource is not None:
            raise not_found(served.resource, request.info.name)
        live = None if old is None else served.from_storage(old)
        wanted, entries = await applied(manager, config, live, ctx, served.codec, options)
        flow.match_namespace(served, request.info, wanted)
        _match_name(wanted, request.info.name)
        merge_duplicate_owner_references(wanted, ctx.warnings)
        obj = served.to_storage(wanted)
        served.store.strategy.default(obj)
        set_entries(obj, entries)
        if old is not None:
            await flow.mutate_update(ctx, served, obj, old, options)
            revert_times(obj, old)
        return obj

    async def mutate_create(obj: Object) -> None:
        await flow.authorize_create(request)
        await flow.mutate_create(ctx, served, obj, options)

    written = await served.store.update(
        ctx,
        request.info.name,
        change,
        check=flow.check_update(ctx, served, options),
        subresource=subresource,
        may_create=subresource is None,
        may_be_unconditional=True,
        create_change=mutate_create,
    )
    body = object_bytes(served, media, written.body, include)
    return response(201 if written.created else 200, body, media, ctx.warnings)


async def read_configuration(request: Request) -> Configuration:
    """Return what a request applies.

    Raises:
        BadRequest: it is no YAML of an object.
    """
    raw = await request.body()
    request.audit.patch(raw)
    value: Any = {}
    duplicates: tuple[str, ...] = ()
    if raw.strip():
        try:
            body = decode_body(raw, "application/yaml")
        except BadRequest as error:
            raise BadRequest(f"error decoding YAML: {error.message}") from None
        value, duplicates = body.value, body.duplicates
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise BadRequest("error decoding YAML: cannot unmarshal into Go value of type map")
    return Configuration(value, duplicates)


async def applied(
    manager: FieldManager,
    config: Configuration,
    live: Object | None,
    ctx: WriteContext,
    codec: Codec,
    options: WriteOptions,
) -> tuple[Object, list[Entry]]:
    """Return what applying makes of an object, in its version, and its managedFields.

    Raises:
        ApiError: the configuration does not fit, or conflicts with what others own.
    """
    if config.value.get("kind") != manager.empty["kind"]:
        raise BadRequest(f"invalid object type: {config.value.get('kind')}")
    result, entries = await manager.apply(
        live, config.value, options.field_manager, ctx.now, force=bool(options.force)
    )
    if config.duplicates and options.field_validation != "Ignore":
        if options.field_validation == "Strict":
            raise BadRequest(f"error strict decoding YAML: {', '.join(config.duplicates)}")
        ctx.warnings += config.duplicates
    if result is None:
        result = manager.empty if live is None else live
    try:
        obj = codec.decode(result)
    except DecodeError as error:
        raise ApiError(error.detail) from None
    obj["kind"], obj["apiVersion"] = manager.empty["kind"], manager.empty["apiVersion"]
    obj.setdefault("metadata", {})
    return obj, entries


def _match_name(obj: Object, name: str) -> None:
    if obj["metadata"].get("name") != name:
        raise BadRequest(
            f"the name of the object ({obj['metadata'].get('name', '')}) does not match the name "
            f"on the URL ({name})"
        )
