"""How an event is written: the parts of its line of JSON, and the one-line format of old.

The parts are joined as text: most of a request's events is the same in all of them, and much
is the same in all events of a client.
Source: kube-apiserver v1.36.2, apiserver/pkg/audit (request.go, format.go); fields:
apis/audit/v1/types.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from services.apiserver.audit.origin import origin_fields, shortened, source_addresses
from services.apiserver.audit.recording import NAME_OF_LEVEL, Level
from services.apiserver.audit.timestamps import rfc3339_nano
from services.apiserver.requestinfo import RequestInfo, UserInfo

if TYPE_CHECKING:
    from services.apiserver.http.request import Request

LINE_HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What a list leaves out of its events."""
LONGEST_KEPT = 1024
"""Bytes of what a client says of itself; more is not remembered: anybody may say it."""

HEADS = tuple(
    b'%b"level":"%b","auditID":' % (LINE_HEAD, NAME_OF_LEVEL[level].encode()) for level in Level
)
"""An event's text as far as its ID, by level; STAGE follows on that."""
STAGE = b',"stage":"'


def middle(
    request: Request,
    user: UserInfo | None,
    impersonated: UserInfo | None,
    constraint: str,
    ref: Mapping[str, str] | None,
) -> bytes:
    """Return the text from the stage's end to objectRef, which there is with a `ref` alone."""
    info, headers, scope = request.info, request.headers, request.scope
    client = scope.get("client")
    peer = client[0] if client else ""
    agent = headers.get(b"user-agent")
    if b"x-forwarded-for" in headers or b"x-real-ip" in headers:
        forwarded_for = first_of(request, b"x-forwarded-for")
        real_ip = first_of(request, b"x-real-ip")
        told = who(user, impersonated, constraint, peer, forwarded_for, real_ip, agent)
    else:
        told = who(user, impersonated, constraint, peer, None, None, agent)
    return b'","requestURI":%b,"verb":"%b"%b%b' % (
        orjson.dumps(request_uri(request)),
        info.verb.encode(),
        told,
        b"" if ref is None else ref_json(info, ref),
    )


def status_field(status: Mapping[str, Any] | None, code: int) -> bytes:
    """Return `,"responseStatus":{…}`: the code, and what a Status says."""
    if status is None:
        return b',"responseStatus":{"metadata":{},"code":%d}' % code
    told: dict[str, Any] = {"metadata": {}}
    for field in ("status", "message", "reason", "details"):
        if status.get(field) or (field == "details" and field in status):
            told[field] = status[field]
    told["code"] = code
    return b',"responseStatus":' + orjson.dumps(told)


def legacy_line(
    request: Request,
    stage: str,
    *,
    received_ns: int,
    user: UserInfo | None,
    impersonated: UserInfo | None,
    namespace: str,
    code: int,
) -> str:
    """Return an event in the one-line format of old; `namespace` is what the object told."""
    client = request.scope.get("client")
    addresses = source_addresses(
        client[0] if client else "",
        (first_of(request, b"x-forwarded-for") or b"").decode("latin-1"),
        (first_of(request, b"x-real-ip") or b"").decode("latin-1"),
    )
    name = user.name if user is not None else ""
    groups = quoted_list(user.groups) if user is not None and name and user.groups else "<none>"
    values = {
        "id": request.audit_id,
        "stage": stage,
        "ip": addresses[0] if addresses else "<unknown>",
        "method": request.info.verb,
        "user": name or "<none>",
        "groups": groups,
        "as": "<self>" if impersonated is None else impersonated.name,
        "asgroups": "<lookup>" if impersonated is None else quoted_list(impersonated.groups),
        "user-agent": shortened(request.header(b"user-agent") or ""),
        "namespace": request.info.namespace or namespace or "<none>",
        "uri": request_uri(request),
        "response": str(code) if code else "<deferred>",
    }
    told = " ".join(f"{key}={quoted(value)}" for key, value in values.items())
    return f"{rfc3339_nano(received_ns)} AUDIT: {told}"


def request_uri(request: Request) -> str:
    """Return path and query as they were sent."""
    raw: bytes = request.scope.get("raw_path") or request.path.encode()
    query = request.query_string
    return (raw + b"?" + query if query else raw).decode("utf-8", "replace")


def who(
    user: UserInfo | None,
    impersonated: UserInfo | None,
    constraint: str,
    peer: str,
    forwarded_for: bytes | None,
    real_ip: bytes | None,
    user_agent: bytes | None,
) -> bytes:
    """Return the fields from user to userAgent."""
    size = len(user_agent or b"")
    if forwarded_for is not None or real_ip is not None:
        size += len(forwarded_for or b"") + len(real_ip or b"")
    told = _who if size <= LONGEST_KEPT else _who.__wrapped__
    return told(user, impersonated, constraint, peer, forwarded_for, real_ip, user_agent)


@lru_cache(maxsize=4096)
def _who(
    user: UserInfo | None,
    impersonated: UserInfo | None,
    constraint: str,
    peer: str,
    forwarded_for: bytes | None,
    real_ip: bytes | None,
    user_agent: bytes | None,
) -> bytes:
    """As `who`; remembered, as a client has many requests."""
    out = b',"user":' + user_json(user)
    if impersonated is not None:
        out += b',"impersonatedUser":' + user_json(impersonated)
        if constraint:
            metadata = {"impersonationConstraint": constraint}
            out += b',"authenticationMetadata":' + orjson.dumps(metadata)
    return out + origin_fields(peer, forwarded_for, real_ip, user_agent)


def user_json(user: UserInfo | None) -> bytes:
    """Return a user as authentication.k8s.io/v1 UserInfo prints it."""
    if user is None:
        return b"{}"
    value: dict[str, Any] = {
        "username": user.name,
        "uid": user.uid,
        "groups": user.groups,
        "extra": user.extra_as_dict(),
    }
    return orjson.dumps({key: one for key, one in value.items() if one})


def ref_json(info: RequestInfo, told: Mapping[str, str]) -> bytes:
    """Return `,"objectRef":{…}`: what the URL names, else what the object sent has `told`."""
    namespace, name = info.namespace, info.name
    if not told and namespace and name:
        # As below, for most requests: 0.6 us instead of 1.4.
        of = (info.resource, info.group, info.version, info.subresource)
        ends = _ref_ends if sum(map(len, of)) <= LONGEST_KEPT else _ref_ends.__wrapped__
        head, tail = ends(*of)
        parts = (head, orjson.dumps(namespace), b',"name":', orjson.dumps(name), tail)
        return b"".join(parts)
    ref = {
        "resource": info.resource,
        "namespace": namespace or told.get("namespace"),
        "name": name or told.get("name"),
        "uid": told.get("uid"),
        "apiGroup": info.group,
        "apiVersion": info.version,
        "resourceVersion": told.get("resourceVersion"),
        "subresource": info.subresource,
    }
    return b',"objectRef":' + orjson.dumps({key: value for key, value in ref.items() if value})


@lru_cache(maxsize=1024)
def _ref_ends(resource: str, group: str, version: str, subresource: str) -> tuple[bytes, bytes]:
    """Return an objectRef as far as its namespace, and from the end of its name on."""
    end = {"apiGroup": group, "apiVersion": version, "subresource": subresource}
    tail = orjson.dumps({key: value for key, value in end.items() if value})
    return b',"objectRef":{"resource":%b,"namespace":' % orjson.dumps(resource), b"," + tail[1:]


def quoted(text: str) -> str:
    """Return a text as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


def quoted_list(texts: Sequence[str]) -> str:
    return ",".join(map(quoted, texts))


def first_of(request: Request, name: bytes) -> bytes | None:
    """Return the first of a header's values."""
    for header, value in request.scope["headers"]:
        if header == name:
            return bytes(value)
    return None
