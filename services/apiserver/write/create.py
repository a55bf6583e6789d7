"""POST: decode → default → system fields → mutating admission → registry.store → 201."""

from __future__ import annotations

import logging

from services.apiserver.http.negotiation import include_object, negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.get import is_pretty
from services.apiserver.read.representation import object_bytes, response
from services.apiserver.registry.served import Served
from services.apiserver.validation.metadata import merge_duplicate_owner_references
from services.apiserver.validation.options import parse_create_options
from services.apiserver.write.body import read_object
from services.apiserver.write.writes import WriteFlow

log = logging.getLogger("kubefan.apiserver")

WITHOUT_EFFECT = frozenset(
    {
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    }
)
"""Resources that are stored while nothing acts on them yet."""


async def create(request: Request, served: Served, flow: WriteFlow) -> AnyResponse:
    media = negotiate(
        request.header(b"accept"), pretty=is_pretty(request), custom=served.resource.custom
    )
    options = parse_create_options(request.query)
    include = include_object(request.parameter("includeObject"))
    ctx = flow.context(request, dry_run=options.dry_run)
    sent = await read_object(request, served, options.field_validation, ctx.warnings)
    flow.match_namespace(served, request.info, sent)
    merge_duplicate_owner_references(sent, ctx.warnings)
    obj = served.to_storage(sent)
    served.store.strategy.default(obj)
    served.store.fill_system_fields(ctx, obj)
    await flow.ownership.track(request, ctx, served, obj, None, options)
    await flow.mutate_create(ctx, served, obj, options)
    if served.resource.name in WITHOUT_EFFECT:
        log.warning("stored, but without effect yet", extra={"resource": served.resource.name})
    written = await served.store.create(ctx, obj, check=flow.check_create(ctx, served, options))
    return response(201, object_bytes(served, media, written.body, include), media, ctx.warnings)
