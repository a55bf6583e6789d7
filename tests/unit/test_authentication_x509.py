"""Client certificates and front proxies: what a verified chain is worth."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.apiserver.authentication import Authenticated
from services.apiserver.authentication.authorities import Authorities, AuthoritiesError
from services.apiserver.authentication.clientcertificate import ClientCertificates
from services.apiserver.authentication.peer import PEER, Peer
from services.apiserver.authentication.requestheader import (
    STANDARD,
    RequestHeaders,
    UserHeaders,
    user_of,
)
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Message, Request
from services.apiserver.requestinfo import UserInfo
from tests.certificates import CLIENT, SERVER, Issued, authority, client

MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
USERS, PROXIES = authority("users"), authority("proxies")
ALICE = client(USERS, "alice", organizations=["dev", "ops"])
PROXY = client(PROXIES, "proxy")


def file_of(tmp_path: Path, *issued: Issued, name: str = "ca.crt") -> Authorities:
    path = tmp_path / name
    path.write_bytes(b"".join(one.pem for one in issued))
    return Authorities(path)


def asking(*chain: Issued, headers: Sequence[tuple[bytes, bytes]] = ()) -> Request:
    async def receive() -> Message:
        raise AssertionError("authentication reads no body")

    extensions = {PEER: Peer([one.der for one in chain])} if chain else {}
    scope = {
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": list(headers),
        "extensions": extensions,
    }
    return Request(scope, receive)


def user(known: Authorities, *chain: Issued) -> UserInfo | None:
    found = asyncio.run(ClientCertificates(known).authenticate(asking(*chain)))
    return None if found is None else found.user


# -- users ---------------------------------------------------------------------------


def test_the_common_name_is_the_user_and_the_organizations_are_the_groups(tmp_path: Path) -> None:
    fingerprint = hashlib.sha256(ALICE.der).hexdigest()
    assert user(file_of(tmp_path, USERS), ALICE, USERS) == UserInfo(
        "alice",
        "",
        ("dev", "ops"),
        (("authentication.kubernetes.io/credential-id", (f"X509SHA256={fingerprint}",)),),
    )


def test_a_connection_without_a_certificate_has_no_such_credentials(tmp_path: Path) -> None:
    assert user(file_of(tmp_path, USERS)) is None


def test_a_certificate_without_a_common_name_is_nobody(tmp_path: Path) -> None:
    nobody = client(USERS, organizations=["system:masters"])
    assert user(file_of(tmp_path, USERS), nobody, USERS) is None


def test_of_several_common_names_the_last_counts(tmp_path: Path) -> None:
    found = user(file_of(tmp_path, USERS), client(USERS, "a", "b"), USERS)
    assert found is not None
    assert found.name == "b"


def test_a_certificate_may_name_a_uid(tmp_path: Path) -> None:
    found = user(file_of(tmp_path, USERS), client(USERS, "a", uids=["u-1"]), USERS)
    assert found is not None
    assert found.uid == "u-1"


@pytest.mark.parametrize("uids", [["a", "b"], [""]])
def test_a_uid_that_is_none_makes_the_certificate_bad(uids: list[str], tmp_path: Path) -> None:
    with pytest.raises(Unauthorized, match="UID"):
        user(file_of(tmp_path, USERS), client(USERS, "a", uids=uids), USERS)


# -- whose word counts ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (client(PROXIES, "alice"), "unknown authority"),
        (client(USERS, "alice", usages=SERVER), "incompatible key usage"),
        (client(USERS, "alice", ends=-MINUTE), "expired"),
        (client(USERS, "alice", begins=HOUR, ends=2 * HOUR), "not yet valid"),
    ],
    ids=["other authority", "server's", "expired", "of tomorrow"],
)
def test_certificates_that_count_for_nothing_are_bad(
    leaf: Issued, why: str, tmp_path: Path
) -> None:
    root = PROXIES if why == "unknown authority" else USERS
    with pytest.raises(Unauthorized, match=why):
        user(file_of(tmp_path, USERS), leaf, root)


@pytest.mark.parametrize("usages", [None, CLIENT, (*SERVER, *CLIENT)])
def test_a_certificate_may_be_for_anything_or_for_clients(
    usages: tuple[object, ...] | None, tmp_path: Path
) -> None:
    leaf = client(USERS, "alice", usages=usages)  # type: ignore[arg-type]
    assert user(file_of(tmp_path, USERS), leaf, USERS) is not None


def test_an_authority_in_the_middle_is_enough_and_vouches_for_no_others(tmp_path: Path) -> None:
    middle = authority("middle", signer=USERS)
    leaf = client(middle, "alice")
    for known, number in ((USERS, 1), (middle, 2)):
        assert user(file_of(tmp_path, known, name=f"{number}.crt"), leaf, middle, USERS)
    with pytest.raises(Unauthorized, match="unknown authority"):
        user(file_of(tmp_path, middle), ALICE, USERS)


def test_a_middle_authority_that_has_expired_ends_the_chain(tmp_path: Path) -> None:
    middle = authority("middle", signer=USERS, ends=-MINUTE)
    with pytest.raises(Unauthorized, match="expired"):
        user(file_of(tmp_path, USERS), client(middle, "alice"), middle, USERS)


def test_an_authority_may_be_renewed_with_its_key(tmp_path: Path) -> None:
    old = authority("renewed", ends=-MINUTE)
    new = authority("renewed", key=old.key)
    leaf = client(old, "alice")
    with pytest.raises(Unauthorized):
        user(file_of(tmp_path, old, name="old.crt"), leaf, old)
    # TLS may have found either of them.
    for found in (old, new):
        assert user(file_of(tmp_path, old, new), leaf, found) is not None


def test_an_authority_of_the_same_name_with_another_key_is_another(tmp_path: Path) -> None:
    impostor = authority("users")
    with pytest.raises(Unauthorized, match="unknown authority"):
        user(file_of(tmp_path, USERS), client(impostor, "alice"), impostor)


def test_a_connection_that_outlives_its_certificate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, request = ClientCertificates(file_of(tmp_path, USERS)), asking(ALICE, USERS)
    assert asyncio.run(known.authenticate(request)) is not None
    ends = ALICE.certificate.not_valid_after_utc.timestamp()
    for moment, good in ((ends - 0.1, True), (ends + 0.1, False)):
        monkeypatch.setattr(
            "services.apiserver.authentication.peer.time.time", lambda at=moment: at
        )
        if good:
            assert asyncio.run(known.authenticate(request)) is not None
        else:
            with pytest.raises(Unauthorized, match="expired"):
                asyncio.run(known.authenticate(request))


# -- files ---------------------------------------------------------------------------


def test_a_changed_file_takes_effect_on_open_connections(tmp_path: Path) -> None:
    known = file_of(tmp_path, USERS)
    request, certificates = asking(ALICE, USERS), ClientCertificates(known)
    assert asyncio.run(certificates.authenticate(request)) is not None
    (tmp_path / "ca.crt").write_bytes(PROXIES.pem + PROXIES.pem)
    assert known.refresh()
    with pytest.raises(Unauthorized, match="unknown authority"):
        asyncio.run(certificates.authenticate(request))
    (tmp_path / "ca.crt").write_bytes(USERS.pem)
    assert known.refresh()
    assert asyncio.run(certificates.authenticate(request)) is not None


def test_a_file_that_says_the_same_is_no_change(tmp_path: Path) -> None:
    known = file_of(tmp_path, USERS)
    assert not known.refresh()
    os.utime(tmp_path / "ca.crt", (1, 1))
    assert not known.refresh()
    assert known.generation == 0


EC_KEY, NO_KEY = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209")
"""The object identifier of elliptic curve keys, and one that stands for nothing."""
EXTENSIONS = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d25")
"""Those of basic constraints and of the extended key usage."""


def pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def test_a_client_with_an_extension_given_twice_is_nobody(tmp_path: Path) -> None:
    twice = ALICE.der.replace(*EXTENSIONS)
    assert twice != ALICE.der
    request = asking(ALICE, USERS)
    request.scope["extensions"] = {PEER: Peer([twice, USERS.der])}
    with pytest.raises(Unauthorized, match="x509"):
        asyncio.run(ClientCertificates(file_of(tmp_path, USERS)).authenticate(request))


@pytest.mark.parametrize(
    "content", [b"", b"what", USERS.pem[:200], pem(USERS.der.replace(EC_KEY, NO_KEY))]
)
def test_a_broken_file_leaves_what_was_there(content: bytes, tmp_path: Path) -> None:
    known = file_of(tmp_path, USERS)
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(AuthoritiesError, match=r"ca\.crt"):
        known.refresh()
    assert user(known, ALICE, USERS) is not None


def test_a_server_does_not_start_with_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(AuthoritiesError, match="No such file"):
        Authorities(tmp_path / "missing")


# -- front proxies -------------------------------------------------------------------

X_REMOTE = [(b"x-remote-user", b"bob"), (b"x-remote-group", b"dev")]


def proxied(
    known: Authorities,
    *chain: Issued,
    headers: Sequence[tuple[bytes, bytes]] = tuple(X_REMOTE),
    allowed: Sequence[str] = ("proxy",),
) -> Authenticated | None:
    proxies = RequestHeaders(known, allowed, STANDARD)
    return asyncio.run(proxies.authenticate(asking(*chain, headers=headers)))


def test_a_front_proxy_says_who_asks(tmp_path: Path) -> None:
    found = proxied(file_of(tmp_path, PROXIES), PROXY, PROXIES)
    assert found == Authenticated(UserInfo("bob", groups=("dev",)))


def test_without_allowed_names_any_certificate_of_the_authority_will_do(tmp_path: Path) -> None:
    assert proxied(file_of(tmp_path, PROXIES), client(PROXIES, "x"), PROXIES, allowed=())


def test_a_front_proxy_that_names_nobody_is_nobody(tmp_path: Path) -> None:
    known = file_of(tmp_path, PROXIES)
    assert proxied(known, PROXY, PROXIES, headers=[]) is None
    assert proxied(known, PROXY, PROXIES, headers=[(b"x-remote-group", b"dev")]) is None


def test_without_a_certificate_the_headers_mean_nothing(tmp_path: Path) -> None:
    assert proxied(file_of(tmp_path, PROXIES)) is None


@pytest.mark.parametrize(
    ("leaf", "root", "why"),
    [
        (ALICE, USERS, "unknown authority"),
        (client(USERS, "proxy"), USERS, "unknown authority"),
        (client(PROXIES, "other"), PROXIES, "cn=other is not in the allowed list"),
        (client(PROXIES, "proxy", "other"), PROXIES, "cn=other is not in the allowed list"),
        (client(PROXIES, "proxy", ends=-MINUTE), PROXIES, "expired"),
        (client(PROXIES, "proxy", usages=SERVER), PROXIES, "incompatible key usage"),
    ],
    ids=["user", "user named proxy", "other name", "two names", "expired", "server's"],
)
def test_nobody_but_a_front_proxy_says_who_asks(
    leaf: Issued, root: Issued, why: str, tmp_path: Path
) -> None:
    with pytest.raises(Unauthorized, match=why):
        proxied(file_of(tmp_path, PROXIES), leaf, root)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"x-remote-user", b"a"), (b"x-remote-user", b"b")], UserInfo("a")),
        ([(b"x-remote-user", b""), (b"x-remote-user", b"b")], None),
        ([(b"x_remote_user", b"a")], None),
        ([(b"x-remote-user", b"a,b")], UserInfo("a,b")),
        ([(b"x-remote-user", "ä".encode())], UserInfo("ä")),
        ([(b"x-other-user", b"o")], UserInfo("o")),
        ([(b"x-other-user", b"o"), (b"x-remote-user", b"a")], UserInfo("a")),
        ([(b"x-other-user", b"o"), (b"x-remote-user", b"")], UserInfo("o")),
        (
            [(b"x-remote-user", b"a"), (b"x-remote-uid", b"1"), (b"x-remote-uid", b"2")],
            UserInfo("a", "1"),
        ),
        (
            [
                (b"x-remote-user", b"a"),
                (b"x-remote-group", b"g"),
                (b"x-remote-group", b""),
                (b"x-remote-group", b"h,i"),
            ],
            UserInfo("a", groups=("g", "h,i")),
        ),
        (
            [
                (b"x-remote-user", b"a"),
                (b"x-remote-extra-acme.com%2fteam", b"x"),
                (b"x-remote-extra-acme.com%2fteam", b"y"),
                (b"x-remote-extra-bad%zz", b""),
            ],
            UserInfo("a", extra=(("acme.com/team", ("x", "y")), ("bad%zz", ("",)))),
        ),
    ],
)
def test_headers_are_read_as_go_reads_them(
    headers: list[tuple[bytes, bytes]], expected: UserInfo | None
) -> None:
    named = UserHeaders.of(
        ["X-Remote-User", "X-Other-User"], ["X-Remote-Uid"], ["X-Remote-Group"], ["X-Remote-Extra-"]
    )
    assert user_of(headers, named) == expected
