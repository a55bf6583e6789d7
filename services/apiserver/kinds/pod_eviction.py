"""pods/eviction: whether the disruption budgets let a pod go, and what its going leaves.

The handler calls `check_eviction`, reads the pod and asks `ignores_budgets`; if the budgets
count, it lists those of the namespace and asks `decide`. It writes the changed budget
(guarded by its resourceVersion; on a conflict it reads and decides again), then the pod
`with_disruption_target`, then deletes the pod.
Source: kube-apiserver v1.36.2, pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.apiserver.errors import ApiError, BadRequest, Cause, Forbidden, TooManyRequests
from services.apiserver.kinds.pod_conditions import is_ready, with_condition
from services.apiserver.kinds.podowners import matches
from services.apiserver.validation.metadata import validate_label_selector

Object = dict[str, Any]

MAX_DISRUPTED_PODS = 2000
RETRY_AFTER_S = 10
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Decision:
    """A pod may go.

    `budget` is the PodDisruptionBudget to write before, None if none changes.
    `only_this_version`: the pod may go as it is now, not after a change; a deletion that this
    stops is answered with `still_processing`.
    """

    budget: Object | None = None
    only_this_version: bool = False
    budget_name: str = ""


def check_eviction(eviction: Object, name: str) -> None:
    """Check an Eviction that was posted to the URL of the pod `name`.

    Raises:
        BadRequest: it is for another pod.
    """
    if eviction["metadata"].get("name", "") != name:
        raise BadRequest("name in URL does not match name in Eviction object")


def ignores_budgets(pod: Object) -> bool:
    """Whether a pod does not count for budgets: it never ran, has finished or is going."""
    phase = pod.get("status", {}).get("phase")
    return phase in ("Pending", *_FINISHED) or "deletionTimestamp" in pod["metadata"]


def needs_same_version(pod: Object) -> bool:
    """Whether a pod that ignores budgets may only be deleted as it is now."""
    phase = pod.get("status", {}).get("phase")
    return phase not in _FINISHED and "deletionTimestamp" not in pod["metadata"]


def decide(pod: Object, budgets: Iterable[Object], now: str) -> Decision:
    """Ask the budgets of the pod's namespace.

    Raises:
        TooManyRequests: not now.
        Forbidden: the budget's status makes no sense.
        ApiError: more than one budget covers the pod.
    """
    covering = [budget for budget in budgets if _covers(budget, pod)]
    if not covering:
        return Decision()
    if len(covering) > 1:
        raise ApiError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource"
            " does not support."
        )
    budget = covering[0]
    name = budget["metadata"]["name"]
    if not is_ready(pod):
        status = budget.get("status", {})
        always = budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
        desired = status.get("desiredHealthy", 0)
        if always or 0 < desired <= status.get("currentHealthy", 0):
            return Decision(only_this_version=True, budget_name=name)
    return Decision(budget=_decremented(budget, pod["metadata"]["name"], now), budget_name=name)


def with_disruption_target(pod: Object, now: str) -> Object:
    """Return the pod with the condition that tells why it goes."""
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    return with_condition(pod, condition, now)


def still_processing(budget_name: str) -> TooManyRequests:
    cause = Cause(
        "DisruptionBudget",
        f"The disruption budget {budget_name} is still being processed by the server.",
    )
    return TooManyRequests(_REFUSED, details={}, causes=[cause], retry_after_s=RETRY_AFTER_S)


def _covers(budget: Object, pod: Object) -> bool:
    labels = pod["metadata"].get("labels")
    selector = budget["spec"].get("selector")
    if not labels or selector is None or validate_label_selector(selector, ""):
        return False
    return matches(selector, labels)


def _decremented(budget: Object, pod_name: str, now: str) -> Object:
    meta, status = budget["metadata"], budget.get("status", {})
    name, allowed = meta["name"], status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise still_processing(name)
    if allowed < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    disrupted = status.get("disruptedPods", {})
    if len(disrupted) > MAX_DISRUPTED_PODS:
        raise _forbidden(
            name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        )
    if allowed == 0:
        cause = Cause(
            "DisruptionBudget",
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods"
            f" and has {status.get('currentHealthy', 0)} currently",
        )
        raise TooManyRequests(_REFUSED, details={}, causes=[cause])
    changed = {
        **status,
        "disruptionsAllowed": allowed - 1,
        "disruptedPods": {**disrupted, pod_name: now},
    }
    if allowed == 1:
        changed["conditions"] = _exhausted(status, now)
    return {**budget, "status": changed}


def _exhausted(status: Object, now: str) -> list[Object]:
    """Return the conditions with DisruptionAllowed False."""
    conditions = list(status.get("conditions", ()))
    wanted = {
        "type": "DisruptionAllowed",
        "status": "False",
        "lastTransitionTime": now,
        "reason": "InsufficientPods",
        "message": "",
    }
    observed = status.get("observedGeneration", 0)
    if observed:
        wanted["observedGeneration"] = observed
    for position, present in enumerate(conditions):
        if present.get("type") == "DisruptionAllowed":
            if present.get("status") == "False":
                wanted["lastTransitionTime"] = present.get("lastTransitionTime")
            conditions[position] = wanted
            break
    else:
        conditions.append(wanted)
    return conditions


def _forbidden(name: str, reason: str) -> Forbidden:
    return Forbidden(
        f'poddisruptionbudgets.policy "{name}" is forbidden: {reason}',
        details={"name": name, "group": "policy", "kind": "poddisruptionbudgets"},
    )
