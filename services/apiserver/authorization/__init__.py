"""Who may do what: the authorizers, the RBAC rules and the objects they come from.

Nothing here knows requests beyond RequestInfo and UserInfo. Only webhooks wait for anything:
all other decisions are made on what the watch cache shows. The request stage is
stages/authorization.py.
"""

from services.apiserver.authorization.authorizer import (
    ALWAYS,
    MASTERS,
    NO_OPINION,
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    Decision,
    MastersMay,
    NamedAuthorizer,
    Rule,
    RuleResolver,
    UserRules,
    all_user_rules,
    decide,
)
from services.apiserver.authorization.node import NodeAuthorizer, node_identity
from services.apiserver.authorization.nodegraph import NodeGraph
from services.apiserver.authorization.rbac import RbacAuthorizer
from services.apiserver.authorization.roleindex import RoleIndex

__all__ = [
    "ALWAYS",
    "MASTERS",
    "NO_OPINION",
    "AlwaysAllow",
    "AlwaysDeny",
    "Authorizer",
    "Decision",
    "MastersMay",
    "NamedAuthorizer",
    "NodeAuthorizer",
    "NodeGraph",
    "RbacAuthorizer",
    "RoleIndex",
    "Rule",
    "RuleResolver",
    "UserRules",
    "all_user_rules",
    "decide",
    "node_identity",
]
