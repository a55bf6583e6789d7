"""DELETE of one object and of a collection."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from services.apiserver.codec import codec_for
from services.apiserver.errors import BadRequest, NotFound
from services.apiserver.http.negotiation import MediaType, include_object, negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.get import is_pretty
from services.apiserver.read.list import answer, read_page
from services.apiserver.read.representation import object_bytes, response, written
from services.apiserver.registry.deletion import DeleteRequest, Preconditions
from services.apiserver.registry.served import Served
from services.apiserver.registry.store import Written
from services.apiserver.registry.strategy import WriteContext
from services.apiserver.validation.options import (
    DeleteOptions,
    parse_delete_options,
    parse_list_options,
)
from services.apiserver.write.body import is_large, read_value
from services.apiserver.write.writes import WriteFlow


async def delete(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    options = await read_options(request)
    include = include_object(request.parameter("includeObject"))
    ctx = flow.context(request, dry_run=options.dry_run)
    done = await delete_one(ctx, served, flow, request.info.name, options)
    store = served.store
    # 202 only where an old client asked for cascading and the object is still there.
    status = 202 if not done.removed and options.orphan_dependents is False else 200
    as_table = media.convert is not None and media.convert.kind == "Table"
    if done.removed and (as_table or not store.strategy.returns_deleted_object):
        value = deleted_status(served, store.decode(done.body)["metadata"])
        plain = MediaType(media.format, None, media.pretty)
        return response(status, written(value, plain), plain, ctx.warnings)
    body = object_bytes(served, media, done.body, include)
    return response(status, body, media, ctx.warnings)


async def delete_one(
    ctx: WriteContext,
    served: Served,
    flow: WriteFlow,
    name: str,
    options: DeleteOptions,
    *,
    version: str | None = None,
) -> Written:
    """Delete one object as `options` say; with `version`, only as it was then.

    Raises:
        NotFound, Conflict: see ResourceStore.delete.
    """
    propagation = options.propagation_policy or None
    if options.orphan_dependents is not None:
        propagation = "Orphan" if options.orphan_dependents else "Background"
    request = DeleteRequest(
        options.grace_period_s,
        propagation,
        Preconditions(options.uid, options.resource_version or version),
    )
    return await served.store.delete(
        ctx, name, request, check=flow.check_delete(ctx, served, options)
    )


async def delete_collection(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    """Delete what a list with the same options shows, and answer with that list."""
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    list_options = parse_list_options(request.query, watch=False)
    options = await read_options(request)
    ctx = flow.context(request, dry_run=options.dry_run)
    page = await read_page(request, served, list_options)
    await served.store.prepare(page.bodies)
    for body in page.bodies:
        name = served.store.decode(body)["metadata"]["name"]
        try:
            await delete_one(ctx, served, flow, name, options)
        except NotFound:
            continue  # somebody else was quicker
    return await answer(request, served, media, page)


async def read_options(request: Request) -> DeleteOptions:
    """Return the options of a DELETE: its body if it has one, else the query.

    Raises:
        BadRequest, Invalid, UnsupportedMediaType: as the API says.
    """
    raw = await request.body()
    if not raw:
        return parse_delete_options(request.query)
    read = partial(read_value, request, raw, ("v1", "DeleteOptions"))
    value = await asyncio.to_thread(read) if is_large(request, raw) else read()
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in (None, "", "DeleteOptions"):
        raise BadRequest(f"decoded object cannot be converted to DeleteOptions: it is a {kind}")
    options = codec_for("", "v1", "DeleteOptions").decode(value)
    if request.audit.enabled:
        request.audit.sent({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **options})
    return parse_delete_options(request.query, options)


def deleted_status(served: Served, meta: dict[str, Any]) -> dict[str, Any]:
    """Return the Success Status of a finished deletion."""
    details: dict[str, Any] = {"name": meta["name"]}
    if served.resource.group:
        details["group"] = served.resource.group
    details["kind"] = served.resource.name
    details["uid"] = meta.get("uid", "")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
