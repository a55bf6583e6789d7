"""X.509 client certificates against a real server: `--client-ca-file`."""

from __future__ import annotations

import datetime
import http.client
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.certificates import SERVER, Issued, authority, client
from tests.e2e.kubectl import Kubectl
from tests.e2e.system import Server, apiserver
from tests.e2e.tlsclient import Connection, whoami

MINUTE = datetime.timedelta(minutes=1)
TOKENS = 'carol-token,carol,uid-carol,"dev"\n'


@dataclass(frozen=True, slots=True)
class World:
    """A server that knows the certificates of `users`, and a place for files."""

    server: Server
    users: Issued
    directory: Path

    def files(self, issued: Issued, name: str) -> tuple[Path, Path]:
        return issued.write(self.directory, name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("client-certificates")
    users = authority("users")
    (directory / "users.crt").write_bytes(users.pem)
    (directory / "tokens.csv").write_text(TOKENS)
    with apiserver(
        directory / "data",
        "--authorization-mode=RBAC",
        f"--client-ca-file={directory / 'users.crt'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
    ) as server:
        yield World(server, users, directory)


def test_kubectl_with_a_client_certificate_is_whom_it_names(world: World) -> None:
    certificate, key = world.files(
        client(world.users, "alice", organizations=["system:masters"]), "alice"
    )
    config = yaml.safe_load(world.server.kubeconfig.read_text())
    config["users"][0]["user"] = {"client-certificate": str(certificate), "client-key": str(key)}
    kubeconfig = world.directory / "alice.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    kubectl = Kubectl(kubeconfig, world.directory / "home")
    shown = yaml.safe_load(kubectl("auth", "whoami", "-o", "yaml"))["status"]["userInfo"]
    assert shown["username"] == "alice"
    assert shown["groups"] == ["system:masters", "system:authenticated"]
    (credential,) = shown["extra"]["authentication.kubernetes.io/credential-id"]
    assert credential.startswith("X509SHA256=")
    assert "kube-system" in kubectl("get", "namespaces")


def test_a_certificate_goes_before_a_token_and_a_token_stands_in_for_a_bad_one(
    world: World,
) -> None:
    token = ("Authorization", "Bearer carol-token")
    good = world.files(client(world.users, "dave"), "dave")
    assert whoami(world.server.port, good, token).user["username"] == "dave"
    expired = world.files(client(world.users, "dave", ends=-MINUTE), "dave-expired")
    assert whoami(world.server.port, expired, token).user["username"] == "carol"


def test_without_a_certificate_all_is_as_before(world: World) -> None:
    answer = whoami(world.server.port, None, ("Authorization", "Bearer carol-token"))
    assert answer.user["username"] == "carol"
    assert whoami(world.server.port, None).status == 403  # anonymous


def test_an_expired_certificate_is_answered_with_401(world: World) -> None:
    expired = world.files(client(world.users, "eve", ends=-MINUTE), "eve")
    answer = whoami(world.server.port, expired)
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (
        401,
        "Unauthorized",
        "Unauthorized",
    )


def test_a_connection_ends_to_count_when_its_certificate_does(world: World) -> None:
    brief = client(world.users, "brief", ends=datetime.timedelta(seconds=4))
    connection = Connection(world.server.port, world.files(brief, "brief"))
    assert connection.whoami().user["username"] == "brief"
    ends = brief.certificate.not_valid_after_utc.timestamp()
    time.sleep(max(0.0, ends - time.time()) + 0.1)
    assert connection.whoami().status == 401
    connection.close()


@pytest.mark.parametrize("how", ["stranger", "server", "self"])
def test_certificates_that_no_authority_made_for_clients_get_no_answer(
    how: str, world: World
) -> None:
    issued = {
        "stranger": client(authority("users"), "mallory", organizations=["system:masters"]),
        "server": client(world.users, "mallory", usages=SERVER),
        "self": authority("mallory"),
    }[how]
    files = world.files(issued, f"mallory-{how}")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        whoami(world.server.port, files)


def test_an_authority_in_the_middle_leads_to_its_root(world: World) -> None:
    middle = authority("middle", signer=world.users)
    files = world.files(client(middle, "frank"), "frank")
    assert whoami(world.server.port, files).user["username"] == "frank"


def test_a_certificate_as_openssl_makes_it_by_default_is_good(world: World) -> None:
    """Of X.509 version 1, without extensions: the one of many instructions."""
    directory = world.directory
    _, authority_key = world.users.write(directory, "openssl-users")
    key, request, certificate = (directory / f"grace.{end}" for end in ("key", "csr", "crt"))
    for command in (
        f"req -new -newkey rsa:2048 -nodes -keyout {key} -subj /O=dev/CN=grace -out {request}",
        f"x509 -req -in {request} -CA {directory / 'openssl-users.crt'} -CAkey {authority_key} "
        f"-CAcreateserial -days 1 -out {certificate}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    user = whoami(world.server.port, (certificate, key)).user
    assert (user["username"], user["groups"]) == ("grace", ["dev", "system:authenticated"])


def test_a_resumed_session_of_tls_1_2_is_still_its_user(world: World) -> None:
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*world.files(client(world.users, "henry"), "henry"))
    session = None
    for _ in range(5):
        connection = Connection(world.server.port, context=context, session=session)
        assert connection.whoami().user["username"] == "henry"
        session = connection.session
        connection.close()


def test_the_file_of_authorities_is_read_again(world: World) -> None:
    path = world.directory / "users.crt"
    others = authority("others")
    ivan = world.files(client(others, "ivan"), "ivan")
    judy = Connection(world.server.port, world.files(client(world.users, "judy"), "judy"))
    assert judy.whoami().user["username"] == "judy"
    swap(path, others.pem)
    try:
        wait_until(lambda: judy.whoami().status == 401)
        assert whoami(world.server.port, ivan).user["username"] == "ivan"
        swap(path, b"half a file")
        time.sleep(6)  # longer than it takes to be seen
        assert whoami(world.server.port, ivan).user["username"] == "ivan"
    finally:
        swap(path, world.users.pem)
    wait_until(lambda: judy.whoami().status == 201)
    assert whoami(world.server.port, ivan).status == 401
    judy.close()


def swap(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)


def wait_until(holds: object, timeout_s: float = 20.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold"
        time.sleep(0.2)
