"""The flags of issuers and of the token webhook: what they say, and which go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.options.oidc import OidcOptions
from services.apiserver.options.token_webhook import TokenWebhookOptions

ISSUER = ["--oidc-issuer-url=https://issuer", "--oidc-client-id=me"]


def test_without_flags_there_is_no_issuer_and_no_webhook() -> None:
    options = ApiServerOptions.from_argv([])
    assert options.oidc == OidcOptions()
    assert options.token_webhook == TokenWebhookOptions()
    assert (options.oidc.username_claim, options.oidc.signing_algorithms) == ("sub", ("RS256",))
    assert (options.token_webhook.version, options.token_webhook.cache_ttl_s) == ("v1beta1", 120)


def test_the_flags_describe_an_issuer() -> None:
    flags = [
        *ISSUER,
        "--oidc-username-claim=email",
        "--oidc-username-prefix=-",
        "--oidc-groups-claim=roles",
        "--oidc-groups-prefix=r:",
        "--oidc-required-claim=team=blue",
        "--oidc-required-claim=query=a=b",
        "--oidc-signing-algs=RS256,ES256",
        "--oidc-signing-algs=PS512",
    ]
    assert ApiServerOptions.from_argv(flags).oidc == OidcOptions(
        issuer_url="https://issuer",
        client_id="me",
        username_claim="email",
        username_prefix="-",
        groups_claim="roles",
        groups_prefix="r:",
        required_claims=(("team", "blue"), ("query", "a=b")),
        signing_algorithms=("RS256", "ES256", "PS512"),
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--oidc-issuer-url=https://a"], "must be specified together"),
        (["--oidc-client-id=a"], "must be specified together"),
        (["--oidc-groups-claim=a"], "must be specified together"),
        (["--oidc-required-claim=a=b"], "must be specified together"),
        ([*ISSUER, "--oidc-signing-algs=HS256"], 'unsupported signing alg: "HS256"'),
        ([*ISSUER, "--oidc-signing-algs=none"], 'unsupported signing alg: "none"'),
        ([*ISSUER, "--oidc-signing-algs=RS256,"], 'unsupported signing alg: ""'),
        ([*ISSUER, "--oidc-required-claim=a"], "expect claim=value"),
        ([*ISSUER, "--oidc-ca-file=missing.pem"], "--oidc-ca-file: no such file"),
        ([*ISSUER, "--authentication-config=FILE"], "mutually exclusive"),
        (["--authentication-token-webhook-version=v2"], 'unsupported version "v2"'),
        (["--authentication-token-webhook-cache-ttl=soon"], "not a duration"),
        (["--authentication-token-webhook-config-file=missing"], "no such file"),
    ],
)
def test_flags_that_make_no_sense_are_told(tmp_path: Path, flags: list[str], told: str) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_text("{}")
    with pytest.raises(OptionsError, match=told) as caught:
        ApiServerOptions.from_argv([flag.replace("FILE", str(path)) for flag in flags])
    assert len(str(caught.value).splitlines()) == 1
