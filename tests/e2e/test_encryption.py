"""Encryption at rest: what lies in the stores is ciphertext, and clients do not notice."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.storage import KeyValue
from shared.storage.etcd import EtcdStorage
from shared.tlsfiles import TlsFiles
from tests.e2e import system
from tests.e2e.kubectl import Kubectl
from tests.e2e.manifests import Manifest

REPLICAS = 3
MARKER = "a-marker-that-must-not-be-found"
IN_JSON = base64.b64encode(MARKER.encode()).decode()
KEYS = {
    name: base64.b64encode(bytes([number]) * 32).decode()
    for number, name in enumerate(("one", "two", "three"))
}


def keyed(provider: str, *names: str) -> Manifest:
    return {provider: {"keys": [{"name": name, "secret": KEYS[name]} for name in names]}}


IDENTITY: Manifest = {"identity": {}}


def write_configuration(path: Path, *providers: Manifest, resources: tuple[str, ...] = ()) -> str:
    """Write the file; return the flag that names it."""
    rules = [{"resources": list(resources or ("secrets",)), "providers": providers}]
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": rules,
    }
    path.write_text(json.dumps(document))
    return f"--encryption-provider-config={path}"


def secret(name: str, value: str = MARKER, **labels: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels},
        "stringData": {"k": value},
    }


def value_of(found: dict[str, Any]) -> str:
    return base64.b64decode(found["data"]["k"]).decode()


def rewrite(kubectl: Kubectl) -> None:
    """What the operator does after a change of keys."""
    kubectl("replace", "-f", "-", stdin=kubectl("get", "secrets", "-o", "json"))


def files_with(directory: Path, text: str) -> list[str]:
    return [
        file.name
        for file in directory.rglob("*")
        if file.is_file() and text.encode() in file.read_bytes()
    ]


# -- one process -------------------------------------------------------------------------


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextmanager
def serving(data_dir: Path, flag: str = "") -> Iterator[Kubectl]:
    """Run an API server with the store in `data_dir`; yield its kubectl."""
    flags = [system.NO_ACCOUNTS, *([flag] if flag else [])]
    with system.apiserver(data_dir, *flags) as server:
        kubectl = Kubectl(server.kubeconfig, data_dir.parent / "home", "default")
        kubectl.run("create", "namespace", "default")
        yield kubectl


def stored(data_dir: Path, name: str) -> bytes:
    """Return what lies in the embedded store under a Secret's key."""
    with sqlite3.connect(data_dir / "store.db") as connection:
        (value,) = connection.execute(
            "SELECT value FROM changes WHERE key = ? ORDER BY revision DESC LIMIT 1",
            (f"/registry/secrets/default/{name}".encode(),),
        ).fetchone()
    found: bytes = value
    return found


def test_keys_are_rotated_by_restarts_and_rewriting(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "encryption.json"
    with serving(data_dir, write_configuration(file, keyed("secretbox", "one"))) as kubectl:
        kubectl.create(secret("a"))
        assert files_with(data_dir, IN_JSON) == []
        kubectl("create", "configmap", "plain", f"--from-literal=k={MARKER}-plain")
    assert stored(data_dir, "a").startswith(b"k8s:enc:secretbox:v1:one:")
    assert files_with(data_dir, f"{MARKER}-plain"), "the search finds what is plain"

    both = keyed("aescbc", "two"), keyed("secretbox", "one")
    with serving(data_dir, write_configuration(file, *both)) as kubectl:
        before = kubectl.get("secret", "a")
        assert value_of(before) == MARKER
        assert stored(data_dir, "a").startswith(b"k8s:enc:secretbox:v1:one:")
        rewrite(kubectl)
        after = kubectl.get("secret", "a")
        assert after["data"] == before["data"]
        assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
        assert stored(data_dir, "a").startswith(b"k8s:enc:aescbc:v1:two:")
        rewrite(kubectl)
        assert kubectl.get("secret", "a") == after, "what is fresh is not written again"

    with serving(data_dir, write_configuration(file, keyed("aescbc", "two"))) as kubectl:
        assert value_of(kubectl.get("secret", "a")) == MARKER


def test_encryption_is_turned_on_and_off_again(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "encryption.json"
    with serving(data_dir) as kubectl:
        kubectl.create(secret("a"))
    assert IN_JSON.encode() in stored(data_dir, "a")

    on = keyed("aesgcm", "one"), IDENTITY
    with serving(data_dir, write_configuration(file, *on)) as kubectl:
        assert value_of(kubectl.get("secret", "a")) == MARKER
        rewrite(kubectl)
        assert stored(data_dir, "a").startswith(b"k8s:enc:aesgcm:v1:one:")

    off = IDENTITY, keyed("aesgcm", "one")
    with serving(data_dir, write_configuration(file, *off)) as kubectl:
        assert value_of(kubectl.get("secret", "a")) == MARKER
        rewrite(kubectl)
        assert IN_JSON.encode() in stored(data_dir, "a")

    with serving(data_dir) as kubectl:
        assert value_of(kubectl.get("secret", "a")) == MARKER


def test_without_the_key_secrets_are_errors_and_everything_else_is_served(
    data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "encryption.json"
    with serving(data_dir, write_configuration(file, keyed("aesgcm", "one"))) as kubectl:
        kubectl.create(secret("a"))
    why = 'unable to transform key "/registry/secrets/default/a": '
    for flag in ("", write_configuration(file, keyed("aesgcm", "two"), IDENTITY)):
        with serving(data_dir, flag) as kubectl:
            for arguments in (
                ("get", "secret", "a"),
                ("get", "secrets"),
                ("delete", "secret", "a"),
                ("patch", "secret", "a", "-p", "{}"),
            ):
                error = kubectl.fails(*arguments)
                assert f"(InternalError): Internal error occurred: {why}" in error
            assert "already exists" in kubectl.fails("create", "secret", "generic", "a")
            kubectl("create", "configmap", f"with{len(flag)}")
            kubectl("get", "configmaps")
    with serving(data_dir, write_configuration(file, keyed("aesgcm", "one"))) as kubectl:
        assert value_of(kubectl.get("secret", "a")) == MARKER


DEFINITION: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"color": {"type": "string"}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def test_everything_can_be_encrypted_custom_resources_and_their_definitions_too(
    data_dir: Path, tmp_path: Path
) -> None:
    flag = write_configuration(
        tmp_path / "encryption.json", keyed("aesgcm", "one"), IDENTITY, resources=("*.*",)
    )
    with serving(data_dir, flag) as kubectl:
        kubectl.create(DEFINITION)
        kubectl.wait_established("widgets.example.com")
        for color in ("red", "blue"):
            kubectl.create(
                {
                    "apiVersion": "example.com/v1",
                    "kind": "Widget",
                    "metadata": {"name": color, "annotations": {"a": MARKER}},
                    "spec": {"color": color},
                }
            )
        service = ("create", "service", "nodeport", "s", "--tcp=80:80")
        kubectl(*service)
    assert files_with(data_dir, MARKER) == []
    assert files_with(data_dir / "store.db", "widgets.example.com") == []
    with serving(data_dir, flag) as kubectl:
        found = kubectl.get("widgets", "--field-selector=spec.color=red")
        assert [item["metadata"]["name"] for item in found["items"]] == ["red"]
        assert kubectl.get("service", "s")["spec"]["ports"][0]["nodePort"] >= 30000


def test_the_wrong_key_for_what_every_start_reads_ends_it_with_a_line(
    data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "encryption.json"
    everything = ("*.*",)
    with serving(data_dir, write_configuration(file, keyed("aesgcm", "one"), resources=everything)):
        pass
    flag = write_configuration(file, keyed("aesgcm", "two"), IDENTITY, resources=everything)
    with pytest.raises(system.DidNotStart) as caught, serving(data_dir, flag):
        pass
    last = str(caught.value).splitlines()[-1]
    assert last.startswith('kubefan apiserver: unable to transform key "/registry/')
    assert last.endswith("no matching key was found for the provided AES transformer")


def test_a_file_that_cannot_be_used_ends_the_start_with_a_line_a_mistake(
    data_dir: Path, tmp_path: Path
) -> None:
    flag = write_configuration(
        tmp_path / "encryption.json", {"kms": {"name": "vault"}}, {"aesgcm": {"keys": []}}
    )
    with pytest.raises(system.DidNotStart) as caught, serving(data_dir, flag):
        pass
    lines = str(caught.value).splitlines()[1:]
    assert lines == [
        f"kubefan apiserver: --encryption-provider-config: {mistake}"
        for mistake in (
            'resources[0].providers[0].kms: Invalid value: "kms": KMS providers are not supported',
            "resources[0].providers[1].aesgcm.keys: Required value: at least one keys is required",
        )
    ]


# -- several replicas --------------------------------------------------------------------


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    directory = tmp_path_factory.mktemp("encrypted")
    providers = keyed("aesgcm", "one"), keyed("secretbox", "two"), IDENTITY
    flag = write_configuration(directory / "encryption.json", *providers)
    with system.replicated(directory / "data", REPLICAS, flag) as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def kubectl(replicas: system.Server, home: Path) -> Kubectl:
    return Kubectl(replicas.kubeconfig, home, "default")


@pytest.fixture(scope="module")
def each(replicas: system.Server, home: Path) -> list[Kubectl]:
    """A kubectl for each replica."""
    return [
        Kubectl(replicas.data_dir / part.name / "admin.kubeconfig", home, "default")
        for part in replicas.parts().values()
        if part.role == "apiserver"
    ]


def in_etcd(server: system.Server, story: Callable[[EtcdStorage], Awaitable[None]]) -> None:
    """Run a story on what really lies in etcd."""
    where = server.system["etcd"]
    tls = TlsFiles(*(Path(where[name]) for name in ("cafile", "certfile", "keyfile")))

    async def main() -> None:
        storage = await EtcdStorage.open((where["servers"],), tls=tls)
        try:
            await story(storage)
        finally:
            await storage.aclose()

    asyncio.run(main())


def newest(kubectl: Kubectl) -> str:
    """Return the resourceVersion to watch from."""
    found = json.loads(kubectl("get", "--raw", "/api/v1/namespaces/default/secrets"))
    version: str = found["metadata"]["resourceVersion"]
    return version


def key(name: str) -> bytes:
    return f"/registry/secrets/default/{name}".encode()


async def present(storage: EtcdStorage, name: str) -> KeyValue:
    found = await storage.get(key(name))
    assert found is not None
    return found


def in_redis(server: system.Server) -> bytes:
    where = server.system["redis"]
    environment = {
        **os.environ,
        "REDISCLI_AUTH": Path(where["password_file"]).read_text().strip(),
    }
    command = ["redis-cli", "-p", str(server.parts()["redis"].port), "--tls", "--no-raw"]
    command += ["--cacert", where["cafile"]]

    def ask(*words: str) -> bytes:
        done = subprocess.run([*command, *words], env=environment, capture_output=True, check=True)
        return done.stdout

    keys = ask("--raw", "KEYS", "*").decode().split()
    return b"".join(ask("--raw", "XRANGE", one, "-", "+") for one in keys if is_stream(ask, one))


def is_stream(ask: Callable[..., bytes], one: str) -> bool:
    return b"stream" in ask("--raw", "TYPE", one)


def snapshot(server: system.Server) -> bytes:
    """Return the body of the snapshot that the leading watchfanout sends."""
    where = server.system["watchfanout"]
    token = Path(where["token_file"]).read_text().strip()
    context = ssl.create_default_context(cafile=where["cafile"])
    for url in where["servers"].split(","):
        request = urllib.request.Request(
            f"{url}/snapshot", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError:
            continue
    raise AssertionError("no watchfanout gives a snapshot")


def test_stores_log_and_snapshot_hold_ciphertext_alone(
    replicas: system.Server, kubectl: Kubectl
) -> None:
    kubectl.create(secret("hidden", markerlabel="markervalue"))
    kubectl("create", "configmap", "shown", f"--from-literal=k={MARKER}-plain")
    for _ in range(50):
        log = in_redis(replicas)
        if f"{MARKER}-plain".encode() in log:
            break
    else:
        raise AssertionError("what is plain is not in the log")
    state = snapshot(replicas)
    for held in (log, state):
        assert f"{MARKER}-plain".encode() in held
        assert b"k8s:enc:aesgcm:v1:one:" in held
        assert IN_JSON.encode() not in held
        assert b"markervalue" not in held
    assert files_with(replicas.data_dir / "etcd", f"{MARKER}-plain")
    for directory in ("etcd", "redis"):
        assert files_with(replicas.data_dir / directory, IN_JSON) == []


def test_every_replica_reads_and_lists_the_values(kubectl: Kubectl, each: list[Kubectl]) -> None:
    kubectl.create(secret("read", app="read"))
    for one in each:
        assert value_of(one.get("secret", "read")) == MARKER
        (item,) = one.get("secrets", "--selector=app=read")["items"]
        assert value_of(item) == MARKER
        assert one.get("secrets", "--selector=app!=read,app")["items"] == []


def test_watchers_at_every_replica_see_objects_enter_and_leave_their_selection(
    kubectl: Kubectl, each: list[Kubectl]
) -> None:
    kubectl.create(secret("before", app="web"))
    version = newest(kubectl)
    path = (
        "/api/v1/namespaces/default/secrets?watch=1&labelSelector=app%3Dweb"
        f"&resourceVersion={version}"
    )
    wanted = [
        ("ADDED", "w", "1"),
        ("MODIFIED", "w", "2"),
        ("DELETED", "w", "2"),
        ("ADDED", "w", "2"),
        ("DELETED", "w", "2"),
        ("DELETED", "before", MARKER),
    ]
    with ExitStack() as stack:
        watches = [stack.enter_context(one.background("get", "--raw", path)) for one in each]
        kubectl.create(secret("w", "1", app="web"))
        kubectl.create(secret("other", app="db"))
        kubectl.apply(secret("w", "2", app="web"))
        kubectl("label", "secret", "w", "app=db", "--overwrite")
        kubectl("label", "secret", "w", "app=web", "--overwrite")
        kubectl("delete", "secret", "w", "before")
        for watch in watches:
            assert watch.stdout is not None
            events = [json.loads(watch.stdout.readline()) for _ in wanted]
            assert [
                (event["type"], event["object"]["metadata"]["name"], value_of(event["object"]))
                for event in events
            ] == wanted


def fails_everywhere(each: list[Kubectl], name: str) -> None:
    why = f'Internal error occurred: unable to transform key "{key(name).decode()}": '
    for one in each:
        for arguments in (("get", "secret", name), ("get", "secrets")):
            error = one.fails(*arguments)
            assert why in error
            assert "(InternalError)" in error


def test_a_damaged_value_is_an_error_and_concerns_nothing_else(
    replicas: system.Server, kubectl: Kubectl, each: list[Kubectl]
) -> None:
    kubectl.create(secret("whole"), secret("damaged"))
    whole: list[bytes] = []

    async def damage(storage: EtcdStorage) -> None:
        found = await present(storage, "damaged")
        whole.append(found.value)
        await storage.update(found.key, found.value[:-1] + b"x", expected=found.revision)

    async def mend(storage: EtcdStorage) -> None:
        found = await present(storage, "damaged")
        await storage.update(found.key, whole[0], expected=found.revision)

    watch = "/api/v1/namespaces/default/secrets?watch=1&timeoutSeconds=30&resourceVersion="
    version = newest(kubectl)
    with each[0].background("get", "--raw", watch + version) as watching:
        kubectl.create(secret("seen"))
        assert watching.stdout is not None
        assert '"ADDED"' in watching.stdout.readline()
        in_etcd(replicas, damage)
        out, _ = watching.communicate(timeout=20)
    last = json.loads(out.splitlines()[-1])
    assert last["type"] == "ERROR"
    assert MARKER not in last["object"]["message"]
    assert (last["object"]["code"], last["object"]["reason"]) == (500, "InternalError")
    fails_everywhere(each, "damaged")
    for one in each:
        assert value_of(one.get("secret", "whole")) == MARKER
        one("get", "configmaps")
        assert 'kubefan_unreadable_objects{resource="secrets"} 1.0' in one(
            "get", "--raw", "/metrics"
        )
    assert "/registry/secrets/default/damaged" in replicas.log.read_text()
    assert MARKER not in replicas.log.read_text()
    in_etcd(replicas, mend)
    for one in each:
        assert value_of(one.get("secret", "damaged")) == MARKER
        one("get", "secrets")


def test_ciphertexts_cannot_be_swapped_or_moved_under_another_name(
    replicas: system.Server, kubectl: Kubectl, each: list[Kubectl]
) -> None:
    kubectl.create(secret("first", "1"), secret("second", "2"))

    async def swap(storage: EtcdStorage) -> None:
        first, second = [await present(storage, name) for name in ("first", "second")]
        await storage.update(first.key, second.value, expected=first.revision)
        await storage.update(second.key, first.value, expected=second.revision)

    async def clear(storage: EtcdStorage) -> None:
        for name in ("first", "second"):
            found = await present(storage, name)
            await storage.delete(found.key, expected=found.revision)

    async def move(storage: EtcdStorage) -> None:
        found = await present(storage, "origin")
        await storage.create(key("moved"), found.value)

    async def remove(storage: EtcdStorage) -> None:
        found = await present(storage, "moved")
        await storage.delete(found.key, expected=found.revision)

    in_etcd(replicas, swap)
    for name in ("first", "second"):
        for one in each:
            assert "message authentication failed" in one.fails("get", "secret", name)
    in_etcd(replicas, clear)
    kubectl.create(secret("origin"))
    in_etcd(replicas, move)
    fails_everywhere(each, "moved")
    in_etcd(replicas, remove)
    for one in each:
        one("get", "secrets")
