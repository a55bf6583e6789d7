"""Stage: may they? → go on, or 403.

Authorizers are asked in order; the first that allows ends the question. Until RBAC is
served, two speak: members of system:masters may do anything, and everybody may read what
the bootstrap roles system:discovery and system:public-info-viewer open.
Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/authorization.go and
plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.apiserver.errors import Forbidden
from services.apiserver.requestinfo import RequestInfo, UserInfo

MASTERS = "system:masters"
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
DISCOVERY_PATHS = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")


class Authorizer(Protocol):
    def allows(self, user: UserInfo, info: RequestInfo) -> bool:
        """Return whether `user` may; False means «no opinion», never «no»."""
        ...


class MastersMay:
    """Members of system:masters may do anything."""

    def allows(self, user: UserInfo, info: RequestInfo) -> bool:
        return MASTERS in user.groups


class EverybodyMayDiscover:
    """Health and version for all; discovery and OpenAPI for who is authenticated."""

    def allows(self, user: UserInfo, info: RequestInfo) -> bool:
        if info.is_resource_request or info.verb != "get":
            return False
        if info.path in PUBLIC_PATHS:
            return True
        return "system:authenticated" in user.groups and any(
            matches_path(pattern, info.path) for pattern in DISCOVERY_PATHS
        )


def matches_path(pattern: str, path: str) -> bool:
    """Whether a nonResourceURL pattern covers `path`; only a trailing "*" is special."""
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern


def authorize(authorizers: Sequence[Authorizer], user: UserInfo, info: RequestInfo) -> None:
    """Return if one of `authorizers` allows the request.

    Raises:
        Forbidden: none does.
    """
    for authorizer in authorizers:
        if authorizer.allows(user, info):
            return
    raise forbidden(user, info)


def forbidden(user: UserInfo, info: RequestInfo) -> Forbidden:
    """Return the refusal of a request, worded as kube-apiserver does."""
    if not info.is_resource_request:
        return Forbidden(
            f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"', details={}
        )
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    qualified = f"{info.resource}.{info.group}" if info.group else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    named = f' "{info.name}"' if info.name else ""
    details: dict[str, str] = {}
    if info.name:
        details["name"] = info.name
    if info.group:
        details["group"] = info.group
    details["kind"] = info.resource
    return Forbidden(
        f'{qualified}{named} is forbidden: User "{user.name}" cannot {info.verb} resource '
        f'"{resource}" in API group "{info.group}" {where}',
        details=details,
    )
