"""Service accounts as people and pods use them: their tokens, and who makes what they need."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shared.signingkeys import SigningKey, read_signing_key
from tests.e2e import system
from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import node, pod

ISSUER = "https://kubernetes.default.svc.cluster.local"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
FOREIGN_KEY = SigningKey.of(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    """`kubefan up` with all its controllers."""
    with system.system(tmp_path_factory.mktemp("accounts")) as server:
        yield server


@pytest.fixture
def kubectl(cluster: system.Server, home: Path) -> Kubectl:
    """kubectl in a namespace that has its account and certificates."""
    namespace = f"accounts-{uuid.uuid4().hex[:6]}"
    admin = Kubectl(cluster.kubeconfig, home)
    admin("create", "namespace", namespace)
    mine = Kubectl(cluster.kubeconfig, home, namespace)
    until(lambda: mine.run("get", "serviceaccount/default", "configmap/kube-root-ca.crt").code == 0)
    return mine


def until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def status_with(cluster: system.Server, token: str) -> int:
    """Return the HTTP status that a bearer of the token gets for asking who they are."""
    return ask(cluster, token).status_code


def ask(cluster: system.Server, token: str) -> requests.Response:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return requests.post(
        cluster.url + WHOAMI,
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        verify=str(cluster.data_dir / "certs" / "ca.crt"),
        timeout=20,
    )


def get(cluster: system.Server, path: str, token: str, **headers: str) -> requests.Response:
    return requests.get(
        cluster.url + path,
        headers={"Authorization": f"Bearer {token}", **headers},
        verify=str(cluster.data_dir / "certs" / "ca.crt"),
        timeout=20,
    )


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


# -- what controllers make ----------------------------------------------------------


def test_a_namespace_has_the_certificates_of_the_api_server(
    cluster: system.Server, kubectl: Kubectl
) -> None:
    ca = (cluster.data_dir / "certs" / "ca.crt").read_text()
    found = kubectl.get("configmap", "kube-root-ca.crt")
    assert found["data"] == {"ca.crt": ca}
    assert "kubernetes.io/description" in found["metadata"]["annotations"]


def test_changed_certificates_are_repaired_and_deleted_ones_come_back(kubectl: Kubectl) -> None:
    good = kubectl.get("configmap", "kube-root-ca.crt")["data"]

    def is_good() -> bool:
        run = kubectl.run("get", "configmap", "kube-root-ca.crt", "-o", "json")
        return run.code == 0 and json.loads(run.out)["data"] == good

    patch = json.dumps({"data": {"ca.crt": "mine", "more": "x"}})
    kubectl("patch", "configmap", "kube-root-ca.crt", "--type=merge", "-p", patch)
    until(is_good)
    kubectl("delete", "configmap", "kube-root-ca.crt")
    until(is_good)


def test_the_default_account_comes_back(kubectl: Kubectl) -> None:
    before = kubectl.get("serviceaccount", "default")["metadata"]["uid"]
    kubectl("delete", "serviceaccount", "default")
    until(lambda: kubectl.run("get", "serviceaccount", "default").code == 0)
    assert kubectl.get("serviceaccount", "default")["metadata"]["uid"] != before


def test_a_namespace_with_all_this_can_be_deleted(cluster: system.Server, home: Path) -> None:
    admin = Kubectl(cluster.kubeconfig, home)
    admin("create", "namespace", "short-lived")
    until(lambda: admin.run("get", "sa/default", "-n", "short-lived").code == 0)
    admin("delete", "namespace", "short-lived", "--timeout=20s")


# -- admission ----------------------------------------------------------------------


def test_a_pod_finds_its_token_in_a_volume(kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    spec = kubectl.get("pod", "p")["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (mount,) = spec["containers"][0]["volumeMounts"]
    (volume,) = spec["volumes"]
    assert mount == {
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "name": volume["name"],
        "readOnly": True,
    }
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]


def test_a_pod_may_follow_its_namespace_at_once(cluster: system.Server, home: Path) -> None:
    """The account is made by another process; who creates the pod need not know."""
    for number in range(5):
        name = f"quick-{number}"
        Kubectl(cluster.kubeconfig, home).create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            pod("p", namespace=name),
        )


def test_a_pod_of_an_unknown_account_is_refused(kubectl: Kubectl) -> None:
    manifest = pod("p")
    manifest["spec"]["serviceAccountName"] = "ghost"
    refused = kubectl.fails("create", "-f", "-", stdin=json.dumps(manifest))
    assert 'serviceaccount "ghost" not found' in refused


# -- tokens -------------------------------------------------------------------------


def test_create_token_makes_one_that_gets_in(
    cluster: system.Server, kubectl: Kubectl, tmp_path: Path
) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "robot.kubeconfig"
    path.write_text(json.dumps(config))
    robot = Kubectl(path, tmp_path, kubectl.namespace)
    who = json.loads(robot("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert who["username"] == f"system:serviceaccount:{kubectl.namespace}:robot"
    assert who["groups"] == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{kubectl.namespace}",
        "system:authenticated",
    ]
    assert who["uid"] == kubectl.get("serviceaccount", "robot")["metadata"]["uid"]
    assert "cannot list resource" in robot.fails("get", "configmaps")
    kubectl(
        "create",
        "rolebinding",
        "robot",
        "--clusterrole=view",
        "--serviceaccount",
        f"{kubectl.namespace}:robot",
    )
    until(lambda: robot.run("get", "configmaps").code == 0)


def test_a_token_says_what_was_asked_for(cluster: system.Server, kubectl: Kubectl) -> None:
    flags = ("--audience=vault", "--audience=other", "--duration=2h")
    token = kubectl("create", "token", "default", *flags).strip()
    claims = claims_of(token)
    account = kubectl.get("serviceaccount", "default")["metadata"]
    assert claims["iss"] == ISSUER
    assert claims["aud"] == ["vault", "other"]
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["nbf"] == claims["iat"]
    assert claims["sub"] == f"system:serviceaccount:{kubectl.namespace}:default"
    assert claims["kubernetes.io"] == {
        "namespace": kubectl.namespace,
        "serviceaccount": {"name": "default", "uid": account["uid"]},
    }
    assert uuid.UUID(claims["jti"])
    assert list(jwt.get_unverified_header(token)) == ["alg", "kid"]
    assert status_with(cluster, token) == 401  # it is for others


def test_others_can_check_a_token_by_the_discovery_documents(
    cluster: system.Server, kubectl: Kubectl
) -> None:
    token = kubectl("create", "token", "default").strip()
    configuration = get(cluster, "/.well-known/openid-configuration", token)
    assert configuration.headers["cache-control"] == "public, max-age=3600"
    assert configuration.json()["issuer"] == ISSUER
    assert configuration.json()["jwks_uri"].endswith("/openid/v1/jwks")
    keys = jwt.PyJWKSet.from_dict(get(cluster, "/openid/v1/jwks", token).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key.key, algorithms=["RS256"], audience=ISSUER, issuer=ISSUER)
    assert get(cluster, "/openid/v1/jwks", token, Accept="application/json").status_code == 406
    anonymous = requests.get(
        f"{cluster.url}/openid/v1/jwks",
        verify=str(cluster.data_dir / "certs" / "ca.crt"),
        timeout=20,
    )
    assert anonymous.status_code == 403


def test_a_token_dies_with_its_pod(cluster: system.Server, kubectl: Kubectl) -> None:
    kubectl.create(pod("p"))
    bound = ("--bound-object-kind=Pod", "--bound-object-name=p")
    token = kubectl("create", "token", "default", *bound).strip()
    uid = kubectl.get("pod", "p")["metadata"]["uid"]
    assert claims_of(token)["kubernetes.io"]["pod"] == {"name": "p", "uid": uid}
    extra = ask(cluster, token).json()["status"]["userInfo"]["extra"]
    assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
    assert extra["authentication.kubernetes.io/pod-uid"] == [uid]
    kubectl("delete", "pod", "p", "--force", "--grace-period=0")
    until(lambda: status_with(cluster, token) == 401)
    kubectl.create(pod("p"))
    assert status_with(cluster, token) == 401
    refused = kubectl.fails("create", "token", "default", *bound, f"--bound-object-uid={uid}")
    assert "does not match the UID in record" in refused


def test_a_token_dies_with_its_secret_and_with_its_node(
    cluster: system.Server, kubectl: Kubectl
) -> None:
    name = f"node-{uuid.uuid4().hex[:6]}"
    kubectl.create(node(name))
    kubectl("create", "secret", "generic", "s")
    for kind, of in (("Secret", "s"), ("Node", name)):
        bound = (f"--bound-object-kind={kind}", f"--bound-object-name={of}")
        token = kubectl("create", "token", "default", *bound).strip()
        assert status_with(cluster, token) == 201
        kubectl("delete", kind, of)
        until(lambda token=token: status_with(cluster, token) == 401)  # type: ignore[misc]


def test_a_token_dies_with_its_account(cluster: system.Server, kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    assert status_with(cluster, token) == 201
    kubectl("delete", "serviceaccount", "robot")
    until(lambda: status_with(cluster, token) == 401)
    kubectl("create", "serviceaccount", "robot")
    assert status_with(cluster, token) == 401


def test_a_secret_is_filled_with_a_token_and_goes_with_the_account(
    cluster: system.Server, kubectl: Kubectl
) -> None:
    kubectl("create", "serviceaccount", "robot")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "robot-token",
            "annotations": {"kubernetes.io/service-account.name": "robot"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    kubectl.create(secret)
    until(lambda: "token" in kubectl.get("secret", "robot-token").get("data", {}))
    data = kubectl.get("secret", "robot-token")["data"]
    assert base64.b64decode(data["namespace"]).decode() == kubectl.namespace
    assert base64.b64decode(data["ca.crt"]).startswith(b"-----BEGIN CERTIFICATE")
    token = base64.b64decode(data["token"]).decode()
    assert claims_of(token)["iss"] == "kubernetes/serviceaccount"
    assert "exp" not in claims_of(token)
    assert status_with(cluster, token) == 201
    kubectl("delete", "secret", "robot-token")
    until(lambda: status_with(cluster, token) == 401)
    kubectl.create(secret)
    kubectl("delete", "serviceaccount", "robot")
    until(lambda: kubectl.run("get", "secret", "robot-token").code != 0)


# -- hostile ------------------------------------------------------------------------


class Forger:
    """Makes tokens for ns/default that are good but for one thing."""

    def __init__(self, cluster: system.Server, kubectl: Kubectl) -> None:
        self.key = read_signing_key(cluster.data_dir / "certs" / "sa.key")
        self.good = kubectl("create", "token", "default").strip()
        self.claims = claims_of(self.good)
        self.header = jwt.get_unverified_header(self.good)

    def says(self, **changed: Any) -> str:
        return self.key.sign({**self.claims, **changed})

    def of(self, **changed: Any) -> str:
        """A token of the real key for another account or object."""
        return self.says(**{"kubernetes.io": {**self.claims["kubernetes.io"], **changed}})

    def unsigned(self, header: dict[str, Any], signature: bytes = b"") -> str:
        signed = f"{encoded(header)}.{encoded(self.claims)}"
        return f"{signed}.{encoded(signature)}"

    def by_public_key(self) -> str:
        secret = self.key.verification.public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        header = {**self.header, "alg": "HS256"}
        signed = f"{encoded(header)}.{encoded(self.claims)}".encode()
        return self.unsigned(header, hmac.digest(secret, signed, hashlib.sha256))


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


NOW = int(time.time())
DAY_S = 86_400
HOSTILE: dict[str, Callable[[Forger], str]] = {
    "forged signature": lambda f: f.good[:-20] + f.good[-1] * 20,
    "signature of another key": lambda f: FOREIGN_KEY.sign(f.claims),
    "alg=none": lambda f: f.unsigned({**f.header, "alg": "none"}),
    "alg=none, with a signature": lambda f: f.unsigned({**f.header, "alg": "none"}, b"x"),
    "HS256 by the public key": lambda f: f.by_public_key(),
    "key id of another key": lambda f: jwt.encode(
        f.claims, f.key.private, "RS256", {"kid": FOREIGN_KEY.verification.key_id}
    ),
    "expired": lambda f: f.says(exp=NOW - 120),
    "not yet valid": lambda f: f.says(nbf=NOW + DAY_S),
    "issued in the future": lambda f: f.says(iat=NOW + DAY_S),
    "wrong audience": lambda f: f.says(aud=["vault"]),
    "wrong issuer": lambda f: f.says(iss="https://elsewhere.test"),
    "no issuer": lambda f: f.says(iss=""),
    "account that is not there": lambda f: f.of(serviceaccount={"name": "ghost", "uid": "u"}),
    "account of another uid": lambda f: f.of(serviceaccount={"name": "default", "uid": "u"}),
    "account of another namespace": lambda f: f.of(namespace="kube-system"),
    "account without uid": lambda f: f.of(serviceaccount={"name": "default"}),
    "pod that is not there": lambda f: f.of(pod={"name": "ghost", "uid": "u"}),
    "empty pod": lambda f: f.of(pod={}),
    "huge": lambda f: f.says(more="x" * 100_000),
    "huge and not ours": lambda f: "a" * 500_000,
    "malformed base64": lambda f: f.good.replace(".", ".*", 1),
    "malformed payload": lambda f: f"{encoded(f.header)}.{encoded(b'{')}.AAAA",
    "two parts": lambda f: f.good.rpartition(".")[0],
    "JSON serialisation": lambda f: json.dumps({"payload": f.good.split(".")[1]}).replace(" ", ""),
}


def test_good_tokens_of_the_forger_get_in(cluster: system.Server, kubectl: Kubectl) -> None:
    forger = Forger(cluster, kubectl)
    assert status_with(cluster, forger.good) == 201
    assert status_with(cluster, forger.says()) == 201


@pytest.fixture(scope="module")
def forger(cluster: system.Server, home: Path) -> Forger:
    kubectl = Kubectl(cluster.kubeconfig, home, "default")
    until(lambda: kubectl.run("get", "serviceaccount", "default").code == 0)
    return Forger(cluster, kubectl)


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_token_is_refused(
    cluster: system.Server, forger: Forger, make: Callable[[Forger], str]
) -> None:
    answer = ask(cluster, make(forger))
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"
    assert "details" not in answer.json()


def test_the_token_of_a_pod_that_should_long_be_gone_is_refused(
    cluster: system.Server, kubectl: Kubectl
) -> None:
    held = pod("p", finalizers=["example.com/hold"])
    kubectl.create(held)
    bound = ("--bound-object-kind=Pod", "--bound-object-name=p")
    token = kubectl("create", "token", "default", *bound).strip()
    kubectl("delete", "pod", "p", "--wait=false", "--grace-period=0", "--force")
    assert kubectl.get("pod", "p")["metadata"]["deletionTimestamp"]
    assert status_with(cluster, token) == 201  # for a minute yet: the unit tests wait
    kubectl("patch", "pod", "p", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    until(lambda: status_with(cluster, token) == 401)


# -- flags --------------------------------------------------------------------------


def test_keys_and_issuers_can_be_replaced(tmp_path: Path, home: Path) -> None:
    """What was signed before a server knew better is good until it is told to forget."""
    data_dir = tmp_path / "data"

    def robot(server: system.Server) -> Kubectl:
        return Kubectl(server.kubeconfig, home, "default")

    with system.apiserver(data_dir) as server:
        robot(server)("create", "serviceaccount", "robot")
        older = robot(server)("create", "token", "robot").strip()
        assert status_with(server, older) == 201
    new_key = tmp_path / "new.key"
    new_key.write_bytes(
        FOREIGN_KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    flags = [
        "--service-account-issuer=https://new.test",
        "--api-audiences=api,https://new.test",
        f"--service-account-signing-key-file={new_key}",
        "--service-account-max-token-expiration=2h",
    ]
    both = [f"--service-account-issuer={ISSUER}", f"--api-audiences=api,{ISSUER}"]
    key_file = f"--service-account-key-file={data_dir / 'certs' / 'sa.key'}"
    with system.apiserver(data_dir, *flags, *both, key_file) as server:
        assert status_with(server, older) == 201
        asked = robot(server).run("create", "token", "robot", "--duration=24h")
        assert "requested expiration of 86400 seconds shortened to 7200 seconds" in asked.err
        newer = asked.out.strip()
        claims = claims_of(newer)
        assert claims["iss"] == "https://new.test"
        assert claims["aud"] == ["api", ISSUER]
        assert claims["exp"] - claims["iat"] == 7200
        assert jwt.get_unverified_header(newer)["alg"] == "ES256"
        keys = get(server, "/openid/v1/jwks", newer).json()["keys"]
        assert [key["alg"] for key in keys] == ["ES256", "RS256"]
    with system.apiserver(data_dir, *flags) as server:
        assert status_with(server, older) == 401
        assert status_with(server, newer) == 201


def test_a_pods_default_token_outlives_its_hour_unless_told_otherwise(
    tmp_path: Path, home: Path
) -> None:
    bound = ("--bound-object-kind=Pod", "--bound-object-name=p", "--duration=3607s")
    for flag, lifetime_s, warns in (("true", 365 * 24 * 3600, True), ("false", 3607, False)):
        data_dir = tmp_path / flag
        extend = f"--service-account-extend-token-expiration={flag}"
        with system.apiserver(data_dir, extend) as server:
            kubectl = Kubectl(server.kubeconfig, home, "default")
            kubectl("create", "serviceaccount", "robot")
            manifest = pod("p")
            manifest["spec"]["serviceAccountName"] = "robot"
            kubectl.create(manifest)
            claims = claims_of(kubectl("create", "token", "robot", *bound).strip())
            assert claims["exp"] - claims["iat"] == lifetime_s
            warn_after = claims["kubernetes.io"].get("warnafter")
            assert warn_after == (claims["iat"] + 3607 if warns else None)
            others = claims_of(
                kubectl("create", "token", "robot", *bound, "--audience=vault").strip()
            )
            assert others["exp"] - others["iat"] == 3607
