"""The authenticators as the flags put them together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.apiserver.authentication import Authenticated
from services.apiserver.authentication.peer import PEER, Peer
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Message, Request
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.requestinfo import UserInfo
from services.apiserver.startup.authenticators import Authentication, authentication
from tests.certificates import Issued, authority, client
from tests.unit.test_authentication_bootstraptoken import DATA, ID, SECRET, Secrets, secret

USERS, PROXIES = authority("users"), authority("proxies")
PROXY = client(PROXIES, "proxy")
ALICE = client(USERS, "alice")
CONFIGURATION = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"


class ServiceAccounts:
    """Knows one token; those of the form bad-REASON are bad."""

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        if token.startswith("bad-"):
            raise Unauthorized(token)
        return Authenticated(UserInfo("robot"), audiences) if token == "robot-token" else None


def made(tmp_path: Path, *flags: str) -> Authentication:
    for name, issued in (("users", USERS), ("proxies", PROXIES)):
        (tmp_path / f"{name}.crt").write_bytes(issued.pem)
    (tmp_path / "tokens.csv").write_text('carol-token,carol,1,"a,b"\n')
    argv = [f"--data-dir={tmp_path}", *(flag.replace("DIR", str(tmp_path)) for flag in flags)]
    options = ApiServerOptions.from_argv(argv)
    return authentication(
        options, Secrets(secret(DATA)), ServiceAccounts(), admin_token="admin-token"
    )


def user(
    by: Authentication,
    *,
    path: str = "/",
    token: str = "",
    chain: tuple[Issued, ...] = (),
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> UserInfo | None:
    """Return who asks; None for a refusal."""

    async def receive() -> Message:
        raise AssertionError("authentication reads no body")

    every = list(headers)
    if token:
        every.append((b"authorization", b"Bearer " + token.encode()))
    extensions = {PEER: Peer([one.der for one in chain])} if chain else {}
    scope = {"method": "GET", "path": path, "query_string": b"", "headers": every}

    async def ask() -> UserInfo:
        return await by.authenticate(Request({**scope, "extensions": extensions}, receive))

    try:
        return asyncio.run(ask())
    except Unauthorized:
        return None


PROXY_FLAGS = (
    "--requestheader-client-ca-file=DIR/proxies.crt",
    "--requestheader-username-headers=X-Remote-User",
)


@pytest.mark.parametrize(
    ("token", "name", "groups"),
    [
        ("admin-token", "admin", ("system:masters", "system:authenticated")),
        ("carol-token", "carol", ("a", "b", "system:authenticated")),
        ("robot-token", "robot", ("system:authenticated",)),
        ("bad-one", None, ()),
        (f"{ID}.{SECRET}", None, ()),
    ],
)
def test_bearer_tokens_of_all_kinds(
    token: str, name: str | None, groups: tuple[str, ...], tmp_path: Path
) -> None:
    found = user(made(tmp_path, "--token-auth-file=DIR/tokens.csv"), token=token)
    assert (found and found.name) == name
    assert found is None or found.groups == groups


def test_bootstrap_tokens_are_good_where_they_are_switched_on(tmp_path: Path) -> None:
    by = made(tmp_path, "--enable-bootstrap-token-auth")
    assert user(by, token=f"{ID}.{SECRET}") == UserInfo(
        f"system:bootstrap:{ID}", groups=("system:bootstrappers", "system:authenticated")
    )


def test_a_front_proxy_goes_before_a_certificate_and_that_before_a_token(tmp_path: Path) -> None:
    by = made(tmp_path, *PROXY_FLAGS, "--client-ca-file=DIR/users.crt")
    named = ((b"x-remote-user", b"bob"),)
    both = {"token": "admin-token", "headers": named}
    for chain, name in (((PROXY, PROXIES), "bob"), ((ALICE, USERS), "alice"), ((), "admin")):
        found = user(by, chain=chain, **both)  # type: ignore[arg-type]
        assert found is not None
        assert found.name == name


def test_one_authority_can_t_do_the_other_s_work(tmp_path: Path) -> None:
    by = made(tmp_path, *PROXY_FLAGS, "--client-ca-file=DIR/users.crt")
    # A user's certificate does not make a proxy: it stays that user.
    found = user(by, chain=(ALICE, USERS), headers=((b"x-remote-user", b"root"),))
    assert found is not None
    assert found.name == "alice"
    # A proxy's does not make a user.
    assert user(by, chain=(PROXY, PROXIES)) is None


def test_a_certificate_counts_for_nothing_where_none_is_asked_for(tmp_path: Path) -> None:
    found = user(made(tmp_path), chain=(ALICE, USERS))
    assert found is not None
    assert found.name == "system:anonymous"


# -- anonymous -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "configuration", "paths"),
    [
        ((), "", {"/", "/livez"}),
        (("--anonymous-auth=false",), "", set()),
        (("--authorization-mode=AlwaysAllow",), "", set()),
        (("--authorization-mode=AlwaysAllow", "--anonymous-auth=true"), "", set()),
        ((), CONFIGURATION, {"/", "/livez"}),
        (("--anonymous-auth=false",), CONFIGURATION, set()),
        ((), CONFIGURATION + "anonymous: {enabled: true}\n", {"/", "/livez"}),
        ((), CONFIGURATION + "anonymous: {enabled: false}\n", set()),
        (
            (),
            CONFIGURATION + "anonymous: {enabled: true, conditions: [{path: /livez}]}\n",
            {"/livez"},
        ),
    ],
)
def test_where_anybody_may_come(
    flags: tuple[str, ...], configuration: str, paths: set[str], tmp_path: Path
) -> None:
    if configuration:
        (tmp_path / "authentication.yaml").write_text(configuration)
        flags = (*flags, "--authentication-config=DIR/authentication.yaml")
    by = made(tmp_path, *flags)
    assert {path for path in ("/", "/livez") if user(by, path=path)} == paths


# -- mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "content", "why"),
    [
        (["--client-ca-file=DIR/file"], "what", "file: "),
        (["--requestheader-client-ca-file=DIR/file"], "", "file: "),
        (["--token-auth-file=DIR/file"], "a,b\n", "file:1: a line needs"),
        (["--authentication-config=DIR/file"], "a: b\n", "expected kind"),
        (
            ["--authentication-config=DIR/file", "--anonymous-auth=true"],
            CONFIGURATION + "anonymous: {enabled: true}\n",
            "--anonymous-auth flag cannot be set",
        ),
    ],
)
def test_a_file_that_can_t_be_used_keeps_the_server_from_starting(
    flags: list[str], content: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(OptionsError, match=why):
        made(tmp_path, *flags)


def test_lists_of_headers_have_commas_or_are_given_again() -> None:
    options = ApiServerOptions.from_argv(
        [
            "--requestheader-username-headers=X-Remote-User, X-User",
            "--requestheader-group-headers=X-A",
            "--requestheader-group-headers=X-B",
        ]
    ).authentication
    assert options.requestheader_username_headers == ("X-Remote-User", "X-User")
    assert options.requestheader_group_headers == ("X-A", "X-B")
    with pytest.raises(OptionsError, match="--requestheader-group-headers: empty value"):
        ApiServerOptions.from_argv(["--requestheader-group-headers=a,,b"])
