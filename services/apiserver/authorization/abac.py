"""ABAC: a user may what a line of a file says.

The file has a JSON object a line: a Policy of abac.authorization.kubernetes.io/v1beta1, or one
without kind and version, which is the older form.
Source: kube-apiserver v1.36.2, pkg/auth/authorizer/abac/abac.go and pkg/apis/abac
(v0/conversion.go, v1beta1/conversion.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from services.apiserver.authorization.authorizer import ALWAYS, Decision, Rule, UserRules
from services.apiserver.requestinfo import RequestInfo, UserInfo

API_VERSION = "abac.authorization.kubernetes.io/v1beta1"
ALL = "*"
ALL_AUTHENTICATED = "system:authenticated"
READING = ("get", "list", "watch")
TEXTS = ("user", "group", "namespace", "resource", "apiGroup", "nonResourcePath")


class PolicyFileError(ValueError):
    """The file can't be used; the message names it and the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One line. What is "" matches nothing, "*" everything; a path may end in "*"."""

    user: str = ""
    group: str = ""
    readonly: bool = False
    api_group: str = ""
    resource: str = ""
    namespace: str = ""
    non_resource_path: str = ""

    def is_about(self, user: UserInfo) -> bool:
        if self.user and self.user not in (ALL, user.name):
            return False
        if self.group and self.group != ALL and self.group not in user.groups:
            return False
        return bool(self.user or self.group)

    def covers(self, info: RequestInfo) -> bool:
        if self.readonly and info.verb not in READING:
            return False
        if info.is_resource_request:
            return (
                self.namespace in (ALL, info.namespace)
                and self.resource in (ALL, info.resource)
                and self.api_group in (ALL, info.group)
            )
        path = self.non_resource_path
        if path.endswith(ALL):
            return info.path.startswith(path.rstrip(ALL))
        return path == info.path

    def rules(self) -> Iterator[Rule]:
        verbs = list(READING) if self.readonly else [ALL]
        if self.resource:
            yield {"verbs": verbs, "apiGroups": [self.api_group], "resources": [self.resource]}
        if self.non_resource_path:
            yield {"verbs": verbs, "nonResourceURLs": [self.non_resource_path]}


class AbacAuthorizer:
    """Decides by the lines of a file, in order."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        if any(one.is_about(user) and one.covers(info) for one in self._policies):
            return ALWAYS
        return Decision(False, "No policy matched.")

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return UserRules(
            [
                rule
                for one in self._policies
                if one.is_about(user) and one.namespace in (ALL, namespace)
                for rule in one.rules()
            ]
        )


def read_policy_file(path: Path) -> list[Policy]:
    """Return the policies of a file; empty lines and those that begin with "#" are passed over.

    Raises:
        PolicyFileError: the file is not there, or a line is no policy.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyFileError(f"{path}: {error}") from error
    policies = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            policies.append(parse_policy(line))
        except ValueError as error:
            raise PolicyFileError(f"{path}, line {number}: {error}") from error
    return policies


def parse_policy(line: str) -> Policy:
    """Return the policy of one line.

    Raises:
        ValueError: it is none.
    """
    value = orjson.loads(line)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if "kind" not in value and "apiVersion" not in value:
        return _older_policy(value)
    kind, version = value.get("kind"), value.get("apiVersion")
    if (kind, version) != ("Policy", API_VERSION):
        raise ValueError(f"unrecognized version or kind: {version}, {kind}")
    spec = value.get("spec", {})
    if not isinstance(spec, dict):
        raise ValueError("spec is not an object")
    fields = _fields(spec)
    if ALL in (fields["user"], fields["group"]):
        fields["group"] = ALL_AUTHENTICATED
    return _policy(fields)


def _older_policy(value: dict[str, Any]) -> Policy:
    """Return a policy of the form that knows no versions: what is left out there is anything."""
    fields = _fields(value)
    if ALL in (fields["user"], fields["group"]) or not (fields["user"] or fields["group"]):
        fields["group"] = ALL_AUTHENTICATED
    anywhere = not fields["namespace"] and not fields["resource"]
    return _policy(
        {
            **fields,
            "namespace": fields["namespace"] or ALL,
            "resource": fields["resource"] or ALL,
            "apiGroup": ALL,
            "nonResourcePath": ALL if anywhere else "",
        }
    )


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {name: value.get(name) or "" for name in TEXTS}
    for name, text in out.items():
        if not isinstance(text, str):
            raise ValueError(f"{name} is not a string")
    out["readonly"] = value.get("readonly") or False
    if not isinstance(out["readonly"], bool):
        raise ValueError("readonly is not true or false")
    return out


def _policy(fields: dict[str, Any]) -> Policy:
    return Policy(
        user=fields["user"],
        group=fields["group"],
        readonly=fields["readonly"],
        api_group=fields["apiGroup"],
        resource=fields["resource"],
        namespace=fields["namespace"],
        non_resource_path=fields["nonResourcePath"],
    )
