"""The flags of service accounts' tokens: what they default to, and their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.service_accounts import DEFAULT_ISSUER, ServiceAccountOptions
from services.controllers.options import ControllersOptions
from tests.unit.accountsworld import KEY
from tests.unit.test_serviceaccount_keys import private_pem


def read(*argv: str) -> ServiceAccountOptions:
    return ApiServerOptions.from_argv(argv).service_accounts


def test_tokens_are_meant_for_their_issuer_unless_told_otherwise() -> None:
    assert read().issuers == read().api_audiences == (DEFAULT_ISSUER,)
    two = ["--service-account-issuer=https://a.test", "--service-account-issuer=https://b.test"]
    assert read(*two).api_audiences == ("https://a.test", "https://b.test")
    assert read(*two, "--api-audiences=x,y").api_audiences == ("x", "y")
    assert read(*two, "--api-audiences=x,y").issuers == ("https://a.test", "https://b.test")


def test_an_issuer_need_not_be_a_url() -> None:
    assert read("--service-account-issuer=mine").issuers == ("mine",)


def test_lives_and_lookups_are_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(private_pem(KEY))
    found = read(
        f"--service-account-signing-key-file={file}",
        f"--service-account-key-file={file}",
        f"--service-account-key-file={file}",
        "--service-account-jwks-uri=https://keys.test/jwks",
        "--service-account-lookup=false",
        "--service-account-max-token-expiration=48h",
        "--service-account-extend-token-expiration=false",
    )
    assert found.signing_key_file == str(file)
    assert found.key_files == (str(file), str(file))
    assert found.jwks_uri == "https://keys.test/jwks"
    assert not found.lookup
    assert found.max_token_expiration_s == 48 * 3600
    assert not found.extend_token_expiration


@pytest.mark.parametrize(
    "flag",
    [
        "--service-account-signing-key-file=/nowhere",
        "--service-account-key-file=/nowhere",
        "--service-account-max-token-expiration=59m",
        "--service-account-max-token-expiration=soon",
        "--service-account-jwks-uri=http://plain.test",
        "--service-account-issuer=",
        "--service-account-issuer=:x",
        "--service-account-lookup=maybe",
    ],
)
def test_a_mistake_names_its_flag(flag: str) -> None:
    with pytest.raises(OptionsError, match=flag.partition("=")[0]):
        read(flag)


def test_an_issuer_given_twice_is_a_mistake() -> None:
    with pytest.raises(OptionsError, match="given twice"):
        read("--service-account-issuer=a", "--service-account-issuer=a")


def test_controllers_read_certificates_and_key(tmp_path: Path) -> None:
    key, authority = tmp_path / "sa.key", tmp_path / "ca.crt"
    key.write_bytes(private_pem(KEY))
    authority.write_text("certificates")
    argv = ["--kubeconfig=k", f"--service-account-private-key-file={key}"]
    found = ControllersOptions.from_argv([*argv, f"--root-ca-file={authority}"], known=())
    assert found.root_ca == "certificates"
    assert found.token_key is not None
    assert found.token_key.verification.key_id == KEY.verification.key_id


@pytest.mark.parametrize("flag", ["--root-ca-file", "--service-account-private-key-file"])
def test_a_file_that_controllers_miss_is_named(flag: str) -> None:
    with pytest.raises(OptionsError, match=f"{flag}: /nowhere"):
        ControllersOptions.from_argv(["--kubeconfig=k", f"{flag}=/nowhere"], known=())
