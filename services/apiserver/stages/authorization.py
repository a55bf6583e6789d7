"""Stage: may they? → go on, or 403.

Authorizers are asked in order; the first that allows ends the question.
Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/filters/authorization.go.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.apiserver.audit import NO_AUDIT, Audit
from services.apiserver.audit.event import DECISION, REASON
from services.apiserver.authorization import Authorizer, Decision, decide
from services.apiserver.errors import InternalError, NotAuthorized
from services.apiserver.requestinfo import RequestInfo, UserInfo


async def authorize(
    authorizers: Sequence[Authorizer],
    user: UserInfo,
    info: RequestInfo,
    audit: Audit = NO_AUDIT,
) -> Decision:
    """Return the decision if one of `authorizers` allows the request.

    Raises:
        NotAuthorized: one denies it, or none allows it.
        InternalError: none allows it, and one could not tell.
    """
    asked = time.perf_counter_ns()
    decision = await decide(authorizers, user, info)
    if audit.enabled:
        audit.add_latency("authorization", time.perf_counter_ns() - asked)
    if decision.allowed:
        audit.annotate(DECISION, "allow")
        audit.annotate(REASON, decision.reason)
        return decision
    if decision.error:
        audit.annotate(REASON, "internal error")
        raise InternalError(f"Internal error occurred: authorization: {decision.error}")
    audit.annotate(DECISION, "forbid")
    audit.annotate(REASON, decision.reason)
    raise forbidden(user, info, decision.reason)


def forbidden(user: UserInfo, info: RequestInfo, reason: str = "") -> NotAuthorized:
    """Return the refusal of a request, worded as kube-apiserver does."""
    why = f": {reason}" if reason else ""
    if not info.is_resource_request:
        return NotAuthorized(
            f'forbidden: User "{user.name}" cannot {info.verb} path "{info.path}"{why}',
            details={},
        )
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    qualified = f"{info.resource}.{info.group}" if info.group else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    named = f' "{info.name}"' if info.name else ""
    details: dict[str, str] = {}
    if info.name:
        details["name"] = info.name
    if info.group:
        details["group"] = info.group
    details["kind"] = info.resource
    return NotAuthorized(
        f'{qualified}{named} is forbidden: User "{user.name}" cannot {info.verb} resource '
        f'"{resource}" in API group "{info.group}" {where}{why}',
        details=details,
    )
