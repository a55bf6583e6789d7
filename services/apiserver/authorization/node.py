"""Node: a kubelet may what its node and the pods on it need.

What a kubelet writes is looked at by the admission plugin NodeRestriction; here only the
request's attributes are known.
Source: kube-apiserver v1.36.2, plugin/pkg/auth/authorizer/node/node_authorizer.go and
pkg/auth/nodeidentifier/default.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.apiserver.authorization.authorizer import (
    ALWAYS,
    NO_OPINION,
    Decision,
    Rule,
    UserRules,
)
from services.apiserver.authorization.nodegraph import NodeGraph
from services.apiserver.authorization.rules import RuleSet
from services.apiserver.requestinfo import RequestInfo, UserInfo

NODE_PREFIX = "system:node:"
NODES = "system:nodes"
LEASE_NAMESPACE = "kube-node-lease"
IN_GRAPH = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "resourceclaims",
        "resourceslices",
        "secrets",
        "serviceaccounts",
        "volumeattachments",
    }
)
"""The resources that are a node's by what refers to them."""
OWN_OBJECT_VERBS = ("get", "create", "update", "patch", "delete")


def node_identity(user: UserInfo) -> str | None:
    """Return the node that a user is, "" if it does not say which; None for other users."""
    if not user.name.startswith(NODE_PREFIX) or NODES not in user.groups:
        return None
    return user.name[len(NODE_PREFIX) :]


class NodeAuthorizer:
    """Decides by the graph, and by the rules that hold for all nodes alike."""

    def __init__(self, graph: NodeGraph, rules: Sequence[Rule]) -> None:
        self._graph = graph
        self._rules = RuleSet(rules)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        node = node_identity(user)
        if node is None:
            return NO_OPINION
        if not node:
            return Decision(False, f'unknown node for user "{user.name}"')
        if info.is_resource_request:
            if info.resource in IN_GRAPH:
                await self._graph.catch_up()
            match info.group, info.resource:
                case "", "secrets" | "configmaps":
                    return self._read(node, info)
                case "", "persistentvolumeclaims" if info.subresource == "status":
                    return self._update_status(node, info)
                case (
                    ("", "persistentvolumeclaims" | "persistentvolumes")
                    | ("resource.k8s.io", "resourceclaims")
                    | ("storage.k8s.io", "volumeattachments")
                ):
                    return self._get(node, info)
                case "", "serviceaccounts":
                    return self._service_account(node, info)
                case "coordination.k8s.io", "leases":
                    return _lease(node, info)
                case "storage.k8s.io", "csinodes":
                    return _csi_node(node, info)
                case "resource.k8s.io", "resourceslices":
                    return self._resource_slice(node, info)
                case "", "nodes":
                    return _node(node, info)
                case "", "pods":
                    return self._pod(node, info)
        return ALWAYS if self._rules.allows(info) else NO_OPINION

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        if node_identity(user) is None:
            return UserRules()
        # What a node may depends on its pods; no list of rules says it.
        error = "node authorizer does not support user rule resolution"
        return UserRules(incomplete=True, error=error)

    def _related(self, node: str, info: RequestInfo) -> Decision:
        if not info.name:
            return Decision(False, "No Object name found")
        if self._graph.relates(node, (info.resource, info.namespace, info.name)):
            return ALWAYS
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _read(self, node: str, info: RequestInfo) -> Decision:
        if info.verb not in ("get", "list", "watch"):
            return Decision(False, "can only read resources of this type")
        if info.subresource:
            return Decision(False, "cannot read subresource")
        if not info.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, info)

    def _get(self, node: str, info: RequestInfo) -> Decision:
        if info.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if info.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, info)

    def _update_status(self, node: str, info: RequestInfo) -> Decision:
        if info.verb not in ("update", "patch"):
            return Decision(False, "can only get/update/patch this type")
        return self._related(node, info)

    def _service_account(self, node: str, info: RequestInfo) -> Decision:
        if info.verb == "get" and not info.subresource:
            return self._read(node, info)
        if info.verb != "create" or not info.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if info.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, info)

    def _resource_slice(self, node: str, info: RequestInfo) -> Decision:
        if info.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        match info.verb:
            case "create":
                return ALWAYS
            case "get" | "update" | "patch" | "delete":
                return self._related(node, info)
            case "watch" | "list" | "deletecollection":
                if _selects_own(info, node):
                    return ALWAYS
                return Decision(
                    False,
                    "can only list/watch/deletecollection resourceslices with nodeName field "
                    "selector",
                )
        return Decision(
            False,
            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, "
            "update, patch, delete, deletecollection",
        )

    def _pod(self, node: str, info: RequestInfo) -> Decision:
        match info.subresource, info.verb:
            case "", "get":
                return self._get(node, info)
            case "", "list" | "watch":
                if _selects_own(info, node):
                    return ALWAYS
                if info.name:
                    return self._related(node, info)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            case (
                ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create")
            ):
                return ALWAYS
        return NO_OPINION


def _selects_own(info: RequestInfo, node: str) -> bool:
    """Whether a request is limited to the objects with this spec.nodeName."""
    if info.selectors is None:
        return False
    requirements, _ = info.selectors.fields()
    return any(
        one.field == "spec.nodeName" and one.value == node and not one.negated
        for one in requirements
    )


def _node(node: str, info: RequestInfo) -> Decision:
    match info.subresource, info.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return ALWAYS
        case "", "get" | "list" | "watch":
            # By name, not by the graph: a kubelet looks for its node before it makes it.
            if info.name == node:
                return ALWAYS
            what = f"'{info.name}'" if info.name else "all nodes"
            return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")
    return NO_OPINION


def _lease(node: str, info: RequestInfo) -> Decision:
    if info.verb not in OWN_OBJECT_VERBS:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if info.namespace != LEASE_NAMESPACE:
        return Decision(
            False, f'can only access leases in the "{LEASE_NAMESPACE}" system namespace'
        )
    if info.verb != "create" and info.name != node:
        return Decision(
            False, "can only access node lease with the same name as the requesting node"
        )
    return ALWAYS


def _csi_node(node: str, info: RequestInfo) -> Decision:
    if info.verb not in OWN_OBJECT_VERBS:
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if info.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if info.verb != "create" and info.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return ALWAYS
