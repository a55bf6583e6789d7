"""Conditions in a pod's status.

Source: kube-apiserver v1.36.2, pkg/api/v1/pod/util.go (UpdatePodCondition).
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def with_condition(pod: Object, condition: Object, now: str) -> Object:
    """Return a copy of `pod` with the condition in place of the one of its type.

    Its lastTransitionTime is `now`, or the old one's where the status stays the same.
    """
    conditions = list(pod.get("status", {}).get("conditions", ()))
    wanted = {**condition, "lastProbeTime": None, "lastTransitionTime": now}
    for position, present in enumerate(conditions):
        if present.get("type") == condition["type"]:
            if present.get("status") == condition["status"]:
                wanted["lastTransitionTime"] = present.get("lastTransitionTime")
            conditions[position] = wanted
            break
    else:
        conditions.append(wanted)
    return {**pod, "status": {**pod.get("status", {}), "conditions": conditions}}


def is_ready(pod: Object) -> bool:
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in pod.get("status", {}).get("conditions", ())
    )
