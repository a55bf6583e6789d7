"""PUT: decode → default → mutating admission → registry.store, which guards by revision."""

from __future__ import annotations

from services.apiserver.apply import revert_times
from services.apiserver.errors import BadRequest
from services.apiserver.http.negotiation import include_object, negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.get import is_pretty
from services.apiserver.read.representation import object_bytes, response
from services.apiserver.registry.interpret import uid_conflict
from services.apiserver.registry.served import Served
from services.apiserver.registry.strategy import Object, UpdateSubresource
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.validation.metadata import merge_duplicate_owner_references
from services.apiserver.validation.options import parse_update_options
from services.apiserver.write.body import read_object
from services.apiserver.write.writes import WriteFlow, copied


async def update(
    request: Request,
    served: Served,
    flow: WriteFlow,
    subresource: UpdateSubresource | None = None,
) -> AnyResponse:
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    options = parse_update_options(request.query)
    include = include_object(request.parameter("includeObject"))
    ctx = flow.context(request, dry_run=options.dry_run)
    sent = await read_object(request, served, options.field_validation, ctx.warnings)
    flow.match_namespace(served, request.info, sent)
    match_name(request.info, sent)
    merge_duplicate_owner_references(sent, ctx.warnings)
    wanted = served.to_storage(sent)
    served.store.strategy.default(wanted)

    # They can be half of the object, and nothing changes them in place.
    managers = wanted["metadata"].pop("managedFields", None)

    async def change(old: Object | None) -> Object:
        obj = copied(wanted)
        if managers is not None:
            obj["metadata"]["managedFields"] = managers
        if old is not None:
            check_uid(served, request.info.name, obj, old)
            await flow.ownership.track(request, ctx, served, obj, old, options)
            await flow.mutate_update(ctx, served, obj, old, options)
            revert_times(obj, old)
        return obj

    async def mutate_create(obj: Object) -> None:
        await flow.ownership.track(request, ctx, served, obj, None, options)
        await flow.authorize_create(request)
        await flow.mutate_create(ctx, served, obj, options)

    written = await served.store.update(
        ctx,
        request.info.name,
        change,
        check=flow.check_update(ctx, served, options),
        subresource=subresource,
        may_create=subresource is None and served.store.strategy.create_on_update,
        create_change=mutate_create,
    )
    body = object_bytes(served, media, written.body, include)
    return response(201 if written.created else 200, body, media, ctx.warnings)


def match_name(info: RequestInfo, obj: Object) -> None:
    """Compare the body's name with the URL's.

    Raises:
        BadRequest: they differ, or the body has none.
    """
    name = obj["metadata"].get("name", "")
    if name != info.name:
        raise BadRequest(
            f"the name of the object ({name}) does not match the name on the URL ({info.name})"
        )


def check_uid(served: Served, name: str, obj: Object, old: Object) -> None:
    """Compare the uid that a PUT names with what is there.

    Raises:
        Conflict: the object has another one: it was deleted and made anew.
    """
    uid = obj["metadata"].get("uid")
    if uid and uid != old["metadata"].get("uid"):
        raise uid_conflict(served.resource, name, uid, old["metadata"].get("uid", ""))
