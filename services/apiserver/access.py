"""Access: the parts that say who asks and what they may, put together from the flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.authorization import (
    MASTERS,
    AlwaysAllow,
    Authorizer,
    MastersMay,
    RbacAuthorizer,
    RoleIndex,
)
from services.apiserver.authorization.followed import Source
from services.apiserver.authorization.roleindex import GROUP as RBAC_GROUP
from services.apiserver.options import ApiServerOptions
from services.apiserver.registry.served import Registry
from services.apiserver.request import Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import (
    ALL_AUTHENTICATED,
    StaticTokens,
    authenticate_by,
    read_token_file,
)


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who asks."""

    authenticate: Callable[[Request], UserInfo]
    tokens: StaticTokens


@dataclass(frozen=True, slots=True)
class Authorization:
    """What they may: `authorizers` in the order of the flag, `rbac` for what asks it alone."""

    authorizers: Sequence[Authorizer]
    rbac: RbacAuthorizer


def authentication(options: ApiServerOptions, *, admin_token: str) -> Authentication:
    """Return what finds the user of a request; `admin_token` gets in as a member of masters.

    Raises:
        TokenFileError: a file can't be used.
    """
    users = {admin_token: UserInfo("admin", groups=(MASTERS, ALL_AUTHENTICATED))}
    if options.authentication.token_auth_file:
        users.update(read_token_file(Path(options.authentication.token_auth_file)))
    tokens = StaticTokens(users)
    anonymous = options.authentication.anonymous_auth
    return Authentication(authenticate_by((tokens,), anonymous=anonymous), tokens)


def authorization(options: ApiServerOptions, registry: Registry) -> Authorization:
    """Return what decides, by --authorization-mode."""
    rbac = RbacAuthorizer(role_index(registry))
    return Authorization(authorizers_of(options.authorization.modes, rbac), rbac)


def authorizers_of(modes: Sequence[str], rbac: RbacAuthorizer) -> Sequence[Authorizer]:
    """Return the authorizers of --authorization-mode, in order."""
    authorizers: list[Authorizer] = [MastersMay()]
    for mode in modes:
        if mode == "RBAC":
            authorizers.append(rbac)
        elif mode == "AlwaysAllow":
            authorizers.append(AlwaysAllow())
    return authorizers


def role_index(registry: Registry) -> RoleIndex:
    """Return the index over the registry's roles and bindings."""

    def source(resource: str) -> Source:
        store = registry.stored(RBAC_GROUP, resource)
        assert store is not None, resource
        return Source(store.cache, store.decode)

    return RoleIndex(
        roles=source("roles"),
        cluster_roles=source("clusterroles"),
        role_bindings=source("rolebindings"),
        cluster_role_bindings=source("clusterrolebindings"),
    )
