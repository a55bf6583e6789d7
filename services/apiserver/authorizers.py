"""The authorizers of --authorization-mode, put together over the registry's objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.apiserver.authorization import (
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    MastersMay,
    NodeAuthorizer,
    NodeGraph,
    RbacAuthorizer,
    RoleIndex,
)
from services.apiserver.authorization.bootstrappolicy import node_rules
from services.apiserver.authorization.followed import Source
from services.apiserver.authorization.roleindex import GROUP as RBAC_GROUP
from services.apiserver.options import ApiServerOptions
from services.apiserver.registry.served import Registry


@dataclass(frozen=True, slots=True)
class Authorization:
    """What users may: `authorizers` in the order they are asked, `rbac` for what asks it alone."""

    authorizers: Sequence[Authorizer]
    rbac: RbacAuthorizer


def authorization(options: ApiServerOptions, registry: Registry) -> Authorization:
    """Return what decides, by --authorization-mode."""
    rbac = RbacAuthorizer(role_index(registry))
    authorizers: list[Authorizer] = [MastersMay()]
    for mode in options.authorization.modes:
        match mode:
            case "RBAC":
                authorizers.append(rbac)
            case "Node":
                authorizers.append(NodeAuthorizer(node_graph(registry), node_rules()))
            case "AlwaysAllow":
                authorizers.append(AlwaysAllow())
            case "AlwaysDeny":
                authorizers.append(AlwaysDeny())
    return Authorization(authorizers, rbac)


def role_index(registry: Registry) -> RoleIndex:
    """Return the index over the registry's roles and bindings."""
    return RoleIndex(
        roles=source(registry, RBAC_GROUP, "roles"),
        cluster_roles=source(registry, RBAC_GROUP, "clusterroles"),
        role_bindings=source(registry, RBAC_GROUP, "rolebindings"),
        cluster_role_bindings=source(registry, RBAC_GROUP, "clusterrolebindings"),
    )


def node_graph(registry: Registry) -> NodeGraph:
    """Return the graph over the registry's pods and volumes."""
    return NodeGraph(
        pods=source(registry, "", "pods"),
        volumes=source(registry, "", "persistentvolumes"),
        attachments=source(registry, "storage.k8s.io", "volumeattachments"),
        slices=source(registry, "resource.k8s.io", "resourceslices"),
    )


def source(registry: Registry, group: str, resource: str) -> Source:
    """Return the cached objects of a built-in resource."""
    store = registry.stored(group, resource)
    assert store is not None, resource
    return Source(store.cache, store.decode)
