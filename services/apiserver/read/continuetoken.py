"""Continue tokens: where the next page of a list starts and which state it shows.

Unpadded base64url of {"v":"meta.k8s.io/v1","rv":N,"start":"/ns/name\\u0000"}; `start` is
relative to the listed prefix. Source: kube-apiserver v1.36.2, apiserver/pkg/storage/continue.go.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from dataclasses import dataclass

import orjson

from services.apiserver.errors import BadRequest

VERSION = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class ContinueToken:
    """`revision` below 0 means: go on from the present state."""

    start: bytes
    revision: int


def encode(prefix: bytes, last_key: bytes, revision: int) -> str:
    """Return the token of the page after `last_key`, a key under `prefix`."""
    start = "/" + last_key[len(prefix) :].decode() + "\x00"
    raw = orjson.dumps({"v": VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(token: str, prefix: bytes) -> ContinueToken:
    """Return what a token says; `start` becomes a whole key under `prefix`.

    Raises:
        BadRequest: it is not one of ours.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        value = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise _bad("continue key is not valid") from error
    if not isinstance(value, dict) or value.get("v") != VERSION:
        raise _bad("server does not recognize this encoded version")
    revision, start = value.get("rv", 0), value.get("start", "")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision == 0:
        raise _bad("incorrect encoded start resourceVersion")
    if not isinstance(start, str) or not start:
        raise _bad("encoded start key empty")
    key = start if start.startswith("/") else "/" + start
    # POSIX lets a path begin with two slashes, Go's path.Clean does not.
    cleaned = posixpath.normpath("/" + key.lstrip("/"))
    # Path tricks could otherwise list outside of what was authorized.
    if cleaned != key.rstrip("/") and cleaned != key:
        raise _bad(f"invalid start key {start!r}")
    return ContinueToken(prefix + key[1:].encode(), revision)


def _bad(why: str) -> BadRequest:
    return BadRequest(f"continue key is not valid: {why}")
