"""What is configured of the issuers of tokens: by a file, or by --oidc-* flags.

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/options/authentication.go
(ToAuthenticationConfig); apiserver/pkg/apis/apiserver/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from services.apiserver.authentication.configuration import (
    AuthenticationConfiguration,
    ClaimMappings,
    ClaimValidationRule,
    ConfigurationError,
    Issuer,
    JwtAuthenticator,
    PrefixedClaimOrExpression,
    load_configuration,
    validate_jwt,
)
from services.apiserver.authentication.oidc.expressions import CLAIMS, USER, Expression
from services.apiserver.cel import ParseError
from services.apiserver.errors import Cause
from services.apiserver.options.oidc import ALGORITHMS as NAMES
from services.apiserver.options.oidc import OidcOptions
from services.apiserver.validation.field import child, index, invalid

ALGORITHMS = frozenset(NAMES)
"""Only those with a public key: an HMAC of it would be a secret that everybody knows."""

NO_PREFIX = "-"
"""--oidc-username-prefix: none at all."""


def load(path: Path, *, disallowed_issuers: Collection[str]) -> AuthenticationConfiguration:
    """Read and validate the file of --authentication-config, its expressions too.

    Raises:
        ConfigurationError: it can't be read, or breaks rules.
    """
    try:
        configuration = load_configuration(path, disallowed_issuers=disallowed_issuers)
        causes = validate_expressions(configuration.jwt)
        if causes:
            raise ConfigurationError("\n".join(cause.message for cause in causes))
    except ConfigurationError as error:
        lines = (line.removeprefix(f"{path}: ") for line in str(error).splitlines())
        raise ConfigurationError(
            "\n".join(f"--authentication-config: {path}: {line}" for line in lines)
        ) from error
    return configuration


def from_flags(given: OidcOptions, *, disallowed_issuers: Collection[str]) -> JwtAuthenticator:
    """Return the issuer that the --oidc-* flags describe.

    Raises:
        ConfigurationError: it breaks rules.
    """
    prefix = given.username_prefix
    if prefix == NO_PREFIX:
        prefix = ""
    elif not prefix and given.username_claim != "email":
        # Names of other issuers and of this server's own users stay apart.
        prefix = f"{given.issuer_url}#"
    groups = PrefixedClaimOrExpression(given.groups_claim, given.groups_prefix)
    try:
        ca = Path(given.ca_file).read_text(encoding="utf-8") if given.ca_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--oidc-ca-file: {given.ca_file}: {error}") from error
    settings = JwtAuthenticator(
        issuer=Issuer(url=given.issuer_url, audiences=(given.client_id,), certificate_authority=ca),
        claim_mappings=ClaimMappings(
            username=PrefixedClaimOrExpression(given.username_claim, prefix),
            groups=groups if given.groups_claim else PrefixedClaimOrExpression(),
        ),
        claim_validation_rules=tuple(
            ClaimValidationRule(claim=claim, required_value=value)
            for claim, value in given.required_claims
        ),
    )
    causes = validate_jwt(settings, "", disallowed_issuers)
    if causes:
        raise ConfigurationError("\n".join(f"--oidc-*: {cause.message}" for cause in causes))
    return settings


def validate_expressions(authenticators: Sequence[JwtAuthenticator]) -> list[Cause]:
    """Return what is wrong with the CEL expressions; the rest has been validated."""
    causes: list[Cause] = []
    for number, one in enumerate(authenticators):
        causes += _validate(one, index("jwt", number))
    return causes


def _validate(one: JwtAuthenticator, path: str) -> Iterator[Cause]:
    mappings, mappings_at = one.claim_mappings, child(path, "claimMappings")
    checker = _Checker()
    for number, rule in enumerate(one.claim_validation_rules):
        at = child(index(child(path, "claimValidationRules"), number), "expression")
        yield from checker.check(rule.expression, CLAIMS, at, must_be_bool=True)
    username_at = child(mappings_at, "username", "expression")
    yield from checker.check(mappings.username.expression, CLAIMS, username_at)
    username = checker.compiled.get(mappings.username.expression)
    for name, expression in (
        ("groups", mappings.groups.expression),
        ("uid", mappings.uid.expression),
    ):
        # Not counted below: these do not stand in the way of an unverified address.
        yield from _Checker().check(expression, CLAIMS, child(mappings_at, name, "expression"))
    for number, extra in enumerate(mappings.extra):
        at = child(index(child(mappings_at, "extra"), number), "valueExpression")
        yield from checker.check(extra.value_expression, CLAIMS, at)
    if (
        username is not None
        and username.uses_claim("email")
        and not any(one.uses_claim("email_verified") for one in checker.compiled.values())
    ):
        yield invalid(
            username_at,
            mappings.username.expression,
            "claims.email_verified must be used in claimMappings.username.expression or "
            "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression "
            "when claims.email is used in claimMappings.username.expression",
        )
    for number, user_rule in enumerate(one.user_validation_rules):
        at = child(index(child(path, "userValidationRules"), number), "expression")
        yield from _Checker().check(user_rule.expression, USER, at, must_be_bool=True)


class _Checker:
    """Compiles expressions and keeps them by their text."""

    def __init__(self) -> None:
        self.compiled: dict[str, Expression] = {}

    def check(
        self, text: str, variable: str, path: str, *, must_be_bool: bool = False
    ) -> Iterator[Cause]:
        if not text:
            return
        try:
            self.compiled[text] = Expression(text, variable, must_be_bool=must_be_bool)
        except ParseError as error:
            problem = str(error)
            if not problem.startswith("must evaluate"):
                problem = f"compilation failed: {problem}"
            yield invalid(path, text, problem)
