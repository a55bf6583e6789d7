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


def test_what_stands_around_certificates_may_be_of_any_encoding(tmp_path: Path) -> None:
    own = authority(tmp_path)
    ca = (
        "# F\u0151tan\u00fas\u00edtv\u00e1ny".encode()
        + b"\n# \xff\n"
        + own.certificate.read_bytes()
    )
    (tmp_path / "bundle").write_bytes(ca)
    context = load(tmp_path, document({"certificate-authority": "bundle"})).ssl_context()
    assert context is not None
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("content", [b"a\xffb", b"two\nlines", b"bell\x07", b" \n"])
def test_a_token_that_no_header_can_carry_is_refused_at_the_start(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    access = load(tmp_path, document(user={"tokenFile": "token"}))
    with pytest.raises(kubeconfig.KubeconfigError) as caught:
        kubeconfig.BearerToken(access)
    assert f"token file {tmp_path / 'token'}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_in_the_kubeconfig_must_be_one_too(tmp_path: Path) -> None:
    with pytest.raises(kubeconfig.KubeconfigError, match="user 'u': token: "):
        load(tmp_path, document(user={"token": "two\nlines"}))


def test_a_token_file_that_can_not_be_read_any_more_leaves_the_old_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    token = kubeconfig.BearerToken(load(tmp_path, document(user={"tokenFile": "token"})))
    assert token.current() == "first"
    for bad in (b"\xff", b"\xff", b""):
        file.write_bytes(bad)
        assert token.current() == "first"
    file.unlink()
    assert token.current() == "first"
    assert [one.message for one in caplog.records] == 3 * ["token file: the former token stays"]
    file.write_text("second")
    assert token.current() == "second"


def test_a_token_beside_a_token_file_that_is_not_there_yet_counts(tmp_path: Path) -> None:
    user = {"token": "own", "tokenFile": "token"}
    token = kubeconfig.BearerToken(load(tmp_path, document(user=user)))
    assert token.current() == "own"
    (tmp_path / "token").write_text("file's")
    assert token.current() == "file's"


@pytest.mark.parametrize(
    "content",
    [
        document({"certificate-authority": "a\0b"}),
        document(user={"tokenFile": 5}),
        {**document(), "contexts": 5},
        {**document(), "users": {"u": {}}},
        document(user={"tokenFile": "a\0b"}),
        document({"tls-server-name": 5}),
    ],
)
def test_values_of_another_kind_are_told_too(tmp_path: Path, content: Any) -> None:
    with pytest.raises(kubeconfig.KubeconfigError, match="kubeconfig "):
        load(tmp_path, content)


def test_a_config_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"apiVersion: \xff\n")
    with pytest.raises(kubeconfig.KubeconfigError, match="'utf-8' codec") as caught:
        kubeconfig.load(tmp_path / "config")
    assert "\n" not in str(caught.value)
