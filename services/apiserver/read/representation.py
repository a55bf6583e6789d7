"""Representation: stored bytes → what the client accepts.

The plain JSON form copies bytes. Every other form (another version, PartialObjectMetadata,
Table, YAML, protobuf, indented) is made from the decoded object, once per state of it where it
is kept in the watch cache, and shared by all who ask.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from services.apiserver.codec import protobuf
from services.apiserver.http.negotiation import IncludeObject, MediaType
from services.apiserver.http.request import Header, Response
from services.apiserver.printers import partial, partial_list, printer_of, render
from services.apiserver.registry.served import Served
from services.apiserver.registry.strategy import Object

WARNINGS_LIMIT = 4 * 1024
"""Characters that all warnings of an answer may have before they are cut."""
TRUNCATED_WARNING = 256


@dataclass(frozen=True, slots=True)
class ListMeta:
    """metadata of a list."""

    resource_version: str
    continue_token: str = ""
    remaining: int | None = None

    def as_dict(self, *, custom: bool) -> dict[str, Any]:
        out: dict[str, Any] = {"resourceVersion": self.resource_version}
        if self.continue_token or custom:
            # Lists of custom resources always carry it.
            out["continue"] = self.continue_token
        if self.remaining:
            out["remainingItemCount"] = self.remaining
        return out


def is_plain(served: Served, media: MediaType) -> bool:
    """Whether the stored bytes are the answer."""
    return media.convert is None and served.conversion is None and is_compact(media)


def is_compact(media: MediaType) -> bool:
    return media.format == "json" and not media.pretty


def object_bytes(
    served: Served, media: MediaType, body: bytes, include: IncludeObject = "Metadata"
) -> bytes:
    """Return one object, given as a wire body, as `media` wants it.

    Raises:
        NotAcceptable: a list's rendering was asked for.
    """
    if is_plain(served, media):
        return served.store.wire_prefix + body
    return written(converted(served, media, body, include), media)


def converted(
    served: Served, media: MediaType, body: bytes, include: IncludeObject
) -> dict[str, Any]:
    """Return one object in its served version, as a Table or as its metadata."""
    media.check_shape(is_list=False)
    stored = served.store.decode(body)
    convert = media.convert
    if convert is None:
        return served.from_storage(stored)
    if convert.kind == "Table":
        meta = {"resourceVersion": stored["metadata"].get("resourceVersion", "")}
        return as_table(served, [stored], meta, include, convert.api_version)
    return partial(stored, api_version=convert.api_version)


def as_table(
    served: Served,
    stored: Sequence[Object],
    meta: dict[str, Any],
    include: IncludeObject,
    api_version: str,
    *,
    with_columns: bool = True,
) -> dict[str, Any]:
    """Return the Table of objects in their stored version."""
    resource, conversion = served.resource, served.conversion
    return render(
        served.printer or printer_of((resource.group, resource.kind)),
        stored,
        meta,
        include_object=include,
        now=time.time(),
        api_version=api_version,
        with_columns=with_columns,
        convert=None if conversion is None else conversion.from_storage,
    )


def list_value(
    served: Served,
    media: MediaType,
    bodies: Sequence[bytes],
    meta: ListMeta,
    include: IncludeObject,
) -> dict[str, Any]:
    """Return a list of objects as a value: the slow path for all but plain JSON."""
    media.check_shape(is_list=True)
    store, resource = served.store, served.resource
    stored = [store.decode(body) for body in bodies]
    list_meta = meta.as_dict(custom=resource.custom)
    convert = media.convert
    if convert is None:
        items = [served.from_storage(one) for one in stored]
        if not resource.custom:
            for item in items:
                item.pop("kind", None)
                item.pop("apiVersion", None)
        return {
            "kind": resource.list_kind,
            "apiVersion": resource.group_version,
            "metadata": list_meta,
            "items": items,
        }
    if convert.kind == "Table":
        return as_table(served, stored, list_meta, include, convert.api_version)
    return partial_list(stored, list_meta, api_version=convert.api_version)


def written(value: Any, media: MediaType) -> bytes:
    """Return a value in the format of `media`. In protobuf it is an object of a built-in kind."""
    if media.format == "protobuf":
        return protobuf.encode(value)
    if media.format == "yaml":
        text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True)
        return text.encode()
    if media.pretty:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)
    return orjson.dumps(value)


def response(status: int, body: bytes, media: MediaType, warnings: Sequence[str] = ()) -> Response:
    """Return the answer with its content type and a Warning header a text."""
    headers: list[Header] = [(b"content-type", media.content_type.encode())]
    headers += warning_headers(warnings)
    return Response(status, body + b"\n" if media.format == "json" else body, headers)


def warning_headers(texts: Sequence[str]) -> list[Header]:
    """Return a Warning header for each text. Where they are many or long, each is cut and the
    rest left out, as in kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/warning.go."""
    # A retried write may have warned twice.
    unique = list(dict.fromkeys(texts))
    if sum(map(len, unique)) <= WARNINGS_LIMIT:
        return [warning_header(text) for text in unique]
    headers: list[Header] = []
    written = 0
    for text in unique:
        if written >= WARNINGS_LIMIT:
            break
        cut = text[:TRUNCATED_WARNING]
        headers.append(warning_header(cut))
        written += len(cut)
    return headers


def warning_header(text: str) -> Header:
    """Return a Warning header (RFC 7234, code 299); control characters are dropped."""
    quoted = "".join("\\" + one if one in '"\\' else one for one in text if one.isprintable())
    return (b"warning", f'299 - "{quoted}"'.encode("ascii", "backslashreplace"))
