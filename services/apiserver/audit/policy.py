"""The audit policy: which requests are recorded, and how much of them.

Source: kube-apiserver v1.36.2, apiserver/pkg/audit/policy (checker.go, reader.go) and
apiserver/pkg/apis/audit/validation.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.apiserver.audit.recording import LEVELS, STAGES, Level, Recording
from services.apiserver.authorization.authorizer import aggregate
from services.apiserver.errors import Cause
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.validation import field
from services.apiserver.validation.names import dns1123_subdomain

log = logging.getLogger("kubefan.apiserver")

API_VERSION = "audit.k8s.io/v1"
LIMIT_REMEMBERED = 4096
"""Decisions kept; all are forgotten when there are more."""
LIMIT_PATH = 1024
"""Characters of a path, and so of what it names; about longer ones the rules are asked each time,
or anybody could fill the memory with them."""


class PolicyError(ValueError):
    """The policy file can't be used; the message says why, as kube-apiserver does."""


@dataclass(frozen=True, slots=True)
class GroupResources:
    """Resources of one API group; no `resources` means all of it.

    Patterns: «pods», «pods/log», «*», «*/status» and «pods/*», which is pods itself as well.
    """

    group: str
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def match(self, info: RequestInfo) -> bool:
        if self.group not in (info.group, "*"):
            return False
        wanted = self.resources
        if not wanted:
            return True
        if self.names and info.name not in self.names:
            return False
        resource, subresource = info.resource, info.subresource
        return (
            "*" in wanted
            or (f"{resource}/{subresource}" if subresource else resource) in wanted
            or f"{resource}/*" in wanted
            or (bool(subresource) and f"*/{subresource}" in wanted)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; what is empty matches everything."""

    recording: Recording
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[GroupResources, ...] = ()
    paths: tuple[str, ...] = ()

    def match(self, user: UserInfo | None, info: RequestInfo) -> bool:
        """Whether the rule is about the request; `user` is None where nobody was found."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not info.is_resource_request:
                return False
            # What has no namespace has the empty one.
            if self.namespaces and info.namespace not in self.namespaces:
                return False
            return not self.resources or any(one.match(info) for one in self.resources)
        if self.paths:
            return not info.is_resource_request and any(
                path_matches(info.path, pattern) for pattern in self.paths
            )
        return True


def path_matches(path: str, pattern: str) -> bool:
    """Whether a path is meant by «*», by itself, or by its beginning and a «*»."""
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


class Policy:
    """The rules in order; the first that matches decides.

    Decisions are remembered by what the rules can see of a request: rules are asked once for
    each kind of request of a user, which costs 0.5 us then, whatever their number.
    """

    def __init__(self, rules: Sequence[Rule], otherwise: Recording) -> None:
        self._rules = rules
        self._otherwise = otherwise
        self._by_name = any(one.names for rule in rules for one in rule.resources)
        self._by_namespace = any(rule.namespaces for rule in rules)
        self._remembered: dict[Hashable, Recording] = {}

    def recording(self, user: UserInfo | None, info: RequestInfo) -> Recording:
        """Return what is recorded; `user` is None where authentication found nobody."""
        name, groups = (None, None) if user is None else (user.name, user.groups)
        key: Hashable
        if self._by_name or not info.is_resource_request:
            # The path tells apart all that rules see, but for a name that is selected.
            key = (name, groups, info.verb, info.path, info.name)
        else:
            namespace = info.namespace if self._by_namespace else ""
            key = (
                name, groups, info.verb, info.group, info.resource, info.subresource, namespace,
            )  # fmt: skip
        remembered = self._remembered.get(key)
        if remembered is None:
            remembered = self._decide(user, info)
            if len(info.path) <= LIMIT_PATH:
                if len(self._remembered) >= LIMIT_REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = remembered
        return remembered

    def _decide(self, user: UserInfo | None, info: RequestInfo) -> Recording:
        for rule in self._rules:
            if rule.match(user, info):
                return rule.recording
        return self._otherwise


def load_policy(path: Path) -> Policy:
    """Return the policy in a file.

    Raises:
        PolicyError: it can't be read, is no policy, or has wrong values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PolicyError(
            f'loading audit policy file: failed to read file path "{path}": open {path}: {reason}'
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"loading audit policy file: failed decoding: {error}") from error
    try:
        return read_policy(text)
    except PolicyError as error:
        raise PolicyError(f"loading audit policy file: {error}: from file {path}") from error


def read_policy(text: str) -> Policy:
    """Return the policy that a YAML (or JSON) text describes.

    Raises:
        PolicyError: see `load_policy`.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PolicyError(f"failed decoding: error converting YAML to JSON: {error}") from error
    if not isinstance(document, dict) or not document.get("kind"):
        raise PolicyError("failed decoding: Object 'Kind' is missing")
    api_version, kind = document.get("apiVersion"), document["kind"]
    if not api_version:
        raise PolicyError("failed decoding: Object 'apiVersion' is missing")
    if api_version != API_VERSION or kind != "Policy":
        raise PolicyError(
            f'failed decoding: no kind "{kind}" is registered for version "{api_version}"'
        )
    fields = _Fields(document, "")
    fields.drop("apiVersion", "kind", "metadata")
    everywhere = fields.strings("omitStages")
    omit_managed_fields = fields.boolean("omitManagedFields") or False
    rules = [_ReadRule(_Fields(one, f"rules[{i}]")) for i, one in enumerate(fields.list("rules"))]
    unknown = [*fields.unknown(), *(name for rule in rules for name in rule.unknown)]
    if unknown:
        log.warning("the audit policy has fields that nothing reads", extra={"fields": unknown})
    mistakes = [*_stage_mistakes(everywhere, "omitStages")]
    for number, rule in enumerate(rules):
        mistakes += rule.mistakes(field.index("rules", number))
    if mistakes:
        raise PolicyError(aggregate([cause.message for cause in mistakes]))
    if not rules:
        raise PolicyError("loaded illegal policy with 0 rules")
    return Policy(
        tuple(rule.compiled(everywhere, omit_managed_fields) for rule in rules),
        Recording(Level.NONE, frozenset(everywhere), omit_managed_fields),
    )


class _Fields:
    """Reads the fields of one object by type, and knows which nobody has read."""

    def __init__(self, value: Any, path: str) -> None:
        if value is not None and not isinstance(value, dict):
            raise PolicyError(f"failed decoding: {path}: not an object")
        self._left: dict[str, Any] = dict(value or {})
        self._path = path

    def drop(self, *names: str) -> None:
        for name in names:
            self._left.pop(name, None)

    def unknown(self) -> list[str]:
        return [field.child(self._path, str(name)) for name in self._left]

    def string(self, name: str) -> str:
        value = self._left.pop(name, None)
        # YAML reads «level: None» as a string, but ~ and nothing as null.
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value or ""

    def boolean(self, name: str) -> bool | None:
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "a boolean")
        return value

    def list(self, name: str) -> list[Any]:
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value or []

    def strings(self, name: str) -> tuple[str, ...]:
        values = self.list(name)
        if not all(isinstance(one, str) for one in values):
            raise self._wrong(name, "a list of strings")
        return tuple(values)

    def _wrong(self, name: str, wanted: str) -> PolicyError:
        return PolicyError(f"failed decoding: {field.child(self._path, name)}: not {wanted}")


class _ReadRule:
    """A rule as it was read, before anybody has said that its values are right."""

    def __init__(self, fields: _Fields) -> None:
        self._level = fields.string("level")
        self._users = fields.strings("users")
        self._groups = fields.strings("userGroups")
        self._verbs = fields.strings("verbs")
        self._namespaces = fields.strings("namespaces")
        self._paths = fields.strings("nonResourceURLs")
        self._omit_stages = fields.strings("omitStages")
        self._omit_managed_fields = fields.boolean("omitManagedFields")
        self._resources: list[GroupResources] = []
        inner: list[str] = []
        for one in fields.list("resources"):
            resource = _Fields(one, "resources")
            self._resources.append(
                GroupResources(
                    resource.string("group"),
                    frozenset(resource.strings("resources")),
                    frozenset(resource.strings("resourceNames")),
                )
            )
            inner += resource.unknown()
        self.unknown = [*fields.unknown(), *inner]

    def mistakes(self, path: str) -> Iterable[Cause]:
        at = field.child(path, "level")
        if not self._level:
            yield field.required(at)
        elif self._level not in LEVELS:
            yield field.not_supported(at, self._level, LEVELS)
        yield from _path_mistakes(self._paths, field.child(path, "nonResourceURLs"))
        yield from _resource_mistakes(self._resources, field.child(path, "resources"))
        yield from _stage_mistakes(self._omit_stages, field.child(path, "omitStages"))
        if self._paths and (self._resources or self._namespaces):
            yield field.invalid(
                field.child(path, "nonResourceURLs"),
                list(self._paths),
                "rules cannot apply to both regular resources and non-resource URLs",
            )

    def compiled(self, omit_stages: Sequence[str], omit_managed_fields: bool) -> Rule:
        own = self._omit_managed_fields
        return Rule(
            Recording(
                LEVELS[self._level],
                frozenset((*omit_stages, *self._omit_stages)),
                omit_managed_fields if own is None else own,
            ),
            frozenset(self._users),
            frozenset(self._groups),
            frozenset(self._verbs),
            frozenset(self._namespaces),
            tuple(self._resources),
            self._paths,
        )


def _path_mistakes(paths: Sequence[str], at: str) -> Iterable[Cause]:
    for number, path in enumerate(paths):
        if path == "*":
            continue
        here = field.index(at, number)
        if not path.startswith("/"):
            yield field.invalid(
                here, path, "non-resource URL rules must begin with a '/' character"
            )
        if "*" in path[:-1]:
            yield field.invalid(
                here,
                path,
                "non-resource URL wildcards '*' must be the final character of the rule",
            )


def _resource_mistakes(resources: Sequence[GroupResources], at: str) -> Iterable[Cause]:
    for one in resources:
        if one.group not in ("", "*"):
            messages = dns1123_subdomain(one.group)
            if messages:
                yield field.invalid(field.child(at, "group"), one.group, ",".join(messages))
        if one.names and not one.resources:
            yield field.invalid(
                field.child(at, "resourceNames"),
                sorted(one.names),
                "using resourceNames requires at least one resource",
            )


def _stage_mistakes(stages: Sequence[str], at: str) -> Iterable[Cause]:
    for number, stage in enumerate(stages):
        if stage not in STAGES:
            yield field.invalid(
                field.index(at, number), stage, f"allowed stages are {','.join(STAGES)}"
            )
