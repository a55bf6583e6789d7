"""Requests, FlowSchemas and PriorityLevelConfigurations for tests, in few words."""

from __future__ import annotations

from typing import Any

from services.apiserver.http.request import Message, Request
from services.apiserver.requestinfo import RequestInfo, UserInfo

EVERYTHING: dict[str, Any] = {
    "verbs": ["*"],
    "apiGroups": ["*"],
    "resources": ["*"],
    "clusterScope": True,
    "namespaces": ["*"],
}


def asking(user: UserInfo, verb: str = "get", *, query: str = "", **info: Any) -> Request:
    """A request as it comes to flow control. It is for pods unless `info` says otherwise."""

    async def receive() -> Message:
        raise AssertionError("flow control reads no body")

    scope = {
        "method": "GET",
        "path": "/",
        "query_string": query.encode(),
        "headers": [],
    }
    request = Request(scope, receive)
    request.user = user
    info.setdefault("path", "/api/v1/pods")
    info.setdefault("is_resource_request", True)
    if info["is_resource_request"]:
        info.setdefault("resource", "pods")
    request.info = RequestInfo(verb=verb, **info)
    return request


def level(
    name: str, shares: int = 10, *, queues: int = 0, hand: int = 1, length: int = 10, **more: int
) -> dict[str, Any]:
    """A Limited PriorityLevelConfiguration; without queues it refuses what finds no seat.

    `more`: lendablePercent, borrowingLimitPercent.
    """
    response: dict[str, Any] = {"type": "Reject"}
    if queues:
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": length}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, **more}
    return {
        "metadata": {"name": name, "uid": f"uid of {name}"},
        "spec": {"type": "Limited", "limited": limited},
    }


def schema(
    name: str,
    level: str,
    precedence: int = 1000,
    *subjects: dict[str, Any],
    method: str = "",
    resources: list[dict[str, Any]] | None = None,
    urls: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A FlowSchema of one rule, for all resources unless `resources` or `urls` says which."""
    spec: dict[str, Any] = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [
            {
                "subjects": list(subjects),
                "resourceRules": (
                    [EVERYTHING] if resources is None and urls is None else resources or []
                ),
                "nonResourceRules": urls or [],
            }
        ],
    }
    if method:
        spec["distinguisherMethod"] = {"type": method}
    return {"metadata": {"name": name, "uid": f"uid of {name}"}, "spec": spec}


def user(name: str) -> dict[str, Any]:
    return {"kind": "User", "user": {"name": name}}


def group(name: str) -> dict[str, Any]:
    return {"kind": "Group", "group": {"name": name}}


def account(namespace: str, name: str) -> dict[str, Any]:
    return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
