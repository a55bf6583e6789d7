"""The handshake of a server that asks for certificates, between two ends in memory."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from services.apiserver.authentication import handshake
from services.apiserver.authentication.authorities import Authorities
from services.apiserver.authentication.handshake import ClientContext, peer_of_connection
from services.apiserver.authentication.peer import Peer
from services.apiserver.errors import Unauthorized
from tests.certificates import SERVER, Issued, authority, client

USERS = authority("users")
MIDDLE = authority("middle", signer=USERS)
ALICE = client(MIDDLE, "alice")


@pytest.fixture
def known(tmp_path: Path) -> Authorities:
    (tmp_path / "users.crt").write_bytes(USERS.pem)
    return Authorities(tmp_path / "users.crt")


@pytest.fixture
def server(tmp_path: Path, known: Authorities) -> ClientContext:
    files = client(USERS, "localhost", usages=SERVER).write(tmp_path, "server")
    return ClientContext.serving(*files, [known])


def client_context(tmp_path: Path, issued: Issued | None, tls: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl._create_unverified_context()
    context.minimum_version = context.maximum_version = tls
    if issued is not None:
        context.load_cert_chain(*issued.write(tmp_path, "client"))
    return context


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return the server's and the client's end after their handshake."""
    upwards, downwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(upwards, downwards, server_side=True),
        client.wrap_bio(downwards, upwards, session=session),
    )
    for _ in range(5):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends


def peer(end: ssl.SSLObject) -> Peer:
    found = peer_of_connection(end)
    assert found is not None
    return found


VERSIONS = pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
def test_the_chain_of_a_client_is_known_after_the_handshake(
    tls: ssl.TLSVersion, tmp_path: Path, known: Authorities, server: ClientContext
) -> None:
    end, _ = shake(server, client_context(tmp_path, ALICE, tls))
    alice = peer(end)
    alice.verify(known)
    assert alice.user is not None
    assert alice.user.name == "alice"


@VERSIONS
def test_a_client_without_a_certificate_is_let_in(
    tls: ssl.TLSVersion, tmp_path: Path, server: ClientContext
) -> None:
    end, _ = shake(server, client_context(tmp_path, None, tls))
    assert end.version() is not None
    assert peer_of_connection(end) is None


@VERSIONS
def test_a_certificate_of_no_known_authority_ends_the_handshake(
    tls: ssl.TLSVersion, tmp_path: Path, server: ClientContext
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, client_context(tmp_path, client(authority("users"), "mallory"), tls))


def test_a_resumed_session_keeps_its_chain(
    tmp_path: Path, known: Authorities, server: ClientContext
) -> None:
    context = client_context(tmp_path, ALICE, ssl.TLSVersion.TLSv1_2)
    whole, first = shake(server, context)
    peer(whole)
    resumed, second = shake(server, context, first.session)
    assert second.session_reused
    peer(resumed).verify(known)


def test_a_resumed_session_whose_chain_is_forgotten_is_nobody_s(
    tmp_path: Path, known: Authorities, server: ClientContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "MAXIMUM_CHAINS", 1)
    context = client_context(tmp_path, ALICE, ssl.TLSVersion.TLSv1_2)
    first, end = shake(server, context)
    peer(first)
    other, _ = shake(server, client_context(tmp_path, client(USERS, "bob"), ssl.TLSVersion.TLSv1_2))
    peer(other)
    resumed, again = shake(server, context, end.session)
    assert again.session_reused
    with pytest.raises(Unauthorized, match="unknown authority"):
        peer(resumed).verify(known)


def test_tls_1_3_has_no_sessions_to_resume(tmp_path: Path, server: ClientContext) -> None:
    context = client_context(tmp_path, ALICE, ssl.TLSVersion.TLSv1_3)
    end, other = shake(server, context)
    end.write(b"hello")
    assert other.read(5) == b"hello"
    assert other.session is None or not other.session.has_ticket


def test_a_server_that_asks_for_none_knows_none(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*client(USERS, "localhost", usages=SERVER).write(tmp_path, "server"))
    end, _ = shake(context, client_context(tmp_path, ALICE, ssl.TLSVersion.TLSv1_3))
    assert peer_of_connection(end) is None
    assert peer_of_connection(None) is None
