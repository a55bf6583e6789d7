"""Binding, eviction and logs of pods: what is decided before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    TooManyRequests,
    to_status,
)
from services.apiserver.kinds import pod_binding, pod_eviction, pod_log

Object = dict[str, Any]

NOW = "2024-05-06T07:08:09Z"


def pod(*, ready: bool = True, phase: str = "Running", **spec: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": "p", "uid": "u", "labels": {"app": "web"}, "generation": 1},
        "spec": {"containers": [{"name": "c"}], **spec},
        "status": {"phase": phase, "conditions": conditions},
    }


def binding(**meta: Any) -> Object:
    return {"metadata": {"name": "p", **meta}, "target": {"kind": "Node", "name": "n"}}


def test_a_binding_places_its_pod() -> None:
    before = pod()
    bound = pod_binding.bind(before, binding(labels={"zone": "z"}, annotations={"note": "x"}), NOW)
    assert bound["spec"]["nodeName"] == "n"
    assert bound["metadata"]["labels"] == {"app": "web", "zone": "z"}
    assert bound["metadata"]["annotations"] == {"note": "x"}
    assert bound["metadata"]["generation"] == 1
    assert bound["status"]["conditions"][-1] == {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": NOW,
    }
    assert "nodeName" not in before["spec"]


@pytest.mark.parametrize(
    ("there", "wanted", "kind"),
    [
        (pod(nodeName="m"), binding(), "pods/binding"),
        (pod(schedulingGates=[{"name": "g"}]), binding(), "pods/binding"),
        (pod(), binding(uid="other"), "pods"),
    ],
)
def test_a_pod_is_bound_once(there: Object, wanted: Object, kind: str) -> None:
    with pytest.raises(Conflict) as error:
        pod_binding.bind(there, wanted, NOW)
    assert error.value.details == {"name": "p", "kind": kind}


def test_a_binding_names_its_pod_and_a_node() -> None:
    pod_binding.check_binding(binding(), "p")
    with pytest.raises(BadRequest):
        pod_binding.check_binding(binding(), "q")
    with pytest.raises(ApiError) as error:
        pod_binding.check_binding({"metadata": {"name": "p"}, "target": {"kind": "Pod"}}, "p")
    assert (error.value.code, error.value.reason) == (500, "")


def budget(spec: Object | None = None, **status: Any) -> Object:
    return {
        "metadata": {"name": "b", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **(spec or {})},
        "status": {"observedGeneration": 1, **status},
    }


def test_a_pod_without_a_budget_may_go() -> None:
    other = budget({"selector": {"matchLabels": {"app": "db"}}})
    assert pod_eviction.decide(pod(), [other], NOW) == pod_eviction.Decision()


def test_an_eviction_counts_against_the_budget() -> None:
    decision = pod_eviction.decide(pod(), [budget(disruptionsAllowed=1)], NOW)
    assert decision.budget is not None
    assert decision.budget["status"] == {
        "observedGeneration": 1,
        "disruptionsAllowed": 0,
        "disruptedPods": {"p": NOW},
        "conditions": [
            {
                "type": "DisruptionAllowed",
                "status": "False",
                "lastTransitionTime": NOW,
                "reason": "InsufficientPods",
                "message": "",
                "observedGeneration": 1,
            }
        ],
    }


def test_an_exhausted_budget_lets_no_pod_go() -> None:
    with pytest.raises(TooManyRequests) as error:
        pod_eviction.decide(pod(), [budget(disruptionsAllowed=0)], NOW)
    details = to_status(error.value)["details"]
    assert [cause["reason"] for cause in details["causes"]] == ["DisruptionBudget"]
    assert "retryAfterSeconds" not in details


def test_a_budget_nobody_looked_at_yet_asks_to_come_back() -> None:
    with pytest.raises(TooManyRequests) as error:
        pod_eviction.decide(pod(), [budget(observedGeneration=0, disruptionsAllowed=1)], NOW)
    assert to_status(error.value)["details"]["retryAfterSeconds"] == 10


def test_two_budgets_are_one_too_many() -> None:
    with pytest.raises(ApiError) as error:
        pod_eviction.decide(pod(), [budget(), budget()], NOW)
    assert error.value.code == 500


@pytest.mark.parametrize(
    ("spec", "status", "free"),
    [
        ({}, {"currentHealthy": 2, "desiredHealthy": 1}, True),
        ({}, {"currentHealthy": 0, "desiredHealthy": 1, "disruptionsAllowed": 1}, False),
        ({"unhealthyPodEvictionPolicy": "AlwaysAllow"}, {}, True),
    ],
)
def test_unready_pods_may_go_without_counting(spec: Object, status: Object, free: bool) -> None:
    decision = pod_eviction.decide(pod(ready=False), [budget(spec, **status)], NOW)
    assert decision.only_this_version is free
    assert (decision.budget is None) is free


def test_a_budget_that_makes_no_sense_forbids() -> None:
    with pytest.raises(Forbidden):
        pod_eviction.decide(pod(), [budget(disruptionsAllowed=-1)], NOW)


def test_pods_that_do_not_run_ignore_budgets() -> None:
    assert pod_eviction.ignores_budgets(pod(phase="Pending"))
    assert pod_eviction.needs_same_version(pod(phase="Pending"))
    assert pod_eviction.ignores_budgets(pod(phase="Failed"))
    assert not pod_eviction.needs_same_version(pod(phase="Failed"))
    assert not pod_eviction.ignores_budgets(pod())


def test_an_evicted_pod_tells_why_it_goes() -> None:
    gone = pod_eviction.with_disruption_target(pod(), NOW)
    assert gone["status"]["conditions"][1]["reason"] == "EvictionByEvictionAPI"
    with pytest.raises(BadRequest):
        pod_eviction.check_eviction({"metadata": {"name": "other"}}, "p")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (
            {"tailLines": ["-1"], "limitBytes": ["0"], "sinceSeconds": ["0"]},
            ["tailLines", "limitBytes", "sinceSeconds"],
        ),
        ({"sinceSeconds": ["1"], "sinceTime": ["2024-01-01T00:00:00Z"]}, ["[]"]),
        ({"stream": ["Stdout"]}, ["stream"]),
    ],
)
def test_log_options_are_checked(query: dict[str, list[str]], fields: list[str]) -> None:
    with pytest.raises(Invalid) as error:
        pod_log.parse_log_options(query, "p")
    assert [cause.field for cause in error.value.causes] == fields
    assert error.value.details == {"name": "p", "kind": "PodLogOptions"}


@pytest.mark.parametrize("query", [{"tailLines": ["many"]}, {"sinceTime": ["yesterday"]}])
def test_log_options_are_numbers_and_times(query: dict[str, list[str]]) -> None:
    with pytest.raises(BadRequest):
        pod_log.parse_log_options(query, "p")


def test_log_options_without_values_are_none() -> None:
    assert pod_log.parse_log_options({"sinceTime": [""], "container": ["c"]}, "p") == {
        "container": "c"
    }


def test_a_container_is_chosen_if_there_is_no_other() -> None:
    two = pod(containers=[{"name": "c"}, {"name": "d"}])
    assert pod_log.choose_container(pod(), "") == "c"
    assert pod_log.choose_container(two, "d") == "d"
    for there, wanted in ((two, ""), (pod(), "nobody")):
        with pytest.raises(BadRequest):
            pod_log.choose_container(there, wanted)


def test_only_placed_pods_have_a_node() -> None:
    assert pod_log.node_of(pod(nodeName="n")) == "n"
    with pytest.raises(BadRequest):
        pod_log.node_of(pod())
    assert pod_log.unknown_node("n").details == {"name": "n", "kind": "pods"}


@pytest.mark.parametrize(
    ("text", "name"),
    [("web", "web"), ("web:80", "web"), ("https:web:", "web"), (":web:80", "web")],
)
def test_a_proxied_pod_is_named_with_scheme_and_port(text: str, name: str) -> None:
    assert pod_log.proxied_name(text) == name


@pytest.mark.parametrize("text", ["", ":80", "ftp:web:80", "http:web:80:more"])
def test_what_names_no_pod_to_proxy_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid pod request"):
        pod_log.proxied_name(text)


@pytest.mark.parametrize("address", ["", "127.0.0.1", "169.254.1.1", "::1", "0.0.0.0", "224.0.0.1"])
def test_a_proxy_reaches_no_pod_without_an_address_of_its_own(address: str) -> None:
    status = {"podIPs": [{"ip": address}]} if address else {}
    with pytest.raises(BadRequest, match="address not allowed"):
        pod_log.check_proxied_address({"status": status})


def test_a_proxy_reaches_a_pod_with_an_address() -> None:
    pod_log.check_proxied_address({"status": {"podIPs": [{"ip": "10.1.2.3"}]}})
