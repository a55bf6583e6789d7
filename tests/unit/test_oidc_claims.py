"""From claims to users by CEL expressions, and what is wrong with expressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.apiserver.authentication.configuration import ConfigurationError, parse_configuration
from services.apiserver.authentication.oidc import from_flags, load, validate_expressions
from services.apiserver.authentication.oidc.claims import ClaimMapper
from services.apiserver.authentication.oidc.verification import BadToken
from services.apiserver.options.oidc import OidcOptions
from services.apiserver.requestinfo import UserInfo

CLAIMS: dict[str, Any] = {
    "sub": "jane",
    "iss": "https://issuer",
    "email": "jane@x.org",
    "email_verified": True,
    "roles": ["dev", "", "ops"],
    "team": "blue",
    "tenant": {"id": "t1", "level": 3},
    "empty": "",
}


def mapper_of(mappings: str, rules: str = "") -> ClaimMapper:
    return ClaimMapper(configuration_of(mappings, rules).jwt[0])


def configuration_of(mappings: str, rules: str = "") -> Any:
    return parse_configuration(
        f"""
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {{url: "https://issuer", audiences: [a]}}
  claimMappings: {mappings}
{rules}
"""
    )


def test_every_part_of_a_user_may_come_from_an_expression() -> None:
    mapper = mapper_of(
        """
    username: {expression: "'x:' + claims.sub"}
    groups: {expression: "claims.roles.map(r, 'role:' + r)"}
    uid: {expression: "claims.tenant.id"}
    extra:
    - {key: example.org/team, valueExpression: "claims.team"}
    - {key: example.org/roles, valueExpression: "claims.roles"}
    - {key: example.org/none, valueExpression: "claims.?missing.orValue('')"}
"""
    )
    assert mapper.user(CLAIMS) == UserInfo(
        "x:jane",
        "t1",
        ("role:dev", "role:", "role:ops"),
        (("example.org/roles", ("dev", "ops")), ("example.org/team", ("blue",))),
    )


@pytest.mark.parametrize(
    ("expression", "groups"),
    [
        ("claims.team", ("blue",)),
        ("claims.roles", ("dev", "ops")),
        ("claims.empty", ()),
        ("[]", ()),
        ("null", ()),
        ("has(claims.nothing) ? claims.nothing : ['x']", ("x",)),
        ("claims.team.split('l')", ("b", "ue")),
    ],
)
def test_an_expression_gives_groups_as_text_or_a_list(
    expression: str, groups: tuple[str, ...]
) -> None:
    mapper = mapper_of(
        f'{{username: {{claim: sub, prefix: ""}}, groups: {{expression: "{expression}"}}}}'
    )
    assert mapper.user(CLAIMS).groups == groups


@pytest.mark.parametrize(
    ("mappings", "why"),
    [
        ('{username: {expression: "claims.tenant.level"}}', "must return a string"),
        ('{username: {expression: "claims.empty"}}', "empty username"),
        ('{username: {expression: "claims.missing"}}', "no such key: missing"),
        (
            '{username: {claim: sub, prefix: ""}, groups: {expression: "[1]"}}',
            "must return a string or a list of strings",
        ),
        ('{username: {claim: sub, prefix: ""}, uid: {claim: tenant}}', "not a string"),
        ('{username: {claim: sub, prefix: ""}, uid: {claim: missing}}', "claim not present"),
        ('{username: {expression: "MANY"}}', "cost limit exceeded"),
    ],
)
def test_claims_that_do_not_fit_refuse_the_token(mappings: str, why: str) -> None:
    rounds = "'x'"
    for number in range(13):
        rounds = f"claims.roles.map(v{number}, {rounds})"
    mappings = mappings.replace("MANY", rounds)
    with pytest.raises(BadToken, match=why):
        mapper_of(mappings).user(CLAIMS)


NAMED = '{username: {claim: sub, prefix: "u:"}, groups: {claim: roles, prefix: "g:"}}'


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("  claimValidationRules: [{claim: team, requiredValue: blue}]", None),
        ("  claimValidationRules: [{claim: team, requiredValue: red}]", "Got = blue, want = red"),
        ("  claimValidationRules: [{claim: hd, requiredValue: x}]", "not present"),
        ("  claimValidationRules: [{claim: roles, requiredValue: dev}]", "not a string"),
        ("  claimValidationRules: [{expression: \"claims.team == 'blue'\"}]", None),
        (
            "  claimValidationRules: [{expression: \"claims.team == 'red'\", message: not red}]",
            "failed: not red",
        ),
        ('  claimValidationRules: [{expression: "claims.hd == 1"}]', "no such key: hd"),
        ("  userValidationRules: [{expression: \"user.username.startsWith('u:')\"}]", None),
        ("  userValidationRules: [{expression: \"user.groups.all(g, g != 'g:ops')\"}]", "failed: "),
        ("  userValidationRules: [{expression: \"user.uid == '' && user.extra == {}\"}]", None),
        (
            "  userValidationRules: "
            "[{expression: \"!user.username.startsWith('u:')\", message: 'no u'}]",
            "failed: no u",
        ),
    ],
)
def test_rules_must_hold(rules: str, why: str | None) -> None:
    mapper = mapper_of(NAMED, rules)
    if why is None:
        assert mapper.user(CLAIMS).groups == ("g:dev", "g:", "g:ops")
    else:
        with pytest.raises(BadToken, match=why):
            mapper.user(CLAIMS)


@pytest.mark.parametrize(
    ("mappings", "rules", "expected"),
    [
        (NAMED, "", []),
        (
            '{username: {expression: "claims.sub +"}}',
            "",
            ["jwt[0].claimMappings.username.expression: Invalid value"],
        ),
        (
            '{username: {expression: "request.user"}}',
            "",
            ["compilation failed: undeclared reference to 'request'"],
        ),
        (
            NAMED,
            '  claimValidationRules: [{expression: "claims.sub"}]',
            ["jwt[0].claimValidationRules[0].expression", "must evaluate to bool"],
        ),
        (
            NAMED,
            '  userValidationRules: [{expression: "user.name == 1"}]',
            ["jwt[0].userValidationRules[0].expression", "undefined field 'name'"],
        ),
        (
            NAMED,
            "  userValidationRules: [{expression: \"claims.sub == ''\"}]",
            ["undeclared reference to 'claims'"],
        ),
        ('{username: {expression: "claims.email"}}', "", ["claims.email_verified must be used"]),
        (
            '{username: {expression: "claims.?email.orValue(claims.sub)"}}',
            "",
            ["claims.email_verified must be used"],
        ),
        (
            '{username: {expression: "claims.email"}}',
            "  claimValidationRules: "
            '[{expression: "claims.?email_verified.orValue(true) == true"}]',
            [],
        ),
        (
            "{username: {expression: \"has(claims.email_verified) ? claims.email : 'x'\"}}",
            "",
            [],
        ),
    ],
)
def test_what_is_wrong_with_expressions_is_told(
    mappings: str, rules: str, expected: list[str]
) -> None:
    causes = validate_expressions(configuration_of(mappings, rules).jwt)
    assert bool(causes) == bool(expected), causes
    for one in expected:
        assert one in causes[0].message


def test_a_file_with_a_wrong_expression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_text(
        """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer", audiences: [a]}
  claimMappings: {username: {expression: "claims."}}
"""
    )
    with pytest.raises(ConfigurationError, match=r"username.expression: .* compilation failed"):
        load(path, disallowed_issuers=())


@pytest.mark.parametrize(
    ("claim", "prefix", "expected"),
    [
        ("sub", "", "https://issuer#jane"),
        ("sub", "-", "jane"),
        ("sub", "x:", "x:jane"),
        ("email", "", "jane@x.org"),
        ("email", "x:", "x:jane@x.org"),
    ],
)
def test_the_flags_put_the_issuer_before_names_but_for_addresses(
    claim: str, prefix: str, expected: str
) -> None:
    given = OidcOptions(
        issuer_url="https://issuer",
        client_id="a",
        username_claim=claim,
        username_prefix=prefix,
        groups_claim="roles",
        groups_prefix="g:",
        required_claims=(("team", "blue"),),
    )
    settings = from_flags(given, disallowed_issuers=())
    user = ClaimMapper(settings).user(CLAIMS)
    assert (user.name, user.groups) == (expected, ("g:dev", "g:", "g:ops"))
    with pytest.raises(BadToken, match="required claim team"):
        ClaimMapper(settings).user({**CLAIMS, "team": "red"})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://issuer", r"issuer.url: .* URL scheme must be https"),
        ("https://issuer?a=b", "URL must not contain a query"),
        ("https://own", "must not overlap with disallowed issuers"),
    ],
)
def test_the_flags_name_a_good_issuer(url: str, why: str) -> None:
    given = OidcOptions(issuer_url=url, client_id="a")
    with pytest.raises(ConfigurationError, match=why):
        from_flags(given, disallowed_issuers=["https://own"])


def test_an_authority_that_is_none_is_told_by_its_flag(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    given = OidcOptions(issuer_url="https://issuer", client_id="a", ca_file=str(path))
    with pytest.raises(ConfigurationError, match="certificateAuthority"):
        from_flags(given, disallowed_issuers=())
