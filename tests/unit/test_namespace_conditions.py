"""What a terminating namespace tells about its content."""

from __future__ import annotations

from collections import Counter
from typing import Any

from services.controllers.namespace_conditions import Findings, updated_conditions
from services.controllers.resource import PODS, Resource

WIDGETS = Resource("example.com", "v1", "widgets", namespaced=True)


def conditions(findings: Findings, current: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    updated = updated_conditions(current or [], findings, now="now")
    assert updated is not None
    return {condition["type"]: condition for condition in updated}


def test_an_empty_namespace_has_all_conditions_false() -> None:
    told = conditions(Findings())
    assert {kind: condition["status"] for kind, condition in told.items()} == {
        "NamespaceDeletionDiscoveryFailure": "False",
        "NamespaceDeletionGroupVersionParsingFailure": "False",
        "NamespaceDeletionContentFailure": "False",
        "NamespaceContentRemaining": "False",
        "NamespaceFinalizersRemaining": "False",
    }


def test_remaining_content_is_counted_by_resource() -> None:
    told = conditions(Findings(remaining=Counter({WIDGETS: 3, PODS: 1})))
    assert told["NamespaceContentRemaining"] == {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "lastTransitionTime": "now",
        "reason": "SomeResourcesRemain",
        "message": "Some resources are remaining: pods. has 1 resource instances, "
        "widgets.example.com has 3 resource instances",
    }


def test_remaining_finalizers_are_counted_by_name() -> None:
    told = conditions(Findings(finalizers=Counter({"example.com/b": 2, "a": 1})))
    assert told["NamespaceFinalizersRemaining"]["message"] == (
        "Some content in the namespace has finalizers remaining: "
        "a in 1 resource instances, example.com/b in 2 resource instances"
    )


def test_failures_are_told_with_their_reasons() -> None:
    told = conditions(Findings(discovery_failures=["g/v1: stale"], content_failures=["x: 403"]))
    assert told["NamespaceDeletionDiscoveryFailure"]["reason"] == "DiscoveryFailed"
    assert "g/v1: stale" in told["NamespaceDeletionDiscoveryFailure"]["message"]
    assert told["NamespaceDeletionContentFailure"]["reason"] == "ContentDeletionFailed"


def test_the_same_findings_change_nothing() -> None:
    findings = Findings(remaining=Counter({PODS: 1}))
    current = updated_conditions([], findings, now="then")
    assert current is not None
    assert updated_conditions(current, findings, now="now") is None


def test_the_transition_time_moves_only_with_the_status() -> None:
    two, one = (Findings(remaining=Counter({PODS: count})) for count in (2, 1))
    current = updated_conditions([], two, now="then")
    assert current is not None
    still_true = conditions(one, current)["NamespaceContentRemaining"]
    assert still_true["lastTransitionTime"] == "then"
    now_false = conditions(Findings(), current)["NamespaceContentRemaining"]
    assert now_false["lastTransitionTime"] == "now"


def test_conditions_of_others_are_kept() -> None:
    other = {"type": "Mine", "status": "True"}
    assert conditions(Findings(), [other])["Mine"] == other


def test_findings_are_clean_only_without_content_and_failures() -> None:
    assert Findings().clean
    assert not Findings(remaining=Counter({PODS: 1})).clean
    assert not Findings(content_failures=["x"]).clean
    assert not Findings(discovery_failures=["x"]).clean
