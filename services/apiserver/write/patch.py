"""PATCH: the present object, changed as the patch says, then the flow of an update.

The patch applies to the object in the URL's version, as clients see it. Its result is decoded
like a body; what does not decode is the patch's fault and answered with 422.
Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.apiserver.apply import revert_times
from services.apiserver.apply.managers import taken
from services.apiserver.codec import Codec, DecodeError, FieldReport
from services.apiserver.errors import ApiError, BadRequest, Cause, Invalid
from services.apiserver.http.negotiation import include_object, negotiate, patch_type
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.patching import jsonpatch, mergepatch, strategicmerge
from services.apiserver.read.get import is_pretty
from services.apiserver.read.representation import object_bytes, response
from services.apiserver.registry.interpret import not_found
from services.apiserver.registry.served import Served
from services.apiserver.registry.strategy import Object, UpdateSubresource
from services.apiserver.validation.metadata import merge_duplicate_owner_references
from services.apiserver.validation.options import parse_patch_options
from services.apiserver.write.apply import apply
from services.apiserver.write.body import wrong_kind
from services.apiserver.write.writes import WriteFlow

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
BUILTIN_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
CUSTOM_TYPES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch, parsed: how it changes an object, and messages on fields it names twice."""

    apply: Callable[[Object], Any]
    duplicates: tuple[str, ...] = ()
    names_managers: bool = True
    """Whether the patch may have to do with metadata.managedFields."""


async def patch(
    request: Request,
    served: Served,
    flow: WriteFlow,
    subresource: UpdateSubresource | None = None,
) -> AnyResponse:
    custom = served.resource.custom
    media = negotiate(request.header(b"accept"), pretty=is_pretty(request), custom=custom)
    kind = requested_type(request, custom=custom)
    options = parse_patch_options(request.query, apply=kind == APPLY_PATCH)
    include = include_object(request.parameter("includeObject"))
    if kind == APPLY_PATCH:
        return await apply(request, served, flow, subresource, options, media, include)
    wanted_change = await read_patch(request, kind, served.resource.definition)
    ctx = flow.context(request, dry_run=options.dry_run)
    warned_of: list[str] = []

    async def change(old: Object | None) -> Object:
        if old is None:
            raise not_found(served.resource, request.info.name)
        wanted = patched(served, wanted_change, old, options.field_validation, warned_of)
        flow.match_namespace(served, request.info, wanted)
        if wanted["metadata"].get("name") != request.info.name:
            raise BadRequest(
                f"the name of the object ({wanted['metadata'].get('name', '')}) does not match "
                f"the name on the URL ({request.info.name})"
            )
        merge_duplicate_owner_references(wanted, ctx.warnings)
        obj = served.to_storage(wanted)
        served.store.strategy.default(obj)
        await flow.ownership.track(request, ctx, served, obj, old, options)
        await flow.mutate_update(ctx, served, obj, old, options)
        revert_times(obj, old)
        return obj

    written = await served.store.update(
        ctx,
        request.info.name,
        change,
        check=flow.check_update(ctx, served, options),
        subresource=subresource,
        may_be_unconditional=True,
    )
    body = object_bytes(served, media, written.body, include)
    return response(200, body, media, [*warned_of, *ctx.warnings])


def requested_type(request: Request, *, custom: bool) -> str:
    """Return the patch's media type.

    Raises:
        UnsupportedMediaType: it is none that this kind takes.
    """
    return patch_type(
        request.header(b"content-type"), CUSTOM_TYPES if custom else BUILTIN_TYPES, custom=custom
    )


async def read_patch(request: Request, kind: str, definition: str) -> Patch:
    """Return a request's patch, ready to be applied to an object.

    Raises:
        BadRequest, RequestTooLarge: it can't be read.
    """
    raw = await request.body()
    request.audit.patch(raw)
    named = b"managedFields" in raw
    if kind == JSON_PATCH:
        operations = jsonpatch.parse(raw)
        return Patch(
            lambda old: jsonpatch.apply(old, operations),
            tuple(operations.problems),
            named or operations.touches_metadata,
        )
    if kind == MERGE_PATCH:
        merge = mergepatch.parse(raw)
        return Patch(lambda old: mergepatch.apply(old, merge.value), merge.duplicates, named)
    strategic = strategicmerge.parse(raw)
    return Patch(
        lambda old: strategicmerge.apply(old, strategic.value, definition),
        strategic.duplicates,
        named,
    )


def patched(
    served: Served, patch: Patch, old: Object, field_validation: str, warned_of: list[str]
) -> Object:
    """Return what the patch makes of `old` (stored version), in the served version.

    Raises:
        ApiError: the patch does not apply, or its result is not of this kind.
    """
    shown = served.from_storage(old)
    if not patch.names_managers:
        # They can be half of the object, and it is not the patch that changes them.
        meta = {**shown["metadata"]}
        meta.pop("managedFields", None)
        shown = {**shown, "metadata": meta}
    obj = patch_result(served.codec, patch, shown, field_validation, warned_of)
    resource = served.resource
    if resource.custom and isinstance(obj.get("kind"), str) and obj["kind"] != resource.kind:
        raise wrong_kind(served.codec, obj)
    for name, value, wanted in (
        ("apiVersion", obj.get("apiVersion"), resource.group_version),
        ("kind", obj.get("kind"), resource.kind),
    ):
        # A patch may replace the whole object and leave them out.
        if value not in ("", None, wanted):
            raise patch_invalid(f"the {name} of the patched object ({value}) is not {wanted}")
        obj[name] = wanted
    return obj


def patch_result(
    codec: Codec, patch: Patch, old: Object, field_validation: str, warned_of: list[str]
) -> Object:
    """Apply the patch and decode what comes out; `warned_of` gets the field warnings.

    Raises:
        ApiError: the patch does not apply, or its result does not decode (422 at `patch`).
    """
    result = patch.apply(old)
    report = None if field_validation == "Ignore" else FieldReport(list(patch.duplicates))
    result, managers = taken(result)
    try:
        obj = codec.decode(result, report=report)
    except DecodeError as error:
        raise patch_invalid(error.detail) from error
    if report is not None and report.messages:
        if field_validation == "Strict":
            raise patch_invalid(report.strict_error())
        # A retry on a newer state reports again.
        warned_of[:] = report.messages
    obj.setdefault("metadata", {})
    if managers is not None:
        obj["metadata"]["managedFields"] = managers
    return obj


def patch_invalid(detail: str) -> ApiError:
    """Return the 422 of a patch whose result does not decode."""
    message = f'patch: Invalid value: "": {detail}'
    return Invalid(
        f' "" is invalid: {message}',
        details={},
        causes=[Cause("FieldValueInvalid", message, "patch")],
    )
