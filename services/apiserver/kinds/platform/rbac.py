"""Roles, ClusterRoles and their bindings; who may grant them is authorization's affair.

Source: kube-apiserver v1.36.2, pkg/registry/rbac/*/strategy.go,
pkg/apis/rbac/validation/validation.go, pkg/apis/rbac/v1/defaults.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import follows, metadata_again, required_name
from services.apiserver.registry.strategy import Object, Strategy, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.metadata import validate_label_selector
from services.apiserver.validation.names import dns1123_subdomain, path_segment

GROUP = "rbac.authorization.k8s.io"
SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


class _RbacStrategy(Strategy):
    create_on_update = True

    def validate_name(self, name: str) -> list[str]:
        return path_segment(name)


class RoleStrategy(_RbacStrategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_rules(obj.get("rules") or [], namespaced=True)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + self.validate_create(ctx, obj)


class ClusterRoleStrategy(_RbacStrategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_cluster_role(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        was_bad = any(validate_label_selector(selector, "") for selector in _selectors(old))
        return metadata_again(self, obj, old) + _validate_cluster_role(
            obj, check_values=not was_bad
        )


def _selectors(obj: Object) -> list[Object]:
    found: list[Object] = (obj.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
    return found


def _validate_cluster_role(obj: Object, *, check_values: bool = True) -> list[Cause]:
    found = _validate_rules(obj.get("rules") or [], namespaced=False)
    if obj.get("aggregationRule") is None:
        return found
    path, selectors = "aggregationRule.clusterRoleSelectors", _selectors(obj)
    if not selectors:
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        found.append(required(path, detail))
    for number, selector in enumerate(selectors):
        at = index(path, number)
        wrong = validate_label_selector(selector, at, check_values=check_values)
        found += wrong
        # What cannot become a selector is refused once more as a whole.
        if wrong or validate_label_selector(selector, at):
            found.append(invalid(at, selector, "invalid label selector."))
    return found


def _validate_rules(rules: list[Object], *, namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    for number, rule in enumerate(rules):
        at = index("rules", number)
        if not rule.get("verbs"):
            found.append(required(child(at, "verbs"), "verbs must contain at least one value"))
        urls, path = rule.get("nonResourceURLs"), child(at, "nonResourceURLs")
        if urls:
            if namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                found.append(invalid(path, urls, detail))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(invalid(path, urls, detail))
            continue
        if not rule.get("apiGroups"):
            detail = "resource rules must supply at least one api group"
            found.append(required(child(at, "apiGroups"), detail))
        if not rule.get("resources"):
            detail = "resource rules must supply at least one resource"
            found.append(required(child(at, "resources"), detail))
    return found


class _BindingStrategy(_RbacStrategy):
    role_kinds: tuple[str, ...]
    namespaced: bool

    def default(self, obj: Object) -> None:
        reference = obj.setdefault("roleRef", {})
        if not reference.get("apiGroup"):
            reference["apiGroup"] = GROUP
        for subject in obj.get("subjects") or ():
            if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = GROUP

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        reference = obj["roleRef"]
        found: list[Cause] = []
        group, kind = reference.get("apiGroup", ""), reference.get("kind", "")
        if group != GROUP:
            found.append(not_supported("roleRef.apiGroup", group, (GROUP,)))
        if kind not in self.role_kinds:
            found.append(not_supported("roleRef.kind", kind, self.role_kinds))
        found += required_name("roleRef.name", reference.get("name", ""), path_segment)
        for number, subject in enumerate(obj.get("subjects") or ()):
            found += _validate_subject(subject, index("subjects", number), self.namespaced)
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = metadata_again(self, obj, old) + self.validate_create(ctx, obj)
        if obj["roleRef"] != old.get("roleRef"):
            found.append(invalid("roleRef", obj["roleRef"], "cannot change roleRef"))
        return found


class RoleBindingStrategy(_BindingStrategy):
    role_kinds = ("Role", "ClusterRole")
    namespaced = True


class ClusterRoleBindingStrategy(_BindingStrategy):
    role_kinds = ("ClusterRole",)
    namespaced = False


def _validate_subject(subject: Object, path: str, namespaced: bool) -> list[Cause]:
    kind, group, name = (subject.get(field, "") for field in ("kind", "apiGroup", "name"))
    found = [] if name else [required(child(path, "name"))]
    if kind == "ServiceAccount":
        if name:
            found += follows(child(path, "name"), name, dns1123_subdomain)
        if group:
            found.append(not_supported(child(path, "apiGroup"), group, ("",)))
        if not namespaced and not subject.get("namespace"):
            found.append(required(child(path, "namespace")))
    elif kind in ("User", "Group"):
        if group != GROUP:
            found.append(not_supported(child(path, "apiGroup"), group, (GROUP,)))
    else:
        found.append(not_supported(child(path, "kind"), kind, SUBJECT_KINDS))
    return found


RBAC_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    (GROUP, "clusterrolebindings"): ClusterRoleBindingStrategy,
    (GROUP, "clusterroles"): ClusterRoleStrategy,
    (GROUP, "rolebindings"): RoleBindingStrategy,
    (GROUP, "roles"): RoleStrategy,
}
