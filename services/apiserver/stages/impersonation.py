"""Stage: as whom? → the user that the Impersonate headers name, or 403.

Who may impersonate is asked of the authorizers, by modes in turn; the first that allows it
decides which groups the new user has. A constrained mode asks two things: may this be done to
the request's target while impersonating (`impersonate-on:MODE:VERB`), and may this user be
impersonated (`impersonate:MODE`). The legacy mode asks the second alone (`impersonate`).
Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/impersonation.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.apiserver.audit import NO_AUDIT, Audit
from services.apiserver.authentication.users import ALL_AUTHENTICATED, ANONYMOUS
from services.apiserver.authorization import MASTERS, Authorizer, decide
from services.apiserver.errors import BadRequest, Forbidden
from services.apiserver.http.request import Header, Request
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.stages.authorization import forbidden
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain, http_path

PREFIX = b"impersonate-"
EXTRA_PREFIX = b"impersonate-extra-"
GROUP = "authentication.k8s.io"
NODE_PREFIX, NODES = "system:node:", "system:nodes"
SERVICE_ACCOUNT_PREFIX, SERVICE_ACCOUNTS = "system:serviceaccount:", "system:serviceaccounts"
ALL_UNAUTHENTICATED = "system:unauthenticated"
NODE_NAME_KEY = "authentication.kubernetes.io/node-name"


@dataclass(slots=True)
class Wanted:
    """The user as the headers name it."""

    name: str = ""
    uid: str = ""
    groups: list[str] = field(default_factory=list)
    extra: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_name_only(self) -> bool:
        return not (self.uid or self.groups or self.extra)


async def impersonate(authorizers: Sequence[Authorizer], request: Request) -> None:
    """Replace the request's user by the one that its headers name, if any do.

    Raises:
        BadRequest: they name parts of a user, but no user.
        Forbidden: the user may not impersonate that one.
    """
    for name in request.headers:
        if name.startswith(PREFIX):
            break
    else:
        return
    wanted = wanted_user(request.scope["headers"])
    if wanted is not None:
        request.user = await impersonated(
            authorizers, request.user, request.info, wanted, request.audit
        )


def wanted_user(headers: Iterable[Header]) -> Wanted | None:
    """Return whom the headers ask for; None if they do not.

    Raises:
        BadRequest: they have a uid, groups or extra values without a user name.
    """
    wanted = Wanted()
    for name, raw in headers:
        if not name.startswith(PREFIX):
            continue
        value = raw.decode("utf-8", "replace")
        if name == b"impersonate-user":
            wanted.name = wanted.name or value
        elif name == b"impersonate-uid":
            wanted.uid = wanted.uid or value
        elif name == b"impersonate-group":
            wanted.groups.append(value)
        elif name.startswith(EXTRA_PREFIX):
            key = _unescaped(name[len(EXTRA_PREFIX) :].decode("latin-1"))
            wanted.extra.setdefault(key, []).append(value)
    if wanted.name:
        return wanted
    if not wanted.is_name_only:
        raise BadRequest(f"requested {wanted} without impersonating a user name")
    return None


def _unescaped(key: str) -> str:
    """Undo %-escapes; a key with a wrong one stays as it is."""
    if re.search("%(?![0-9a-fA-F]{2})", key):
        return key
    return urllib.parse.unquote(key)


async def impersonated(
    authorizers: Sequence[Authorizer],
    user: UserInfo,
    info: RequestInfo,
    wanted: Wanted,
    audit: Audit = NO_AUDIT,
) -> UserInfo:
    """Return the user to go on as.

    Raises:
        Forbidden: no mode allows it; it is the refusal of the first that applies.
    """
    refusal: Forbidden | None = None
    for mode in (*_constrained_modes(user, wanted), _LEGACY):
        try:
            other = await _Check(authorizers, user, mode).run(info, wanted)
        except Forbidden as error:
            refusal = refusal or error
        else:
            audit.impersonated(other, f"impersonate:{mode}" if mode else "")
            return other
    assert refusal is not None
    raise refusal


_LEGACY = ""


def _constrained_modes(user: UserInfo, wanted: Wanted) -> list[str]:
    """Return the modes besides the legacy one that are about such a user."""
    node = node_name(wanted.name)
    if node is not None:
        if not wanted.is_name_only:
            return []
        own = user.extra_as_dict().get(NODE_NAME_KEY) == [node]
        is_associated = own and service_account(user.name) is not None
        return ["associated-node", "arbitrary-node"] if is_associated else ["arbitrary-node"]
    if service_account(wanted.name) is not None:
        return ["serviceaccount"] if wanted.is_name_only else []
    return ["user-info"]


class _Check:
    """The questions of one mode."""

    def __init__(self, authorizers: Sequence[Authorizer], user: UserInfo, mode: str) -> None:
        self._authorizers = authorizers
        self._user = user
        self._mode = mode
        self._verb = f"impersonate:{mode}" if mode else "impersonate"
        self._group = GROUP if mode else ""

    async def run(self, info: RequestInfo, wanted: Wanted) -> UserInfo:
        if self._mode:
            await self._ask(info._replace(verb=f"impersonate-on:{self._mode}:{info.verb}"))
        groups = await self._check_name(wanted)
        if wanted.uid:
            await self._ask_about(GROUP, "uids", wanted.uid)
        await self._check_groups(wanted.groups)
        await self._check_extra(wanted.extra)
        if wanted.name == ANONYMOUS.name:
            implied = ALL_UNAUTHENTICATED
        else:
            implied = "" if ALL_UNAUTHENTICATED in groups else ALL_AUTHENTICATED
        if implied and implied not in groups:
            groups = [*groups, implied]
        extra = tuple((key, tuple(values)) for key, values in wanted.extra.items())
        return UserInfo(wanted.name, wanted.uid, tuple(groups), extra)

    async def _check_name(self, wanted: Wanted) -> list[str]:
        """Return the groups that the user has; those of nodes and service accounts are known."""
        account, node = service_account(wanted.name), node_name(wanted.name)
        if account is not None:
            namespace, name = account
            await self._ask_about(self._group, "serviceaccounts", name, namespace=namespace)
            return wanted.groups or [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"]
        if self._mode and node is not None:
            shown = "*" if self._mode == "associated-node" else node
            await self._ask_about(GROUP, "nodes", shown)
            return [NODES]
        await self._ask_about(self._group, "users", wanted.name)
        return wanted.groups

    async def _check_groups(self, groups: Sequence[str]) -> None:
        for group in groups:
            if self._mode and group in ("", MASTERS):
                raise self._refused(self._about(GROUP, "groups", group), "not allowed")
        if (
            self._mode
            and len(groups) >= MANY
            and await self._may(self._about(GROUP, "groups", "*"))
        ):
            return
        for group in groups:
            await self._ask_about(self._group, "groups", group)

    async def _check_extra(self, extra: dict[str, list[str]]) -> None:
        for key, values in extra.items():
            if self._mode and not (is_domain_prefixed_path(key) and all(values)):
                about = self._about(GROUP, "userextras", "")
                raise self._refused(about, f"impersonating {key!r} in extra is not allowed")
        if self._mode and sum(map(len, extra.values())) >= MANY:
            about = self._about(GROUP, "userextras", "*")._replace(subresource="*")
            if await self._may(about):
                return
        for key, values in extra.items():
            for value in values:
                await self._ask(self._about(GROUP, "userextras", value)._replace(subresource=key))

    def _about(self, group: str, resource: str, name: str, namespace: str = "") -> RequestInfo:
        return RequestInfo(
            True,
            "",
            self._verb,
            group=group,
            version="v1",
            namespace=namespace,
            resource=resource,
            name=name,
        )

    async def _ask_about(
        self, group: str, resource: str, name: str, *, namespace: str = ""
    ) -> None:
        await self._ask(self._about(group, resource, name, namespace))

    async def _may(self, info: RequestInfo) -> bool:
        return (await decide(self._authorizers, self._user, info)).allowed

    async def _ask(self, info: RequestInfo) -> None:
        decision = await decide(self._authorizers, self._user, info)
        if not decision.allowed:
            raise self._refused(info, decision.reason)

    def _refused(self, info: RequestInfo, reason: str) -> Forbidden:
        return forbidden(self._user, info, reason)


MANY = 4
"""From so many groups or extra values on, the right to all of them ("*") is asked for first."""


def service_account(user_name: str) -> tuple[str, str] | None:
    """Return the namespace and name of a service account's user; None for another user."""
    if not user_name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, _, name = user_name[len(SERVICE_ACCOUNT_PREFIX) :].partition(":")
    if dns1123_label(namespace) or dns1123_subdomain(name):
        return None
    return namespace, name


def node_name(user_name: str) -> str | None:
    """Return the name of a node's user; None for another user."""
    if not user_name.startswith(NODE_PREFIX):
        return None
    name = user_name[len(NODE_PREFIX) :]
    return None if dns1123_subdomain(name) else name


def is_domain_prefixed_path(text: str) -> bool:
    """Whether `text` is like example.com/path, in lower case."""
    domain, _, path = text.partition("/")
    return (
        bool(path)
        and text == text.lower()
        and not dns1123_subdomain(domain)
        and not http_path(path)
    )
