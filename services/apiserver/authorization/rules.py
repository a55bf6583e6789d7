"""Rules of Roles: what they match, and which rights cover which others.

Source: kube-apiserver v1.36.2, pkg/apis/rbac/v1/evaluation_helpers.go and
component-helpers/auth/rbac/validation/policy_comparator.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from services.apiserver.authorization.authorizer import Rule
from services.apiserver.requestinfo import RequestInfo

_Grant = tuple[frozenset[str], frozenset[str]]
"""Verbs and resource names of a rule; no names are all names."""


class RuleSet:
    """The rules of one role, so arranged that a decision does not walk them all."""

    __slots__ = ("_grants", "_paths", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._grants: dict[tuple[str, str], list[_Grant]] = {}
        self._paths: list[tuple[str, frozenset[str]]] = []
        for rule in rules:
            verbs = frozenset(rule.get("verbs") or ())
            grant = (verbs, frozenset(rule.get("resourceNames") or ()))
            for group in rule.get("apiGroups") or ():
                for resource in rule.get("resources") or ():
                    self._grants.setdefault((group, resource), []).append(grant)
            self._paths += [(url, verbs) for url in rule.get("nonResourceURLs") or ()]

    def allows(self, info: RequestInfo) -> bool:
        """Whether a rule allows what `info` says."""
        if not info.is_resource_request:
            return any(
                (info.verb in verbs or "*" in verbs) and matches_path(url, info.path)
                for url, verbs in self._paths
            )
        return any(not names or info.name in names for names in self.grants(info))

    def grants(self, info: RequestInfo) -> Iterator[frozenset[str]]:
        """Yield, for each rule that allows such a request for a resource, the names it allows it
        for; no names are all names."""
        grants, verb = self._grants, info.verb
        for key in _rule_keys(info.group, info.resource, info.subresource):
            for verbs, names in grants.get(key, ()):
                if verb in verbs or "*" in verbs:
                    yield names


def matches_path(pattern: str, path: str) -> bool:
    """Whether a nonResourceURL pattern covers `path`; only a trailing "*" is special."""
    if pattern.endswith("*"):
        return path.startswith(pattern.rstrip("*"))
    return path == pattern


def _rule_keys(group: str, resource: str, subresource: str) -> tuple[tuple[str, str], ...]:
    """Return the (apiGroup, resource) pairs of rules that cover a resource or subresource."""
    resources = [resource, "*"]
    if subresource:
        resources = [f"{resource}/{subresource}", "*", f"*/{subresource}"]
    return tuple((one, each) for one in (group, "*") for each in resources)


def missing_rights(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return the parts of `wanted`, of one verb and one thing each, that no owned rule covers."""
    parts = [part for rule in wanted for part in _broken_down(rule)]
    return [part for part in parts if not any(_covers(rule, part) for rule in owned)]


def _broken_down(rule: Rule) -> Iterator[Rule]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                part = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                names = rule.get("resourceNames")
                if not names:
                    yield part
                for name in names or ():
                    yield {**part, "resourceNames": [name]}
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [url]}


def _covers(rule: Rule, part: Rule) -> bool:
    """Whether `rule` gives the one right that `part` is."""
    verbs = rule.get("verbs") or ()
    if part["verbs"][0] not in verbs and "*" not in verbs:
        return False
    if "nonResourceURLs" in part:
        path = part["nonResourceURLs"][0]
        return any(matches_path(url, path) for url in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if part["apiGroups"][0] not in groups and "*" not in groups:
        return False
    resource = part["resources"][0]
    resources = rule.get("resources") or ()
    _, slash, subresource = resource.partition("/")
    if not (
        resource in resources or "*" in resources or (slash and f"*/{subresource}" in resources)
    ):
        return False
    names = rule.get("resourceNames") or ()
    if not names:
        return True
    return part.get("resourceNames", [None])[0] in names


def described(rule: Rule) -> str:
    """Return a rule in one line, its fields in the order and form kube-apiserver prints."""
    fields = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    )
    shown = [
        f"{title}:[{' '.join(_quoted(value) for value in rule[name])}]"
        for title, name in fields
        if rule.get(name)
    ]
    return f"{{{', '.join(shown)}}}"


def _quoted(text: str) -> str:
    return f'"{text}"'
