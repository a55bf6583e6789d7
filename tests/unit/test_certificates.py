"""Certificates and the admin's files: made once, renewed when needed, never half written."""

from __future__ import annotations

import datetime
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.apiserver.startup.certificates import ServingFiles, admin_token, serving_files
from shared import certificates, kubeconfig
from shared.certificates import KeyPair, Subject, write_private

ADDRESSES = ["127.0.0.1", "10.0.0.1"]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def contents(files: ServingFiles) -> tuple[bytes, bytes, bytes]:
    return files.certificate.read_bytes(), files.key.read_bytes(), files.authority.read_bytes()


def leaf(files: ServingFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]


def names(files: ServingFiles) -> x509.SubjectAlternativeName:
    return leaf(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_first_start_makes_a_certificate_that_its_authority_signed(tmp_path: Path) -> None:
    files = serving_files(tmp_path / "new" / "certs", ADDRESSES)
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    leaf(files).verify_directly_issued_by(authority)
    found = names(files)
    assert [str(one) for one in found.get_values_for_type(x509.IPAddress)] == ADDRESSES
    assert {"localhost", "kubernetes.default.svc"} <= set(found.get_values_for_type(x509.DNSName))


def test_python_and_go_can_serve_with_it_and_clients_verify_it(tmp_path: Path) -> None:
    files = serving_files(tmp_path, ADDRESSES)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(files.authority))
    ends = [ssl.MemoryBIO() for _ in range(2)]
    near = client.wrap_bio(ends[0], ends[1], server_hostname="127.0.0.1")
    far = server.wrap_bio(ends[1], ends[0], server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert near.version() == "TLSv1.3"


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    files = serving_files(tmp_path, ADDRESSES)
    assert mode(files.key) == mode(tmp_path / "ca.key") == 0o600
    assert mode(files.certificate) == mode(files.authority) == 0o644


def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    before = contents(serving_files(tmp_path, ADDRESSES))
    assert contents(serving_files(tmp_path, ADDRESSES)) == before
    assert contents(serving_files(tmp_path, ADDRESSES[:1])) == before


def test_a_new_address_needs_a_new_certificate_of_the_same_authority(tmp_path: Path) -> None:
    before = contents(serving_files(tmp_path, ADDRESSES))
    files = serving_files(tmp_path, [*ADDRESSES, "fd00::1"])
    after = contents(files)
    assert after[0] != before[0]
    assert after[2] == before[2], "clients trust the authority's file"
    assert "fd00::1" in map(str, names(files).get_values_for_type(x509.IPAddress))


@pytest.mark.parametrize("days", [1, certificates.RENEW_BEFORE_DAYS - 1])
def test_a_certificate_that_ends_soon_is_renewed(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LEAF_DAYS", days)
    serving_files(tmp_path, ADDRESSES)
    monkeypatch.setattr(certificates, "LEAF_DAYS", 365)
    files = serving_files(tmp_path, ADDRESSES)
    left = leaf(files).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert left.days >= 364


@pytest.mark.parametrize("lost", ["apiserver.crt", "apiserver.key", "ca.crt", "ca.key"])
def test_a_lost_file_is_made_again_and_all_fit_together(lost: str, tmp_path: Path) -> None:
    """As after a crash between two of the files."""
    serving_files(tmp_path, ADDRESSES)
    (tmp_path / lost).unlink()
    check_pair(serving_files(tmp_path, ADDRESSES))


@pytest.mark.parametrize("name", ["apiserver.crt", "apiserver.key"])
@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_broken_file_is_made_again(name: str, junk: bytes, tmp_path: Path) -> None:
    serving_files(tmp_path, ADDRESSES)
    (tmp_path / name).write_bytes(junk)
    check_pair(serving_files(tmp_path, ADDRESSES))


def test_a_key_of_another_certificate_is_not_kept(tmp_path: Path) -> None:
    """The key is written before its certificate: a crash in between leaves two that differ."""
    serving_files(tmp_path, ADDRESSES)
    other = serving_files(tmp_path / "other", ADDRESSES)
    (tmp_path / "apiserver.key").write_bytes(other.key.read_bytes())
    check_pair(serving_files(tmp_path, ADDRESSES))


def test_an_authority_whose_key_is_another_is_made_again(tmp_path: Path) -> None:
    serving_files(tmp_path, ADDRESSES)
    serving_files(tmp_path / "other", ADDRESSES)
    (tmp_path / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    check_pair(serving_files(tmp_path, [*ADDRESSES, "10.0.0.2"]))


def check_pair(files: ServingFiles) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    leaf(files).verify_directly_issued_by(authority)


def test_a_private_file_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def crash(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (mode(path), path.read_bytes()) == (0o600, b"new")


def test_the_admin_token_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "certs" / "admin.token"
    token = admin_token(path)
    assert len(token) >= 32
    assert admin_token(path) == token
    assert mode(path) == 0o600
    path.write_text("\n")
    assert admin_token(path) not in ("", token)


def test_the_kubeconfig_is_private_and_names_all_that_is_needed(tmp_path: Path) -> None:
    files = serving_files(tmp_path, ADDRESSES)
    path = tmp_path / "admin.kubeconfig"
    kubeconfig.write(path, server="https://[::1]:6443", authority=files.authority, token="t")
    config = yaml.safe_load(path.read_text())
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://[::1]:6443"
    assert Path(cluster["certificate-authority"]).is_absolute()
    assert config["users"][0]["user"] == {"token": "t"}
    assert mode(path) == 0o600


def test_processes_that_start_together_share_one_certificate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(
            threads.map(lambda _: contents(serving_files(tmp_path / "certs", ADDRESSES)), range(4))
        )
    assert len(set(made)) == 1


@pytest.mark.parametrize(("server", "client"), [(True, False), (True, True), (False, True)])
def test_a_certificate_is_for_serving_or_for_asking_as_it_says(
    server: bool, client: bool, tmp_path: Path
) -> None:
    subject = Subject(common_name="x", addresses=("127.0.0.1",), server=server, client=client)
    pair: KeyPair = certificates.issued(
        tmp_path, "x", subject, certificates.authority(tmp_path, common_name="its own")
    )
    certificate = x509.load_pem_x509_certificates(pair.certificate.read_bytes())[0]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.SERVER_AUTH in usages) == server
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in usages) == client
    assert certificate.issuer.rfc4514_string() == "CN=its own"
