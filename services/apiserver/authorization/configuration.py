"""The file of --authorization-config: AuthorizationConfiguration of apiserver.config.k8s.io.

Read strictly: a field that is not known, or given twice, is a mistake.
Source: kube-apiserver v1.36.2, apiserver/pkg/apis/apiserver/v1 (types.go, defaults.go) and
apiserver/pkg/apis/apiserver/validation/validation.go (ValidateAuthorizationConfiguration).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.apiserver.authorization.webhook import WebhookSettings
from services.apiserver.cel import ParseError, Program, compile_expression
from services.apiserver.errors import Cause
from services.apiserver.validation.field import (
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
    too_many,
)
from services.apiserver.validation.names import dns1123_subdomain
from services.apiserver.values.duration import DurationError, parse_duration_s

GROUP = "apiserver.config.k8s.io"
KIND = "AuthorizationConfiguration"
CONFIG_VERSIONS = ("v1", "v1beta1", "v1alpha1")
TYPES = ("AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node")
WEBHOOK = "Webhook"
REVIEW_VERSIONS = ("v1", "v1beta1")
CONDITION_VERSIONS = ("v1",)
FAILURE_POLICIES = ("NoOpinion", "Deny")
CONNECTION_TYPES = ("InClusterConfig", "KubeConfigFile")
MAXIMUM_TIMEOUT_S = 30.0
MAXIMUM_CONDITIONS = 64
IN_CLUSTER = ""
"""The kubeconfig of a webhook that is reached with the pod's own service account."""
AUTHORIZER_FIELDS = ("type", "name", "webhook")
WEBHOOK_FIELDS = (
    "authorizedTTL",
    "cacheAuthorizedRequests",
    "unauthorizedTTL",
    "cacheUnauthorizedRequests",
    "timeout",
    "subjectAccessReviewVersion",
    "matchConditionSubjectAccessReviewVersion",
    "failurePolicy",
    "connectionInfo",
    "matchConditions",
)
DEFAULTS = {"authorizedTTL": "5m", "unauthorizedTTL": "30s"}


class ConfigurationError(ValueError):
    """The file can't be used; the message has a line a mistake."""


@dataclass(frozen=True, slots=True)
class WebhookConfiguration:
    """A webhook's settings, and how it is reached: `kubeconfig` names a file, or IN_CLUSTER."""

    settings: WebhookSettings
    timeout_s: float
    kubeconfig: str


@dataclass(frozen=True, slots=True)
class AuthorizerConfiguration:
    """One authorizer; `webhook` is there for the type Webhook only."""

    type: str
    name: str
    webhook: WebhookConfiguration | None = None


def load(
    path: Path, *, fixed_types: Collection[str] | None = None
) -> list[AuthorizerConfiguration]:
    """Read a file.

    `fixed_types` are the types besides webhooks that it must have, no more and no less: a
    running server exchanges webhooks only.

    Raises:
        ConfigurationError: it can't be read, or is not what it should be.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    try:
        found = parse(text)
    except ConfigurationError as error:
        lines = [f"{path}: {line}" for line in str(error).splitlines()]
        raise ConfigurationError("\n".join(lines)) from error
    types = {one.type for one in found} - {WEBHOOK}
    if fixed_types is not None and types != set(fixed_types):
        raise ConfigurationError(
            f"{path}: authorizers other than webhooks can't change without a restart: "
            f"{', '.join(sorted(fixed_types))} to {', '.join(sorted(types))}"
        )
    return found


def parse(text: str) -> list[AuthorizerConfiguration]:
    """Return the authorizers of a document, in order.

    Raises:
        ConfigurationError: it is not valid.
    """
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"no YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"expected one {KIND}")
    kind, api_version = document.get("kind"), document.get("apiVersion")
    group, _, version = str(api_version).partition("/")
    if kind != KIND or group != GROUP or version not in CONFIG_VERSIONS:
        raise ConfigurationError(
            f"expected kind {KIND} of {GROUP}/{CONFIG_VERSIONS[0]}, got {kind} of {api_version}"
        )
    return _Reader().authorizers(document)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'key "{key.value}" already set in map', key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Reader:
    """Takes a document apart and gathers what is wrong with it."""

    def __init__(self) -> None:
        self._causes: list[Cause] = []

    def authorizers(self, document: dict[str, Any]) -> list[AuthorizerConfiguration]:
        self._know(document, ("kind", "apiVersion", "authorizers"), "")
        entries = self._list(document, "authorizers", "")
        if not entries:
            why = "at least one authorization mode must be defined"
            self._causes.append(required("authorizers", why))
        names: set[str] = set()
        types: set[str] = set()
        found = [
            self._authorizer(one, index("authorizers", number), names, types)
            for number, one in enumerate(entries)
        ]
        if self._causes:
            raise ConfigurationError("\n".join(cause.message for cause in self._causes))
        return found

    def _authorizer(
        self, entry: dict[str, Any], path: str, names: set[str], types: set[str]
    ) -> AuthorizerConfiguration:
        self._know(entry, AUTHORIZER_FIELDS, path)
        kind, name = self._text(entry, "type", path), self._text(entry, "name", path)
        kind_path, name_path = child(path, "type"), child(path, "name")
        if not kind:
            self._causes.append(required(kind_path))
        elif kind not in TYPES:
            self._causes.append(not_supported(kind_path, kind, TYPES))
        elif kind in types and kind != WEBHOOK:
            self._causes.append(duplicate(kind_path, kind))
        types.add(kind)
        if not name:
            self._causes.append(required(name_path))
        elif name in names:
            self._causes.append(duplicate(name_path, name))
        else:
            self._causes += [invalid(name_path, name, why) for why in dns1123_subdomain(name)]
        names.add(name)
        webhook = entry.get("webhook")
        webhook_path = child(path, "webhook")
        if kind != WEBHOOK:
            if webhook is not None:
                why = "may only be specified when type=Webhook"
                self._causes.append(invalid(webhook_path, "non-null", why))
            return AuthorizerConfiguration(kind, name)
        if not isinstance(webhook, dict):
            self._causes.append(required(webhook_path, "required when type=Webhook"))
            return AuthorizerConfiguration(kind, name)
        return AuthorizerConfiguration(kind, name, self._webhook(webhook, webhook_path))

    def _webhook(self, value: dict[str, Any], path: str) -> WebhookConfiguration:
        self._know(value, WEBHOOK_FIELDS, path)
        value = DEFAULTS | {name: one for name, one in value.items() if one is not None}
        timeout_s = self._duration(value, "timeout", path)
        if timeout_s is not None and not 0 < timeout_s <= MAXIMUM_TIMEOUT_S:
            where = child(path, "timeout")
            self._causes.append(invalid(where, value["timeout"], "must be > 0s and <= 30s"))
        policy = self._choice(value, "failurePolicy", FAILURE_POLICIES, path)
        version = self._choice(value, "subjectAccessReviewVersion", REVIEW_VERSIONS, path)
        conditions = self._conditions(value, path)
        settings = WebhookSettings(
            version=version,
            authorized_ttl_s=self._ttl(value, "authorizedTTL", "cacheAuthorizedRequests", path),
            unauthorized_ttl_s=self._ttl(
                value, "unauthorizedTTL", "cacheUnauthorizedRequests", path
            ),
            denies_on_error=policy == "Deny",
            conditions=conditions,
        )
        return WebhookConfiguration(settings, timeout_s or 0.0, self._connection(value, path))

    def _ttl(self, value: dict[str, Any], name: str, switch: str, path: str) -> float:
        ttl_s = self._duration(value, name, path)
        if ttl_s is not None and ttl_s <= 0:
            self._causes.append(invalid(child(path, name), value[name], "must be > 0s"))
        keeps = value.get(switch, True)
        if not isinstance(keeps, bool):
            self._causes.append(invalid(child(path, switch), keeps, "must be true or false"))
        return (ttl_s or 0.0) if keeps else 0.0

    def _conditions(self, value: dict[str, Any], path: str) -> tuple[Program, ...]:
        entries = self._list(value, "matchConditions", path)
        where = child(path, "matchConditions")
        name = "matchConditionSubjectAccessReviewVersion"
        version = self._text(value, name, path)
        if version and version not in CONDITION_VERSIONS:
            self._causes.append(not_supported(child(path, name), version, CONDITION_VERSIONS))
        if entries and not version:
            why = "required if match conditions are specified"
            self._causes.append(required(child(path, name), why))
        if len(entries) > MAXIMUM_CONDITIONS:
            self._causes.append(too_many(where, len(entries), MAXIMUM_CONDITIONS))
            return ()
        programs: list[Program] = []
        seen: set[str] = set()
        for number, entry in enumerate(entries):
            at = child(index(where, number), "expression")
            self._know(entry, ("expression",), index(where, number))
            expression = self._text(entry, "expression", index(where, number))
            if not expression.strip():
                self._causes.append(required(at))
                continue
            if expression in seen:
                self._causes.append(duplicate(at, expression))
                continue
            seen.add(expression)
            try:
                programs.append(compile_expression(expression, ("request",)))
            except ParseError as error:
                self._causes.append(invalid(at, expression, f"compilation failed: {error}"))
        return tuple(programs)

    def _connection(self, value: dict[str, Any], path: str) -> str:
        where = child(path, "connectionInfo")
        connection = value.get("connectionInfo")
        if not isinstance(connection, dict):
            self._causes.append(required(child(where, "type")))
            return IN_CLUSTER
        self._know(connection, ("type", "kubeConfigFile"), where)
        kind = self._choice(connection, "type", CONNECTION_TYPES, where)
        file = self._text(connection, "kubeConfigFile", where)
        file_path = child(where, "kubeConfigFile")
        if kind == "InClusterConfig" and file:
            why = "can only be set when type=KubeConfigFile"
            self._causes.append(invalid(file_path, file, why))
        elif kind == "KubeConfigFile":
            if not file:
                self._causes.append(required(file_path))
            elif not Path(file).is_absolute():
                self._causes.append(invalid(file_path, file, "must be an absolute path"))
            elif not Path(file).is_file():
                self._causes.append(invalid(file_path, file, "must be a regular file"))
            return file
        return IN_CLUSTER

    # -- values ----------------------------------------------------------------------

    def _know(self, value: Mapping[str, Any], names: Collection[str], path: str) -> None:
        for name in value:
            if name not in names:
                self._causes.append(Cause("", f'unknown field "{child(path, str(name))}"'))

    def _text(self, value: Mapping[str, Any], name: str, path: str) -> str:
        text = value.get(name)
        if text is None:
            return ""
        if not isinstance(text, str):
            self._causes.append(invalid(child(path, name), text, "must be a string"))
            return ""
        return text

    def _choice(
        self, value: Mapping[str, Any], name: str, choices: Collection[str], path: str
    ) -> str:
        text = self._text(value, name, path)
        if not text:
            self._causes.append(required(child(path, name)))
        elif text not in choices:
            self._causes.append(not_supported(child(path, name), text, sorted(choices)))
        return text

    def _duration(self, value: Mapping[str, Any], name: str, path: str) -> float | None:
        """Return seconds; None where that has been complained of."""
        text = self._text(value, name, path)
        if not text:
            self._causes.append(required(child(path, name)))
            return None
        try:
            return parse_duration_s(text)
        except DurationError as error:
            self._causes.append(invalid(child(path, name), text, str(error)))
            return None

    def _list(self, value: Mapping[str, Any], name: str, path: str) -> list[dict[str, Any]]:
        entries = value.get(name) or []
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            self._causes.append(invalid(child(path, name), entries, "must be a list of objects"))
            return []
        return entries
