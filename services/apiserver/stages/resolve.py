"""Stage: method, path and query → RequestInfo.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/request/requestinfo.go (NewRequestInfo).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.apiserver.http.request import Request
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.requestselectors import QuerySelectors
from services.apiserver.validation.names import path_segment
from shared.selectors import SelectorError, parse_field_selector

VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
SELECTED_NAME = "metadata.name"
LONGEST_SELECTOR = 4096
"""Characters of a selector in which a name is looked for. Nobody knows yet who asks, and to
parse a megabyte takes a second; without the name, the right to all objects is asked for."""
MANY = frozenset({"list", "watch", "deletecollection"})
"""The verbs that select."""


async def resolve_request_info(request: Request) -> None:
    request.info = request_info(request.method, request.path, request.query)


def request_info(method: str, path: str, query: Mapping[str, Sequence[str]]) -> RequestInfo:
    """Return what the request wants.

    Special paths: /api/VERSION/..., /apis/GROUP/VERSION/..., the older /watch/ prefix, and
    namespaces/NAME/SUBRESOURCE, which is about the namespace itself.
    """
    parts = path.rstrip("/")[1:].split("/")
    if "" in parts:
        # No resource has such a path.
        return RequestInfo(False, path, method.lower())
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return RequestInfo(False, path, method.lower())
    prefix = parts[0]
    group = ""
    rest = parts[1:]
    if prefix == "apis":
        if len(rest) < 3:
            return RequestInfo(False, path, method.lower())
        group = rest[0]
        rest = rest[1:]
    version = rest[0]
    rest = rest[1:]
    verb = VERBS.get(method, "")
    is_watch_path = False
    if rest[0] in ("watch", "proxy"):
        if len(rest) < 2:
            return RequestInfo(False, path, method.lower())
        verb = rest[0]
        rest = rest[1:]
        is_watch_path = verb == "watch"
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if method == "GET" and verb == "get" and not name:
        verb = "watch" if _is_true(query.get("watch")) else "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    if verb in ("list", "watch") and not name:
        name = _selected_name(query.get("fieldSelector"))
    # The older paths do not select consistently, so nothing is granted by their selectors.
    selectors = _selectors(query) if verb in MANY and not is_watch_path else None
    return RequestInfo(
        True,
        path,
        verb,
        prefix,
        group,
        version,
        namespace,
        resource,
        subresource,
        name,
        tuple(rest),
        is_watch_path,
        selectors,
    )


def _selectors(query: Mapping[str, Sequence[str]]) -> QuerySelectors | None:
    fields, labels = query.get("fieldSelector"), query.get("labelSelector")
    if fields is None and labels is None:
        return None
    return QuerySelectors(fields[0] if fields else "", labels[0] if labels else "")


def _is_true(values: Sequence[str] | None) -> bool:
    """Booleans of a query: absent is false, "0" and "false" are false, all else is true."""
    return values is not None and values[0].lower() not in ("0", "false")


def _selected_name(values: Sequence[str] | None) -> str:
    """Return NAME of a fieldSelector that asks for metadata.name=NAME, else "".

    Read by the parser that selects, or a user who may see one object could see them all.
    """
    if not values or SELECTED_NAME not in values[0]:
        return ""
    if len(values[0]) > LONGEST_SELECTOR:
        return ""
    try:
        name = parse_field_selector(values[0]).requires_exact_match(SELECTED_NAME) or ""
    except SelectorError:
        return ""
    return "" if path_segment(name) else name
