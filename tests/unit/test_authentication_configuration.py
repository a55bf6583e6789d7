"""The file of --authentication-config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.apiserver.authentication.configuration import (
    AnonymousCondition,
    AnonymousConfig,
    AuthenticationConfiguration,
    ClaimMappings,
    ClaimOrExpression,
    ClaimValidationRule,
    ConfigurationError,
    ExtraMapping,
    Issuer,
    JwtAuthenticator,
    PrefixedClaimOrExpression,
    UserValidationRule,
    load_configuration,
)

HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
GOOD = {
    "issuer": {"url": "https://a", "audiences": ["me"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
}


def load(tmp_path: Path, text: str) -> AuthenticationConfiguration:
    path = tmp_path / "authentication.yaml"
    path.write_text(text)
    return load_configuration(path, disallowed_issuers=["https://mine"])


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}]
jwt:
- issuer:
    url: https://issuer.example
    discoveryURL: https://discovery.example/x
    audiences: [one, two]
    audienceMatchPolicy: MatchAny
    egressSelectorType: cluster
  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - {expression: "claims.a == 'b'", message: other}
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
    groups: {expression: claims.groups}
    uid: {claim: uid}
    extra: [{key: example.com/team, valueExpression: claims.team}]
  userValidationRules:
  - {expression: "!user.username.startsWith('system:')", message: reserved}
"""
    )
    assert load(tmp_path, text) == AuthenticationConfiguration(
        jwt=(
            JwtAuthenticator(
                Issuer(
                    "https://issuer.example",
                    "https://discovery.example/x",
                    "",
                    ("one", "two"),
                    "MatchAny",
                    "cluster",
                ),
                (
                    ClaimValidationRule("hd", "example.com"),
                    ClaimValidationRule(expression="claims.a == 'b'", message="other"),
                ),
                ClaimMappings(
                    PrefixedClaimOrExpression("sub", "oidc:"),
                    PrefixedClaimOrExpression(expression="claims.groups"),
                    ClaimOrExpression("uid"),
                    (ExtraMapping("example.com/team", "claims.team"),),
                ),
                (UserValidationRule("!user.username.startsWith('system:')", "reserved"),),
            ),
        ),
        anonymous=AnonymousConfig(
            True, (AnonymousCondition("/livez"), AnonymousCondition("/readyz"))
        ),
    )


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_file_without_issuers_says_nothing_of_anonymous_requests(
    version: str, tmp_path: Path
) -> None:
    read = load(tmp_path, HEAD.replace("/v1\n", f"/{version}\n"))
    assert read == AuthenticationConfiguration((), None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected one AuthenticationConfiguration"),
        ("kind: [", "no YAML"),
        ("kind: Other\napiVersion: v1\n", "expected kind AuthenticationConfiguration"),
        (HEAD.replace("/v1", "/v9"), "expected kind AuthenticationConfiguration"),
        (HEAD + "spec: {}\n", 'unknown field "spec"'),
        (HEAD + "jwt: [{issuer: {uri: a}}]\n", 'unknown field "jwt[0].issuer.uri"'),
        (HEAD + "jwt: {}\n", "jwt: expected a list"),
        (HEAD + "jwt: [{issuer: {url: 3}}]\n", "jwt[0].issuer.url: expected a string"),
        (HEAD + "anonymous: {enabled: 1}\n", "anonymous.enabled: expected true or false"),
        (HEAD + "jwt: []\njwt: []\n", 'key "jwt" already set in map'),
        (HEAD + "anonymous: {conditions: [{path: /a}]}\n", "anonymous.conditions: Invalid value"),
    ],
)
def test_what_is_no_configuration_is_told(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issuer": {"audiences": ["a"]}}, "issuer.url: Required value"),
        ({"issuer": {"url": "http://a", "audiences": ["a"]}}, "URL scheme must be https"),
        ({"issuer": {"url": "https://u:p@a", "audiences": ["a"]}}, "a username or password"),
        ({"issuer": {"url": "https://a?b", "audiences": ["a"]}}, "must not contain a query"),
        ({"issuer": {"url": "https://a#b", "audiences": ["a"]}}, "must not contain a fragment"),
        ({"issuer": {"url": "https://mine", "audiences": ["a"]}}, "disallowed issuers"),
        ({"issuer": {"url": "https://a"}}, "issuer.audiences: Required value"),
        ({"issuer": {"url": "https://a", "audiences": ["b", "b"]}}, "audiences[1]: Duplicate"),
        ({"issuer": {"url": "https://a", "audiences": ["b", "c"]}}, "MatchAny for multiple"),
        (
            {"issuer": {"url": "https://a", "audiences": ["b"], "discoveryURL": "https://a/"}},
            "discoveryURL must be different",
        ),
        (
            {"issuer": {"url": "https://a", "audiences": ["b"], "certificateAuthority": "x"}},
            "certificateAuthority: Invalid value",
        ),
        ({"claimMappings": {}}, "claimMappings.username: Required value"),
        ({"claimMappings": {"username": {"claim": "sub"}}}, "prefix is required when claim"),
        (
            {"claimMappings": {"username": {"claim": "sub", "expression": "a"}}},
            "claim and expression can't both be set",
        ),
        (
            {"claimMappings": {"username": {"prefix": "x", "expression": "a"}}},
            "username.prefix: Invalid value",
        ),
        ({"claimValidationRules": [{}]}, "claim or expression is required"),
        ({"claimValidationRules": [{"claim": "a"}, {"claim": "a"}]}, "[1].claim: Duplicate"),
        ({"userValidationRules": [{"message": "a"}]}, "[0].expression: Required value"),
    ],
)
def test_what_breaks_a_rule_is_told_by_its_field(
    change: dict[str, object], why: str, tmp_path: Path
) -> None:
    text = HEAD + yaml.safe_dump({"jwt": [{**GOOD, **change}]})
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("team", "domain-prefixed path"),
        ("example.com/Team", "must be lowercase"),
        ("k8s.io/team", "reserved for Kubernetes"),
        ("authentication.kubernetes.io/team", "reserved for Kubernetes"),
    ],
)
def test_extra_keys_belong_to_a_domain_of_the_issuer(key: str, why: str, tmp_path: Path) -> None:
    extra = [{"key": key, "valueExpression": "claims.a"}]
    mappings = {"username": {"claim": "sub", "prefix": ""}, "extra": extra}
    text = HEAD + yaml.safe_dump({"jwt": [{**GOOD, "claimMappings": mappings}]})
    with pytest.raises(ConfigurationError, match=why):
        load(tmp_path, text)


def test_an_issuer_may_be_named_once(tmp_path: Path) -> None:
    text = HEAD + yaml.safe_dump({"jwt": [GOOD, GOOD]})
    with pytest.raises(ConfigurationError, match=r"jwt\[1\].issuer.url: Duplicate value"):
        load(tmp_path, text)
