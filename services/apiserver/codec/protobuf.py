"""Objects of built-in kinds in protobuf, behind the envelope that marks Kubernetes objects:
the bytes k8s\\0, then runtime.Unknown {1: {1: apiVersion, 2: kind}, 2: the object's message}.

Source: kube-apiserver v1.36.2, apimachinery/pkg/runtime/serializer/protobuf/protobuf.go and
util/framer/framer.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from services.apiserver.codec import protobufdecode, protobufencode
from services.apiserver.codec.body import ENVELOPE_LEVELS
from services.apiserver.codec.builtin import UnknownKindError, definition_of
from services.apiserver.codec.protobuflayout import ENVELOPE, RENDERED_KINDS
from services.apiserver.codec.protobufwire import Malformed, chunk
from services.apiserver.errors import BadRequest

MAGIC = b"k8s\x00"

_read_envelope = protobufdecode.reader(lambda: ENVELOPE)


def decode(raw: bytes, default: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """Return the object of a protobuf body as the JSON value that it stands for.

    Fields that nobody knows are skipped. What the envelope does not say of (apiVersion, kind)
    is taken from `default`. A Codec makes an object of the value.

    Raises:
        BadRequest: the body is no message of a built-in kind.
    """
    if not raw.startswith(MAGIC):
        raise BadRequest(
            "provided data does not appear to be a protobuf message, expected prefix "
            f"[{' '.join(map(str, MAGIC))}]"
        )
    try:
        return _decoded(raw, default)
    except Malformed as error:
        raise BadRequest(str(error)) from None
    except IndexError:
        raise BadRequest("unexpected EOF") from None
    except RecursionError:
        raise BadRequest("exceeded max depth") from None


def _decoded(raw: bytes, default: tuple[str, str]) -> dict[str, Any]:
    envelope: dict[str, Any] = {}
    _read_envelope(raw, len(MAGIC), len(raw), envelope)
    api_version = envelope.get("apiVersion") or default[0]
    kind = envelope.get("kind") or default[1]
    group, _, version = api_version.rpartition("/")
    try:
        definition = definition_of(group, version, kind)
    except UnknownKindError:
        raise Malformed(
            f'no kind "{kind}" is registered for version "{api_version}" in scheme'
        ) from None
    message = envelope.get("raw", b"")
    value: dict[str, Any] = {"apiVersion": api_version, "kind": kind}
    protobufdecode.message(definition)(message, 0, len(message), value)
    _check_depth(value)
    return value


def encode(obj: Mapping[str, Any]) -> bytes:
    """Return an object, a list or a Status, given as it is printed, with its envelope.

    Raises:
        UnknownKindError: no built-in kind is of its apiVersion and kind.
    """
    head, write = _encoder(obj["apiVersion"], obj["kind"])
    # Fields 3 and 4, contentEncoding and contentType, are empty.
    return b"%b%b\x1a\x00\x22\x00" % (head, chunk(2, write(obj)))


def watch_frame(event_type: str, obj: bytes) -> bytes:
    """Return one event of a watch: its length in four bytes, then a WatchEvent that is not in
    an envelope; its object, `obj`, is in one."""
    event = chunk(1, event_type.encode()) + chunk(2, chunk(1, obj))
    return len(event).to_bytes(4, "big") + event


@cache
def _encoder(api_version: str, kind: str) -> tuple[bytes, protobufencode.Write]:
    definition = RENDERED_KINDS.get(kind)
    if definition is None:
        group, _, version = api_version.rpartition("/")
        definition = definition_of(group, version, kind)
    type_meta = chunk(1, api_version.encode()) + chunk(2, kind.encode())
    return MAGIC + chunk(1, type_meta), protobufencode.message(definition)


def _check_depth(value: Any) -> None:
    """Refuse what could be read but neither stored nor answered with."""
    for _ in range(ENVELOPE_LEVELS):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        raise Malformed("exceeded max depth") from None
