"""Reading kubeconfig files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from shared import kubeconfig
from shared.certificates import Subject, authority, issued


def document(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Any:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://localhost/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def load(tmp_path: Path, content: Any) -> kubeconfig.ClusterAccess:
    path = tmp_path / "config"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return kubeconfig.load(path)


def test_the_current_context_counts(tmp_path: Path) -> None:
    access = load(tmp_path, document(user={"token": "secret"}))
    assert (access.server, access.token) == ("https://localhost", "secret")


def test_certificates_come_from_the_file_itself_or_from_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"from a file")
    cluster = {"certificate-authority": "ca.pem"}
    user = {"client-certificate-data": base64.b64encode(b"inline").decode()}
    access = load(tmp_path, document(cluster, user))
    assert (access.ca, access.client_certificate) == (b"from a file", b"inline")


def test_a_context_may_have_no_user(tmp_path: Path) -> None:
    content = document()
    del content["contexts"][0]["context"]["user"]
    assert load(tmp_path, content).token is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not YAML"),
        ("text", "not a kubeconfig"),
        ({}, "no context named None"),
        ({**document(), "clusters": []}, "no cluster named 'k'"),
        ({**document(), "users": None}, "no user named 'u'"),
        (document({"server": "localhost"}), "server is not a URL"),
        (document({"certificate-authority-data": "%"}), "certificate-authority-data is not base64"),
        (document({"certificate-authority": "none"}), "none: No such file or directory"),
        (document(user={"exec": {"command": "x"}}), "exec is not supported"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, content: Any, message: str
) -> None:
    with pytest.raises(kubeconfig.KubeconfigError) as caught:
        load(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"certificate-authority": "junk"}, {}),
        ({"certificate-authority": "binary"}, {}),
        ({}, {"client-certificate": "junk", "client-key": "junk"}),
    ],
)
def test_certificates_that_are_none_are_told_as_such(
    tmp_path: Path, cluster: dict[str, str], user: dict[str, str]
) -> None:
    """Whoever reads a file again passes over one that can't be used, and works on."""
    (tmp_path / "junk").write_bytes(b"junk")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    access = load(tmp_path, document(cluster, user))
    with pytest.raises(kubeconfig.KubeconfigError, match="certificates for https://localhost"):
        access.ssl_context()


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    pair = issued(tmp_path, "client", Subject(common_name="c", client=True), authority(tmp_path))
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    given = {"client-certificate": pair.certificate.name, "client-key": pair.key.name}
    assert load(tmp_path, document(user=given)).ssl_context() is not None
    pair.key.write_bytes(locked)
    with pytest.raises(kubeconfig.KubeconfigError, match="certificates for"):
        load(tmp_path, document(user=given)).ssl_context()
