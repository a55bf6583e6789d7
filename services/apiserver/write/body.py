"""Request bodies → objects: content type, GroupVersionKind, field validation."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson

from services.apiserver.apply.managers import taken
from services.apiserver.codec import Body, Codec, FieldReport, decode_body, protobuf
from services.apiserver.errors import BadRequest, Cause, Invalid
from services.apiserver.http.negotiation import CONTENT_TYPES, request_format
from services.apiserver.http.request import Request
from services.apiserver.registry.served import Served
from services.apiserver.registry.strategy import Object

LARGE_BYTES = {"json": 256 * 1024, "yaml": 4 * 1024, "protobuf": 128 * 1024}
"""Bodies from this size on are decoded beside the event loop: they would hold it for longer
than 5 ms (YAML: 1.4 µs a byte)."""


def decode_request(
    request: Request, raw: bytes, expected: tuple[str, str], *, custom: bool = False
) -> Body:
    """Return the decoded body of a request; one in protobuf is of `expected` (apiVersion, kind)
    unless it says something else.

    Raises:
        UnsupportedMediaType, BadRequest: it is of another type, empty or malformed.
    """
    form = request_format(request.header(b"content-type"), custom=custom)
    if form == "protobuf":
        return Body(protobuf.decode(raw, expected))
    # Custom resources are Go maps: the last of repeated fields counts.
    return decode_body(raw, CONTENT_TYPES[form], merge_repeated=not custom)


def read_value(request: Request, raw: bytes, expected: tuple[str, str]) -> Any:
    """Return the decoded body where repeated fields are of no interest."""
    return decode_request(request, raw, expected).value


def is_large(request: Request, raw: bytes) -> bool:
    """Whether decoding a body takes long enough for a thread to be worth it."""
    if len(raw) < LARGE_BYTES["yaml"]:
        return False
    content_type = request.header(b"content-type") or ""
    form = next((one for one in ("yaml", "protobuf") if one in content_type), "json")
    return len(raw) >= LARGE_BYTES[form]


async def read_object(
    request: Request, served: Served, field_validation: str, warnings: list[str]
) -> Object:
    """Return the object in a request's body, as its kind's types see it."""
    resource = served.resource
    obj = await _read(
        request,
        served.codec,
        (resource.group_version, resource.kind),
        field_validation,
        warnings,
        custom=resource.custom,
    )
    if request.audit.enabled:
        request.audit.sent(obj, partial(_defaulted, served))
    return obj


def _defaulted(served: Served, obj: Object) -> Object:
    """Return a copy with defaults, in the served version: kube-apiserver decodes into that."""
    stored = served.to_storage(orjson.loads(orjson.dumps(obj)))
    served.store.strategy.default(stored)
    return served.from_storage(stored)


async def read_kind(
    request: Request,
    codec: Codec,
    expected: tuple[str, str],
    field_validation: str,
    warnings: list[str],
    *,
    custom: bool = False,
) -> Object:
    """Return the object of a request's body, which is of `expected` (apiVersion, kind).

    A body may leave out either. The fields that the kind does not know, and those that stand
    twice, are refused under Strict, told of in `warnings` under Warn (the default), and else
    dropped.

    Raises:
        BadRequest: another kind, a wrong type, or a strict field error.
    """
    obj = await _read(request, codec, expected, field_validation, warnings, custom=custom)
    if request.audit.enabled:
        request.audit.sent(obj)
    return obj


async def _read(
    request: Request,
    codec: Codec,
    expected: tuple[str, str],
    field_validation: str,
    warnings: list[str],
    *,
    custom: bool,
) -> Object:
    raw = await request.body()
    work = partial(_decoded_kind, request, raw, codec, expected, field_validation, custom)
    obj, messages = await asyncio.to_thread(work) if is_large(request, raw) else work()
    warnings += messages
    return obj


def _decoded_kind(
    request: Request,
    raw: bytes,
    codec: Codec,
    expected: tuple[str, str],
    field_validation: str,
    custom: bool,
) -> tuple[Object, list[str]]:
    """Return the object of a body and the warnings about its fields; see `read_kind`."""
    body = decode_request(request, raw, expected, custom=custom)
    value = {} if body.value is None else body.value
    if not isinstance(value, dict):
        raise codec.refuse(f"json: cannot unmarshal {_json_type(value)} into Go value")
    if custom:
        check_custom_kind(codec, value, expected)
    else:
        check_kind(codec, value, expected)
    report = None
    if field_validation != "Ignore":
        report = FieldReport(list(body.duplicates))
    value, managers = taken(value)
    obj = codec.decode(value, report=report)
    messages = report.messages if report is not None else []
    if messages and report is not None and field_validation == "Strict":
        raise codec.refuse(report.strict_error())
    obj["apiVersion"], obj["kind"] = expected
    obj.setdefault("metadata", {})
    if managers is not None:
        obj["metadata"]["managedFields"] = managers
    return obj, messages


def check_kind(codec: Codec, value: dict[str, Any], expected: tuple[str, str]) -> None:
    """Compare a body's apiVersion and kind with what the URL takes.

    Raises:
        BadRequest: they say something else.
    """
    api_version, kind = value.get("apiVersion"), value.get("kind")
    for name, text in (("apiVersion", api_version), ("kind", kind)):
        if text is not None and not isinstance(text, str):
            raise BadRequest(
                "couldn't get version/kind; json parse error: json: cannot unmarshal "
                f"{_json_type(text)} into Go struct field .{name} of type string"
            )
    if api_version and api_version.count("/") > 1:
        raise BadRequest(f"unexpected GroupVersion string: {api_version}")
    if kind and kind != expected[1]:
        raise codec.refuse(f"converting ({kind}) to ({expected[1]}): unknown conversion")
    if api_version and api_version != expected[0]:
        raise BadRequest(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({expected[0]})"
        )


def check_custom_kind(codec: Codec, value: dict[str, Any], expected: tuple[str, str]) -> None:
    """Compare the apiVersion and kind of a custom resource, which must be there.

    Raises:
        BadRequest: one is missing, or the apiVersion is another.
        Invalid: the kind is another.
    """
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(kind, str) or not kind:
        raise BadRequest("Object 'Kind' is missing")
    if not isinstance(api_version, str) or not api_version:
        raise BadRequest("Object 'apiVersion' is missing")
    if api_version != expected[0]:
        raise BadRequest(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({expected[0]})"
        )
    if kind != expected[1]:
        raise wrong_kind(codec, value)


def wrong_kind(codec: Codec, value: dict[str, Any]) -> Invalid:
    """Return the 422 of a custom resource of another kind; its details name that kind."""
    meta, kind = value.get("metadata"), value["kind"]
    name = meta.get("name", "") if isinstance(meta, dict) else ""
    message = f'kind: Invalid value: "{kind}": must be {codec.kind}'
    details = {"name": name} if name else {}
    return Invalid(
        f'{kind}.{codec.group} "{name}" is invalid: {message}',
        details={**details, "group": codec.group, "kind": kind},
        causes=[Cause("FieldValueInvalid", message, "kind")],
    )


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
