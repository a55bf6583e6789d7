"""Claims → UserInfo.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authenticator/token/oidc/oidc.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.apiserver.authentication.configuration import (
    ClaimOrExpression,
    ClaimValidationRule,
    JwtAuthenticator,
    PrefixedClaimOrExpression,
    UserValidationRule,
)
from services.apiserver.authentication.oidc.expressions import CLAIMS, USER, Expression
from services.apiserver.authentication.oidc.verification import BadToken
from services.apiserver.cel import Budget, CelError
from services.apiserver.requestinfo import UserInfo

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"

Claims = Mapping[str, Any]


class ClaimMapper:
    """Makes users of the claims of verified tokens, as one issuer's settings say.

    Raises ParseError where an expression is none; `settings` finds these first.
    """

    def __init__(self, settings: JwtAuthenticator) -> None:
        mappings = settings.claim_mappings
        self._name_mapping, self._groups_mapping = mappings.username, mappings.groups
        self._username = _Part("username", mappings.username)
        self._groups = _Part("groups", mappings.groups)
        self._uid = _Part("uid", mappings.uid)
        self._extra = tuple(
            (one.key, Expression(one.value_expression, CLAIMS)) for one in mappings.extra
        )
        self._required = {
            one.claim: one.required_value for one in settings.claim_validation_rules if one.claim
        }
        self._claim_rules = _rules(settings.claim_validation_rules, CLAIMS)
        self._user_rules = _rules(settings.user_validation_rules, USER)

    def user(self, claims: Claims) -> UserInfo:
        """Return the user.

        Raises:
            BadToken: a claim is missing or of a wrong type, or a rule is broken.
        """
        budget = Budget()
        user = UserInfo(
            self._name(claims, budget),
            self._uid.text(claims, budget),
            self._group_names(claims, budget),
            self._extra_values(claims, budget),
        )
        for claim, value in self._required.items():
            if claim not in claims:
                raise BadToken(f"oidc: required claim {claim} not present in ID token")
            found = _text(claims, claim, f"oidc: parse claim {claim}")
            if found != value:
                raise BadToken(
                    f"oidc: required claim {claim} value does not match. "
                    f"Got = {found}, want = {value}"
                )
        _check(self._claim_rules, {CLAIMS: claims}, budget, "claim validation expression")
        if self._user_rules:
            shown = {
                "username": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": user.extra_as_dict(),
            }
            _check(self._user_rules, {USER: shown}, budget, "user info validation rule")
        return user

    def _name(self, claims: Claims, budget: Budget) -> str:
        mapping = self._name_mapping
        if mapping.claim == "email" and "email_verified" in claims:
            verified = claims["email_verified"]
            if not isinstance(verified, bool):
                raise BadToken("oidc: parse 'email_verified' claim: not a boolean")
            if not verified:
                raise BadToken("oidc: email not verified")
        name = (mapping.prefix or "") + self._username.text(claims, budget)
        if not name:
            raise BadToken("oidc: an empty username is not allowed")
        return name

    def _group_names(self, claims: Claims, budget: Budget) -> tuple[str, ...]:
        part, mapping = self._groups, self._groups_mapping
        if part.expression is not None:
            return _strings(part.evaluate(claims, budget), part.what)
        value = claims.get(mapping.claim) if mapping.claim else None
        if value is None:
            return ()
        # Some issuers name a single role as text.
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise BadToken(f"oidc: parse groups claim {mapping.claim!r}: not a list of strings")
        prefix = mapping.prefix or ""
        return tuple(prefix + one for one in values)

    def _extra_values(
        self, claims: Claims, budget: Budget
    ) -> tuple[tuple[str, tuple[str, ...]], ...]:
        extra: dict[str, tuple[str, ...]] = {}
        jti = claims.get("jti")
        if isinstance(jti, str) and jti:
            extra[CREDENTIAL_ID] = (f"JTI={jti}",)
        for key, expression in self._extra:
            values = _strings(_evaluate(expression, claims, budget, "extra"), "extra")
            if values:
                extra[key] = values
        return tuple(sorted(extra.items()))


class _Part:
    """One part of the user: from a claim, from an expression, or nothing."""

    __slots__ = ("claim", "expression", "what")

    def __init__(self, what: str, mapping: PrefixedClaimOrExpression | ClaimOrExpression) -> None:
        self.what = what
        self.claim = mapping.claim
        self.expression = Expression(mapping.expression, CLAIMS) if mapping.expression else None

    def text(self, claims: Claims, budget: Budget) -> str:
        """Return the text, without the prefix; "" if neither claim nor expression is set."""
        if self.expression is not None:
            value = self.evaluate(claims, budget)
            if not isinstance(value, str):
                raise BadToken(
                    f"oidc: error evaluating {self.what} claim expression: "
                    f"{self.what} claim expression must return a string"
                )
            return value
        claim = self.claim
        return _text(claims, claim, f"oidc: parse {self.what} claim {claim!r}") if claim else ""

    def evaluate(self, claims: Claims, budget: Budget) -> Any:
        assert self.expression is not None
        return _evaluate(self.expression, claims, budget, self.what)


def _evaluate(expression: Expression, claims: Claims, budget: Budget, what: str) -> Any:
    try:
        return expression.program.evaluate({CLAIMS: claims}, budget)
    except CelError as error:
        raise BadToken(f"oidc: error evaluating {what} claim expression: {error}") from error


def _text(claims: Claims, claim: str, problem: str) -> str:
    if claim not in claims:
        raise BadToken(f"{problem}: claim not present")
    value = claims[claim]
    if not isinstance(value, str):
        raise BadToken(f"{problem}: not a string")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    """Return text, or a list of texts, without empty ones; null is nothing."""
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise BadToken(
            f"oidc: error evaluating {what} claim expression: "
            "expression must return a string or a list of strings"
        )
    return tuple(one for one in values if one)


_Rule = ClaimValidationRule | UserValidationRule
_CompiledRule = tuple[_Rule, Expression]


def _rules(rules: Sequence[_Rule], variable: str) -> tuple[_CompiledRule, ...]:
    return tuple(
        (one, Expression(one.expression, variable, must_be_bool=True))
        for one in rules
        if one.expression
    )


def _check(
    rules: tuple[_CompiledRule, ...], variables: Mapping[str, Any], budget: Budget, what: str
) -> None:
    for rule, expression in rules:
        try:
            holds = expression.program.evaluate(variables, budget)
        except CelError as error:
            raise BadToken(f"oidc: error evaluating {what}: {error}") from error
        if not isinstance(holds, bool):
            raise BadToken(
                f"oidc: error evaluating {what}: validation expression must return a boolean"
            )
        if not holds:
            raise BadToken(
                f"oidc: error evaluating {what}: "
                f"validation expression '{rule.expression}' failed: {rule.message}"
            )
