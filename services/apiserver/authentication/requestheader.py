"""The front proxy: a proxy that shows its own certificate names the user in headers.

Nobody else may: what others send in these headers is not looked at, and no later stage sees
the headers at all, whoever sent them (`strip`).
Source: kube-apiserver v1.36.2, apiserver/pkg/authentication/request/headerrequest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.authorities import Authorities
from services.apiserver.authentication.peer import peer_of
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Header, Request
from services.apiserver.requestinfo import UserInfo


@dataclass(frozen=True, slots=True)
class UserHeaders:
    """The headers that name a user; all in small letters."""

    username: tuple[str, ...] = ()
    """The first that has a value counts."""
    uid: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    """All values of all of them count."""
    extra_prefixes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        username: Iterable[str],
        uid: Iterable[str],
        group: Iterable[str],
        extra_prefixes: Iterable[str],
    ) -> UserHeaders:
        """Return the headers of these names, in whatever letters they are written."""
        return cls(*(tuple(map(str.lower, one)) for one in (username, uid, group, extra_prefixes)))


STANDARD = UserHeaders(
    ("x-remote-user",), ("x-remote-uid",), ("x-remote-group",), ("x-remote-extra-",)
)


class RequestHeaders:
    """Believes the headers of proxies that `authorities` (--requestheader-client-ca-file) signed.

    `allowed_names` are the common names that a proxy may have; none: any.
    """

    def __init__(
        self, authorities: Authorities, allowed_names: Sequence[str], headers: UserHeaders
    ) -> None:
        self._authorities = authorities
        self._allowed_names = frozenset(allowed_names)
        self._headers = headers

    async def authenticate(self, request: Request) -> Authenticated | None:
        peer = peer_of(request)
        if peer is None:
            return None
        peer.verify(self._authorities)
        if self._allowed_names and peer.common_name not in self._allowed_names:
            raise Unauthorized(
                f"x509: subject with cn={peer.common_name} is not in the allowed list"
            )
        user = user_of(request.scope["headers"], self._headers)
        return None if user is None else Authenticated(user)


def user_of(headers: Sequence[Header], named: UserHeaders) -> UserInfo | None:
    """Return the user that the headers name, None where they name none."""
    values: dict[str, list[str]] = {}
    for raw_name, raw in headers:
        values.setdefault(raw_name.decode("latin-1"), []).append(raw.decode("utf-8", "replace"))
    name = _first(values, named.username)
    if not name:
        return None
    groups = [value for one in named.group for value in values.get(one, ()) if value]
    extra: dict[str, list[str]] = {}
    for prefix in named.extra_prefixes:
        for header, found in values.items():
            if header.startswith(prefix):
                extra.setdefault(_unescaped(header[len(prefix) :]), []).extend(found)
    return UserInfo(
        name,
        _first(values, named.uid),
        tuple(groups),
        tuple((key, tuple(found)) for key, found in sorted(extra.items())),
    )


def _first(values: dict[str, list[str]], names: Sequence[str]) -> str:
    """Return the first header's first value that is not empty; "" without one.

    A header given again does not count, also where its first value is empty.
    """
    for name in names:
        found = values.get(name)
        if found and found[0]:
            return found[0]
    return ""


def _unescaped(key: str) -> str:
    """Return a key with its %-escapes resolved; one that has a wrong escape stays as it is."""
    if "%" not in key:
        return key
    for part in key.split("%")[1:]:
        if len(part) < 2 or not all(one in "0123456789abcdef" for one in part[:2]):
            return key
    return unquote(key, errors="replace")


class HeaderFilter:
    """Takes off a request the credentials and the headers that only authentication may see."""

    def __init__(self, credentials: bytes, user_headers: Iterable[UserHeaders]) -> None:
        every = list(user_headers)
        names = {name for one in every for name in (*one.username, *one.uid, *one.group)}
        self._credentials = credentials
        self._names = frozenset(name.encode("latin-1") for name in names)
        self._prefixes = tuple(
            {prefix.encode("latin-1") for one in every for prefix in one.extra_prefixes}
        )
        self._markers = _markers((*self._names, *self._prefixes))

    def strip(self, request: Request) -> None:
        """Take them off; called for each request, so it costs next to nothing without them."""
        headers = request.headers
        value = headers.pop(self._credentials, None)
        if value is not None:
            every = request.scope["headers"]
            if len(every) == len(headers) + 1:  # nothing is repeated
                every.remove((self._credentials, value))
            else:
                self._keep_known(request)
        present = b"\n".join(headers)
        for marker in self._markers:
            if marker in present:
                self._strip_user_headers(request)
                return

    def _strip_user_headers(self, request: Request) -> None:
        headers = request.headers
        for name in [*headers]:
            if name in self._names or name.startswith(self._prefixes):
                del headers[name]
        self._keep_known(request)

    @staticmethod
    def _keep_known(request: Request) -> None:
        headers = request.headers
        request.scope["headers"] = [one for one in request.scope["headers"] if one[0] in headers]


def _markers(names: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return a few texts of which each of the names has one in it: all usual ones have the same."""
    names = set(names)
    if all(name.startswith(b"x-remote-") for name in names):
        return (b"x-remote-",)
    return tuple(names)
