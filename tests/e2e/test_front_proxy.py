"""A front proxy that names the user in headers, and everybody else who would like to."""

from __future__ import annotations

import datetime
import http.client
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.certificates import SERVER, Issued, authority, client
from tests.e2e.kubectl import Kubectl
from tests.e2e.system import DidNotStart, Server, apiserver, free_port
from tests.e2e.tlsclient import Answer, Connection, whoami

ROOT = (("X-Remote-User", "root"), ("X-Remote-Group", "system:masters"))


@dataclass(frozen=True, slots=True)
class World:
    """A server that knows users of one authority, and front proxies of another."""

    server: Server
    users: Issued
    proxies: Issued
    directory: Path

    def ask(self, issued: Issued | None, *headers: tuple[str, str]) -> Answer:
        files = None if issued is None else issued.write(self.directory, "asking")
        return whoami(self.server.port, files, *headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("front-proxy")
    users, proxies = authority("users"), authority("proxies")
    (directory / "users.crt").write_bytes(users.pem)
    (directory / "proxies.crt").write_bytes(proxies.pem)
    with apiserver(
        directory / "data",
        "--authorization-mode=RBAC",
        f"--client-ca-file={directory / 'users.crt'}",
        f"--requestheader-client-ca-file={directory / 'proxies.crt'}",
        "--requestheader-allowed-names=proxy,other-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-uid-headers=X-Remote-Uid",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ) as server:
        yield World(server, users, proxies, directory)


# -- the proxy -----------------------------------------------------------------------


def test_a_front_proxy_says_who_asks(world: World) -> None:
    answer = world.ask(
        client(world.proxies, "proxy"),
        ("X-Remote-User", "alice"),
        ("X-Remote-Uid", "u-1"),
        ("X-Remote-Group", "dev"),
        ("X-Remote-Group", "system:masters"),
        ("X-Remote-Extra-Acme.com%2FTeam", "one"),
        ("X-Remote-Extra-Acme.com%2FTeam", "two"),
    )
    assert answer.user == {
        "username": "alice",
        "uid": "u-1",
        "groups": ["dev", "system:masters", "system:authenticated"],
        "extra": {"acme.com/team": ["one", "two"]},
    }


def test_each_request_of_a_proxy_s_connection_has_its_own_user(world: World) -> None:
    files = client(world.proxies, "other-proxy").write(world.directory, "connection")
    connection = Connection(world.server.port, files)
    for name in ("alice", "bob"):
        answer = connection.whoami(("X-Remote-User", name), ("X-Remote-Group", "system:masters"))
        assert answer.user["username"] == name
    # A request that names nobody is not the one's before it: as a user, the proxy is unknown.
    assert connection.whoami().status == 401
    connection.close()


def test_a_user_of_the_proxy_may_impersonate_if_it_is_allowed_to(world: World) -> None:
    proxy = client(world.proxies, "proxy")
    answer = world.ask(proxy, *ROOT, ("Impersonate-User", "eve"))
    assert answer.user["username"] == "eve"
    refused = world.ask(proxy, ("X-Remote-User", "alice"), ("Impersonate-User", "eve"))
    assert refused.status == 403


def test_the_first_of_doubled_headers_counts(world: World) -> None:
    doubled = (("X-Remote-User", "alice"), ("X-Remote-User", "root"))
    answer = world.ask(client(world.proxies, "proxy"), *doubled, ("X-Remote-Group", "dev"))
    assert answer.status == 201
    assert answer.user["username"] == "alice"


# -- all others ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        ROOT,
        (("x-remote-user", "root"), ("x-remote-group", "system:masters")),
        (("X_Remote_User", "root"), ("X_Remote_Group", "system:masters")),
        (*ROOT, *ROOT),
        (("X-Remote-User", ""), *ROOT),
        (("X-Remote-Extra-Scopes", "all"), *ROOT),
    ],
    ids=["plain", "small", "underscores", "doubled", "empty first", "extra"],
)
def test_headers_of_others_change_nothing(
    headers: tuple[tuple[str, str], ...], world: World
) -> None:
    token = admin_token(world)
    assert world.ask(None, *headers).status == 403  # anonymous
    assert world.ask(None, *headers, token).user["username"] == "admin"
    dave = client(world.users, "dave", organizations=["system:masters"])
    user = world.ask(dave, *headers).user
    assert (user["username"], "scopes" in user["extra"]) == ("dave", False)


@pytest.mark.parametrize(
    "issued",
    [
        lambda world: client(world.users, "proxy"),
        lambda world: client(world.proxies, "mallory"),
        lambda world: client(world.proxies, "proxy", "mallory"),
        lambda world: client(world.proxies, "proxy", ends=-datetime.timedelta(minutes=1)),
        lambda world: client(authority("in between", signer=world.users), "proxy"),
    ],
    ids=["user named proxy", "disallowed name", "two names", "expired", "users' middle"],
)
def test_certificates_of_no_front_proxy_name_nobody(issued: object, world: World) -> None:
    assert callable(issued)
    answer = world.ask(issued(world), *ROOT)
    # A user by the other authority is itself, whatever the headers say.
    assert answer.status == 401 or answer.user["username"] == "proxy"
    assert "root" not in json.dumps(answer.body)


@pytest.mark.parametrize(
    "issued",
    [
        lambda world: client(world.proxies, "proxy", usages=SERVER),
        lambda world: client(authority("proxies"), "proxy"),
    ],
    ids=["server's", "authority of the same name"],
)
def test_certificates_that_tls_refuses_get_no_answer(issued: object, world: World) -> None:
    assert callable(issued)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        world.ask(issued(world), *ROOT)


def test_a_certificate_of_the_proxies_authority_is_no_user(world: World) -> None:
    proxy = client(world.proxies, "proxy", organizations=["system:masters"])
    assert world.ask(proxy).status == 401
    # Its bad certificate does not spoil a good token.
    assert world.ask(proxy, admin_token(world)).user["username"] == "admin"


def admin_token(world: World) -> tuple[str, str]:
    config = yaml.safe_load(world.server.kubeconfig.read_text())
    return ("Authorization", f"Bearer {config['users'][0]['user']['token']}")


def test_members_of_the_cluster_learn_whom_to_trust(world: World) -> None:
    kubectl = Kubectl(world.server.kubeconfig, world.directory / "home", "kube-system")
    data = kubectl.get("configmap", "extension-apiserver-authentication")["data"]
    assert data == {
        "client-ca-file": world.users.pem.decode(),
        "requestheader-allowed-names": '["proxy","other-proxy"]',
        "requestheader-client-ca-file": world.proxies.pem.decode(),
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-username-headers": '["X-Remote-User"]',
    }
    kubectl("delete", "configmap", "extension-apiserver-authentication")
    deadline = time.monotonic() + 10
    while not kubectl.run("get", "configmap", "extension-apiserver-authentication").out:
        assert time.monotonic() < deadline, "not made anew"
        time.sleep(0.1)


# -- HAProxy -------------------------------------------------------------------------

HAPROXY = """
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend users
  bind 127.0.0.1:{port} ssl crt {serving} alpn h2,http/1.1 ca-file {users} verify required
  http-request del-header X-Remote- -m beg
  http-request set-header X-Remote-User %[ssl_c_s_dn(cn)]
  http-request set-header X-Remote-Group %[ssl_c_s_dn(o)]
  default_backend apiserver
backend apiserver
  server one 127.0.0.1:{backend} ssl crt {proxy} ca-file {authority} verify required
"""


@contextmanager
def haproxy(world: World) -> Iterator[int]:
    """Run an HAProxy that terminates TLS and HTTP/2, and vouches for its clients."""
    command = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if command is None:
        raise DidNotStart("there is no haproxy here: install Debian's haproxy")
    directory, port = world.directory, free_port()
    proxy = client(world.proxies, "proxy")
    (directory / "proxy.pem").write_bytes(proxy.pem + proxy.key_pem)
    serving = client(world.users, "localhost", usages=SERVER)
    (directory / "serving.pem").write_bytes(serving.pem + serving.key_pem)
    (directory / "haproxy.cfg").write_text(
        HAPROXY.format(
            port=port,
            serving=directory / "serving.pem",
            users=directory / "users.crt",
            backend=world.server.port,
            proxy=directory / "proxy.pem",
            authority=world.server.data_dir / "certs" / "ca.crt",
        )
    )
    process = subprocess.Popen([command, "-db", "-f", directory / "haproxy.cfg"])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_kubectl_through_an_haproxy_that_terminates_tls_and_http_2(world: World) -> None:
    certificate, key = client(world.users, "judy", organizations=["system:masters"]).write(
        world.directory, "judy"
    )
    with haproxy(world) as port:
        config = yaml.safe_load(world.server.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {
            "server": f"https://127.0.0.1:{port}",
            "insecure-skip-tls-verify": True,
        }
        config["users"][0]["user"] = {
            "client-certificate": str(certificate),
            "client-key": str(key),
        }
        kubeconfig = world.directory / "proxied.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        kubectl = Kubectl(kubeconfig, world.directory / "home")
        deadline = time.monotonic() + 10
        while kubectl.run("get", "namespaces").code and time.monotonic() < deadline:
            time.sleep(0.1)  # HAProxy is starting
        shown = yaml.safe_load(kubectl("auth", "whoami", "-o", "yaml"))["status"]["userInfo"]
        assert shown == {"username": "judy", "groups": ["system:masters", "system:authenticated"]}
