"""The file of --authentication-config: AuthenticationConfiguration of apiserver.config.k8s.io.

Read strictly: a field that is not known, or given twice, is a mistake. CEL expressions are
only looked at for being there; who evaluates them compiles them.

Source: kube-apiserver v1.36.2, apiserver/pkg/apis/apiserver/v1/types.go and
apiserver/pkg/apis/apiserver/validation/validation.go (ValidateAuthenticationConfiguration).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import field as attribute
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography import x509

from services.apiserver.errors import Cause
from services.apiserver.validation import field
from services.apiserver.validation.names import dns1123_subdomain

GROUP = "apiserver.config.k8s.io"
KIND = "AuthenticationConfiguration"
VERSIONS = ("v1", "v1beta1", "v1alpha1")
MAXIMUM_ISSUERS = 64
MATCH_ANY = "MatchAny"
EGRESS_SELECTORS = ("controlplane", "cluster")


class ConfigurationError(ValueError):
    """The file can't be used; the message has a line a mistake, each names its field."""


@dataclass(frozen=True, slots=True)
class AnonymousCondition:
    path: str = ""
    """A path that anybody may ask for, compared whole."""


@dataclass(frozen=True, slots=True)
class AnonymousConfig:
    enabled: bool = False
    conditions: tuple[AnonymousCondition, ...] = ()
    """One of them has to hold; without any, anonymous requests may go everywhere."""


@dataclass(frozen=True, slots=True)
class Issuer:
    url: str = ""
    discovery_url: str = attribute(default="", metadata={"name": "discoveryURL"})
    """Where discovery is fetched; "": /.well-known/openid-configuration below `url`."""
    certificate_authority: str = ""
    """PEM; "": what the system trusts."""
    audiences: tuple[str, ...] = ()
    audience_match_policy: str = ""
    egress_selector_type: str = ""


@dataclass(frozen=True, slots=True)
class ClaimValidationRule:
    """Either `claim` has to be `required_value`, or `expression` has to hold."""

    claim: str = ""
    required_value: str = ""
    expression: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class PrefixedClaimOrExpression:
    claim: str = ""
    prefix: str | None = None
    """Needed with `claim`; "" puts nothing before it."""
    expression: str = ""


@dataclass(frozen=True, slots=True)
class ClaimOrExpression:
    claim: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True)
class ExtraMapping:
    key: str = ""
    value_expression: str = ""


@dataclass(frozen=True, slots=True)
class ClaimMappings:
    username: PrefixedClaimOrExpression = PrefixedClaimOrExpression()
    groups: PrefixedClaimOrExpression = PrefixedClaimOrExpression()
    uid: ClaimOrExpression = ClaimOrExpression()
    extra: tuple[ExtraMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class UserValidationRule:
    expression: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class JwtAuthenticator:
    issuer: Issuer = Issuer()
    claim_validation_rules: tuple[ClaimValidationRule, ...] = ()
    claim_mappings: ClaimMappings = ClaimMappings()
    user_validation_rules: tuple[UserValidationRule, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthenticationConfiguration:
    jwt: tuple[JwtAuthenticator, ...] = ()
    anonymous: AnonymousConfig | None = None
    """None: the file does not say, --anonymous-auth does."""


def load_configuration(
    path: Path, *, disallowed_issuers: Collection[str] = ()
) -> AuthenticationConfiguration:
    """Read and validate the file. `disallowed_issuers` are those of service accounts.

    Raises:
        ConfigurationError: it can't be read, or breaks rules.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    configuration = parse_configuration(text)
    causes = validate_configuration(configuration, disallowed_issuers=disallowed_issuers)
    if causes:
        raise ConfigurationError("\n".join(cause.message for cause in causes))
    return configuration


def parse_configuration(text: str) -> AuthenticationConfiguration:
    """Return what a YAML or JSON text says, not validated.

    Raises:
        ConfigurationError: it is no AuthenticationConfiguration.
    """
    try:
        # The loader is a SafeLoader that also refuses a key given twice.
        document = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"expected one {KIND}")
    kind, api_version = document.pop("kind", None), document.pop("apiVersion", None)
    group, _, version = str(api_version).partition("/")
    if kind != KIND or group != GROUP or version not in VERSIONS:
        raise ConfigurationError(
            f"expected kind {KIND} of {GROUP}/{VERSIONS[0]}, got {kind} of {api_version}"
        )
    mistakes: list[str] = []
    configuration = _decoded(AuthenticationConfiguration, document, "", mistakes)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    assert isinstance(configuration, AuthenticationConfiguration)
    return configuration


# -- decoding ------------------------------------------------------------------------


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, as kube-apiserver's strict decoding does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'key "{key.value}" already set in map', key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _decoded(kind: Any, value: Any, path: str, mistakes: list[str]) -> Any:
    """Return `value` as a `kind` of this module: a dataclass, a tuple of them, str or bool."""
    if typing.get_origin(kind) is types.UnionType:
        kind = typing.get_args(kind)[0]
    if is_dataclass(kind):
        if isinstance(value, dict):
            return _decoded_fields(kind, value, path, mistakes)
        expected = "a map"
    elif typing.get_origin(kind) is tuple:
        if isinstance(value, list):
            item = typing.get_args(kind)[0]
            return tuple(
                _decoded(item, one, field.index(path, number), mistakes)
                for number, one in enumerate(value)
            )
        expected = "a list"
    elif isinstance(value, kind):
        return value
    else:
        expected = "true or false" if kind is bool else "a string"
    mistakes.append(f"{path}: expected {expected}")
    return None


def _decoded_fields(kind: Any, value: dict[Any, Any], path: str, mistakes: list[str]) -> Any:
    hints = typing.get_type_hints(kind)
    by_name = {one.metadata.get("name", _camel_case(one.name)): one.name for one in fields(kind)}
    given = {}
    for name, one in value.items():
        where = field.child(path, str(name))
        if name not in by_name:
            mistakes.append(f'unknown field "{where}"')
        elif one is not None:
            given[by_name[name]] = _decoded(hints[by_name[name]], one, where, mistakes)
    return kind(**given)


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# -- validation ----------------------------------------------------------------------


def validate_configuration(
    configuration: AuthenticationConfiguration, *, disallowed_issuers: Collection[str] = ()
) -> list[Cause]:
    """Return what is wrong with it, but for CEL expressions."""
    jwt = configuration.jwt
    if len(jwt) > MAXIMUM_ISSUERS:
        return [field.too_many("jwt", len(jwt), MAXIMUM_ISSUERS)]
    causes: list[Cause] = []
    for number, one in enumerate(jwt):
        causes += validate_jwt(one, field.index("jwt", number), disallowed_issuers)
    for path, urls in (
        ("issuer.url", [one.issuer.url for one in jwt]),
        ("issuer.discoveryURL", [one.issuer.discovery_url for one in jwt]),
    ):
        causes += [
            field.duplicate(field.child(field.index("jwt", number), path), url)
            for number, url in enumerate(urls)
            if url and url in urls[:number]
        ]
    anonymous = configuration.anonymous
    if anonymous is not None and anonymous.conditions and not anonymous.enabled:
        paths = [{"Path": one.path} for one in anonymous.conditions]
        why = "enabled should be set to true when conditions are defined"
        causes.append(field.invalid("anonymous.conditions", paths, why))
    return causes


def validate_jwt(
    one: JwtAuthenticator, path: str, disallowed_issuers: Collection[str] = ()
) -> list[Cause]:
    """Return what is wrong with one issuer and its rules, but for CEL expressions."""
    mappings = one.claim_mappings
    return [
        *_validate_issuer(one.issuer, field.child(path, "issuer"), disallowed_issuers),
        *_validate_claim_rules(
            one.claim_validation_rules, field.child(path, "claimValidationRules")
        ),
        *_validate_mappings(mappings, field.child(path, "claimMappings")),
        *_validate_user_rules(one.user_validation_rules, field.child(path, "userValidationRules")),
    ]


def _validate_issuer(issuer: Issuer, path: str, disallowed: Collection[str]) -> list[Cause]:
    causes: list[Cause] = []
    url_path, discovery_path = field.child(path, "url"), field.child(path, "discoveryURL")
    if not issuer.url:
        causes.append(field.required(url_path))
    else:
        causes += _validate_url(issuer.url, url_path, disallowed)
    if issuer.discovery_url:
        if issuer.url.rstrip("/") == issuer.discovery_url.rstrip("/"):
            why = "discoveryURL must be different from URL"
            causes.append(field.invalid(discovery_path, issuer.discovery_url, why))
        causes += _validate_url(issuer.discovery_url, discovery_path)
    causes += _validate_audiences(issuer, path)
    if issuer.certificate_authority:
        try:
            x509.load_pem_x509_certificates(issuer.certificate_authority.encode())
        except ValueError as error:
            where = field.child(path, "certificateAuthority")
            causes.append(field.invalid(where, "<omitted>", str(error)))
    if issuer.egress_selector_type and issuer.egress_selector_type not in EGRESS_SELECTORS:
        why = "egress selector must be either controlplane or cluster"
        where = field.child(path, "egressSelectorType")
        causes.append(field.invalid(where, issuer.egress_selector_type, why))
    return causes


def _validate_url(url: str, path: str, disallowed: Collection[str] = ()) -> list[Cause]:
    causes: list[Cause] = []
    if url in disallowed:
        why = f"URL must not overlap with disallowed issuers: [{' '.join(sorted(disallowed))}]"
        causes.append(field.invalid(path, url, why))
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        return [*causes, field.invalid(path, url, str(error))]
    for wrong, why in (
        (parts.scheme != "https", "URL scheme must be https"),
        ("@" in parts.netloc, "URL must not contain a username or password"),
        (parts.query, "URL must not contain a query"),
        (parts.fragment, "URL must not contain a fragment"),
    ):
        if wrong:
            causes.append(field.invalid(path, url, why))
    return causes


def _validate_audiences(issuer: Issuer, path: str) -> list[Cause]:
    where, audiences = field.child(path, "audiences"), issuer.audiences
    if not audiences:
        return [field.required(where, f"at least one {where} is required")]
    causes: list[Cause] = []
    for number, audience in enumerate(audiences):
        if not audience:
            causes.append(field.required(field.index(where, number)))
        if audience in audiences[:number]:
            causes.append(field.duplicate(field.index(where, number), audience))
    policy, policy_path = issuer.audience_match_policy, field.child(path, "audienceMatchPolicy")
    if len(audiences) > 1 and policy != MATCH_ANY:
        why = "audienceMatchPolicy must be MatchAny for multiple audiences"
        causes.append(field.invalid(policy_path, policy, why))
    elif policy not in ("", MATCH_ANY):
        why = "audienceMatchPolicy must be empty or MatchAny for single audience"
        causes.append(field.invalid(policy_path, policy, why))
    return causes


def _validate_claim_rules(rules: Sequence[ClaimValidationRule], path: str) -> list[Cause]:
    causes: list[Cause] = []
    claims, expressions = set(), set()
    for number, rule in enumerate(rules):
        where = field.index(path, number)
        if rule.claim and rule.expression:
            why = "claim and expression can't both be set"
            causes.append(field.invalid(where, rule.claim, why))
        elif rule.claim:
            if rule.message:
                why = "may not be specified when claim is set"
                causes.append(field.invalid(field.child(where, "message"), rule.message, why))
            if rule.claim in claims:
                causes.append(field.duplicate(field.child(where, "claim"), rule.claim))
            claims.add(rule.claim)
        elif rule.expression:
            if rule.required_value:
                why = "may not be specified when expression is set"
                value_path = field.child(where, "requiredValue")
                causes.append(field.invalid(value_path, rule.required_value, why))
            if rule.expression in expressions:
                causes.append(field.duplicate(field.child(where, "expression"), rule.expression))
            expressions.add(rule.expression)
        else:
            causes.append(field.required(where, "claim or expression is required"))
    return causes


def _validate_mappings(mappings: ClaimMappings, path: str) -> list[Cause]:
    causes: list[Cause] = []
    username_path = field.child(path, "username")
    if not mappings.username.claim and not mappings.username.expression:
        causes.append(field.required(username_path, "claim or expression is required"))
    causes += _validate_prefixed(mappings.username, username_path)
    causes += _validate_prefixed(mappings.groups, field.child(path, "groups"))
    if mappings.uid.claim and mappings.uid.expression:
        why = "claim and expression can't both be set"
        causes.append(field.invalid(field.child(path, "uid"), "", why))
    keys = set()
    for number, mapping in enumerate(mappings.extra):
        where = field.index(field.child(path, "extra"), number)
        key_path = field.child(where, "key")
        causes += _validate_extra_key(mapping.key, key_path)
        if mapping.key in keys:
            causes.append(field.duplicate(key_path, mapping.key))
            continue
        keys.add(mapping.key)
        if not mapping.value_expression:
            causes.append(field.required(field.child(where, "valueExpression")))
    return causes


def _validate_prefixed(mapping: PrefixedClaimOrExpression, path: str) -> list[Cause]:
    if mapping.claim and mapping.expression:
        return [field.invalid(path, "", "claim and expression can't both be set")]
    where = field.child(path, "prefix")
    if mapping.expression and mapping.prefix is not None:
        why = "may not be specified when expression is set"
        return [field.invalid(where, mapping.prefix, why)]
    if mapping.claim and mapping.prefix is None:
        why = (
            "prefix is required when claim is set. It can be set to an empty string to disable "
            "prefixing"
        )
        return [field.required(where, why)]
    return []


def _validate_extra_key(key: str, path: str) -> list[Cause]:
    domain, slash, rest = key.partition("/")
    if not key:
        return [field.required(path)]
    if not slash or not domain or not rest:
        return [field.invalid(path, key, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    causes = [field.invalid(path, domain, why) for why in dns1123_subdomain(domain)]
    if key != key.lower():
        causes.append(field.invalid(path, key, "must be lowercase"))
    if f".{domain}".endswith((".kubernetes.io", ".k8s.io")):
        why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
        causes.append(field.invalid(path, key, why))
    return causes


def _validate_user_rules(rules: Sequence[UserValidationRule], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen = set()
    for number, rule in enumerate(rules):
        where = field.child(field.index(path, number), "expression")
        if not rule.expression:
            causes.append(field.required(where))
        elif rule.expression in seen:
            causes.append(field.duplicate(where, rule.expression))
        seen.add(rule.expression)
    return causes
