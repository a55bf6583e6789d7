"""RoleIndex: roles by name and bindings by subject, kept up with the watch cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.apiserver.authorization.authorizer import Decision
from services.apiserver.authorization.followed import Followed, Source
from services.apiserver.authorization.rules import RuleSet
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import UserInfo

GROUP = "rbac.authorization.k8s.io"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

Subject = tuple[str, str]
"""("User" or "Group", name). A service account is the user that it authenticates as."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding or ClusterRoleBinding, as far as decisions need it."""

    namespace: str
    name: str
    role_kind: str
    role_name: str
    subjects: tuple[tuple[Subject, Decision], ...]
    """Each subject with the permission that names it. Made here: made for each decision, it
    would be a quarter of its time."""

    @property
    def role(self) -> tuple[str, str]:
        """The namespace ("" for a ClusterRole) and name of the role."""
        return (self.namespace if self.role_kind == "Role" else "", self.role_name)

    def permission_for(self, user: UserInfo) -> Decision:
        """Return the permission that this binding gives to `user`, who is one of its subjects."""
        if len(self.subjects) == 1:
            return self.subjects[0][1]
        own = subjects_of(user.name, user.groups)
        return next(decision for key, decision in self.subjects if key in own)


def subjects_of(name: str, groups: tuple[str, ...]) -> tuple[Subject, ...]:
    """Return the subjects that a user is: itself and its groups."""
    return (("User", name), *(("Group", group) for group in groups))


class RoleIndex:
    """Answers which roles a user has, from four resources of the watch cache."""

    def __init__(
        self,
        *,
        roles: Source,
        cluster_roles: Source,
        role_bindings: Source,
        cluster_role_bindings: Source,
    ) -> None:
        self._roles: dict[tuple[str, str], RuleSet] = {}
        # By namespace ("" for ClusterRoleBindings), then by subject, then by key.
        self._bindings: dict[str, dict[Subject, dict[bytes, Binding]]] = {}
        self._version = 0
        self._followed = (
            Followed(roles, _named_rules, self._role_changed),
            Followed(cluster_roles, _named_rules, self._role_changed),
            Followed(role_bindings, _binding, self._binding_changed),
            Followed(cluster_role_bindings, _binding, self._binding_changed),
        )

    def __repr__(self) -> str:
        return f"<RoleIndex {len(self._roles)} roles, bindings in {len(self._bindings)} scopes>"

    def catch_up(self) -> int:
        """Take in all that the cache shows; return a number that changes with any of it."""
        for followed in self._followed:
            if followed.catch_up():
                self._version += 1
        return self._version

    def role(self, namespace: str, name: str) -> RuleSet | None:
        """Return a Role's rules, or with "" a ClusterRole's; None if it is not there."""
        self.catch_up()
        return self._roles.get((namespace, name))

    def bindings(self, user: UserInfo, namespace: str) -> Iterator[tuple[Binding, RuleSet | None]]:
        """Yield the bindings that hold for a user in a namespace ("" for none), cluster-wide
        ones first, each with the rules of its role, None where the role is not there."""
        self.catch_up()
        subjects = subjects_of(user.name, user.groups)
        for scope in ("", namespace) if namespace else ("",):
            by_subject = self._bindings.get(scope)
            if by_subject is None:
                continue
            seen: set[bytes] = set()
            for subject in subjects:
                for key, binding in by_subject.get(subject, _NO_BINDINGS).items():
                    if key not in seen:
                        seen.add(key)
                        yield binding, self._roles.get(binding.role)

    def _role_changed(self, key: bytes, old: _NamedRules | None, new: _NamedRules | None) -> None:
        if old is not None:
            self._roles.pop(old.name, None)
        if new is not None:
            self._roles[new.name] = new.rules

    def _binding_changed(self, key: bytes, old: Binding | None, new: Binding | None) -> None:
        if old is not None:
            scope = self._bindings[old.namespace]
            for subject in {subject for subject, _ in old.subjects}:
                of_subject = scope[subject]
                del of_subject[key]
                if not of_subject:
                    del scope[subject]
            if not scope:
                del self._bindings[old.namespace]
        if new is not None:
            scope = self._bindings.setdefault(new.namespace, {})
            for subject in {subject for subject, _ in new.subjects}:
                scope.setdefault(subject, {})[key] = new
            if not scope:
                del self._bindings[new.namespace]


_NO_BINDINGS: dict[bytes, Binding] = {}


@dataclass(frozen=True, slots=True)
class _NamedRules:
    name: tuple[str, str]
    rules: RuleSet


def _named_rules(obj: Object) -> _NamedRules:
    meta = obj["metadata"]
    return _NamedRules((meta.get("namespace", ""), meta["name"]), RuleSet(obj.get("rules") or ()))


def _binding(obj: Object) -> Binding:
    meta, reference = obj["metadata"], obj["roleRef"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    role_kind, role_name = reference.get("kind", ""), reference.get("name", "")
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    where = f"{name}/{namespace}" if namespace else name
    head = f'RBAC: allowed by {kind} "{where}" of {role_kind} "{role_name}" to '
    subjects = [_subject(one, namespace) for one in obj.get("subjects") or ()]
    return Binding(
        namespace,
        name,
        role_kind,
        role_name,
        tuple((one[0], Decision(True, head + one[1])) for one in subjects if one is not None),
    )


def _subject(subject: dict[str, Any], namespace: str) -> tuple[Subject, str] | None:
    """Return a binding's subject and its description; None for one that nobody is."""
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind in ("User", "Group"):
        return (kind, name), f'{kind} "{name}"'
    namespace = subject.get("namespace") or namespace
    if kind == "ServiceAccount" and namespace:
        user = f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"
        return ("User", user), f'ServiceAccount "{name}/{namespace}"'
    return None
