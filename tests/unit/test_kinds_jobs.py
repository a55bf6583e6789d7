"""Job and CronJob: defaults, generated selectors, index lists, schedules, status transitions."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.kinds.cronschedule import ScheduleError, check_schedule
from services.apiserver.kinds.job import JobStrategy
from services.apiserver.kinds.jobindexes import IndexesError, count_indexes, overlap
from tests.unit.workload_world import UID, context, create, created, told, update

Object = dict[str, Any]

TEMPLATE: Object = {
    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
}
GENERATED = {
    "controller-uid": UID,
    "job-name": "one",
    "batch.kubernetes.io/controller-uid": UID,
    "batch.kubernetes.io/job-name": "one",
}


def job(**spec: Any) -> Object:
    return {"spec": {"template": TEMPLATE, **spec}}


def cron(schedule: str = "* * * * *", **spec: Any) -> Object:
    return {"spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": TEMPLATE}}, **spec}}


def test_a_job_gets_defaults_and_its_own_selector() -> None:
    made = created("jobs", job())
    spec = made["spec"]
    assert spec["template"].pop("spec")
    assert spec == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}},
        "template": {"metadata": {"labels": GENERATED}},
    }
    assert made["metadata"]["labels"] == GENERATED
    assert made["status"] == {}


def test_a_jobs_own_labels_stay() -> None:
    made = created("jobs", {"metadata": {"name": "one", "labels": {"own": "1"}}, **job()})
    assert made["metadata"]["labels"] == {"own": "1"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"parallelism": 3}, {"completions": None}),
        (
            {"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1},
            {"backoffLimit": 2**31 - 1},
        ),
        ({"podFailurePolicy": {"rules": []}}, {"podReplacementPolicy": "Failed"}),
        (
            {
                "podFailurePolicy": {
                    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "Gone"}]}]
                }
            },
            {
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "Ignore",
                            "onPodConditions": [{"type": "Gone", "status": "True"}],
                        }
                    ]
                }
            },
        ),
    ],
)
def test_some_defaults_depend_on_others(spec: Object, expected: Object) -> None:
    made = created("jobs", job(**spec))["spec"]
    assert {name: made.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
            [("spec.template.spec.restartPolicy", "Required")],
        ),
        (
            {
                "selector": {"matchLabels": {"app": "m"}},
                "template": {**TEMPLATE, "metadata": {"labels": {"app": "m"}}},
            },
            [("spec.selector", "Invalid")],
        ),
        (
            {"manualSelector": True},
            [("spec.selector", "Required"), ("spec.template.metadata.labels", "Invalid")],
        ),
        (
            {"completionMode": "Indexed", "parallelism": 3},
            [("spec.completions", "Required")],
        ),
        ({"completionMode": "Sorted"}, [("spec.completionMode", "NotSupported")]),
        ({"managedBy": "nodomain"}, [("spec.managedBy", "Invalid")]),
        ({"backoffLimitPerIndex": 1}, [("spec.backoffLimitPerIndex", "Invalid")]),
        (
            {"completionMode": "Indexed", "completions": 5, "maxFailedIndexes": 7},
            [("spec.backoffLimitPerIndex", "Required"), ("spec.maxFailedIndexes", "Invalid")],
        ),
        (
            {
                "completionMode": "Indexed",
                "completions": 3,
                "successPolicy": {
                    "rules": [
                        {},
                        {"succeededIndexes": "5-2", "succeededCount": 9},
                        {"succeededIndexes": "0-1", "succeededCount": 3},
                    ]
                },
            },
            [
                ("spec.successPolicy.rules[0]", "Required"),
                ("spec.successPolicy.rules[1].succeededIndexes", "Invalid"),
                ("spec.successPolicy.rules[1].succeededCount", "Invalid"),
                ("spec.successPolicy.rules[1].succeededCount", "Invalid"),
                ("spec.successPolicy.rules[2].succeededCount", "Invalid"),
            ],
        ),
        (
            {
                "podFailurePolicy": {
                    "rules": [
                        {"action": "Explode", "onExitCodes": {"operator": "Near"}},
                        {"action": "FailIndex"},
                        {
                            "action": "Ignore",
                            "onExitCodes": {"operator": "In", "values": [0, 3, 3, 2]},
                        },
                    ]
                }
            },
            [
                ("spec.podFailurePolicy.rules[0].action", "NotSupported"),
                ("spec.podFailurePolicy.rules[0].onExitCodes.operator", "NotSupported"),
                ("spec.podFailurePolicy.rules[0].onExitCodes.values", "Invalid"),
                ("spec.podFailurePolicy.rules[1].action", "Invalid"),
                ("spec.podFailurePolicy.rules[1]", "Invalid"),
                ("spec.podFailurePolicy.rules[2].onExitCodes.values[0]", "Invalid"),
                ("spec.podFailurePolicy.rules[2].onExitCodes.values[2]", "Duplicate"),
                ("spec.podFailurePolicy.rules[2].onExitCodes.values", "Invalid"),
            ],
        ),
    ],
)
def test_a_job_is_refused_for(spec: Object, causes: list[tuple[str, str]]) -> None:
    assert told(create("jobs", job(**spec))[1]) == causes


def test_the_name_of_an_indexed_job_must_fit_hostnames() -> None:
    obj = {"metadata": {"name": "a.b"}, **job(completionMode="Indexed", completions=2)}
    assert told(create("jobs", obj)[1]) == [("metadata.name", "Invalid")]


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({"parallelism": 3, "backoffLimit": 2, "suspend": True}, []),
        ({"completions": 5}, [("spec.completions", "Invalid")]),
        ({"completionMode": "Indexed"}, [("spec.completionMode", "Invalid")]),
        (
            {"template": {"spec": {"terminationGracePeriodSeconds": 3}}},
            [("spec.template", "Invalid")],
        ),
        (
            {"selector": {"matchLabels": {"a": "b"}}},
            [
                ("spec.selector", "Invalid"),
                ("spec.template.metadata.labels", "Invalid"),
                ("spec.template.metadata.labels", "Invalid"),
                ("spec.selector", "Invalid"),
            ],
        ),
    ],
)
def test_an_update_of_a_job_is_checked_twice(
    changes: Object, causes: list[tuple[str, str]]
) -> None:
    assert told(update("jobs", created("jobs", job()), {"spec": changes})[1]) == causes


@pytest.mark.parametrize(
    ("status", "changes", "causes"),
    [
        ({}, {"nodeSelector": {"disk": "ssd"}}, []),
        (
            {},
            {"containers": [{"name": "c", "image": "other"}]},
            [("spec.template.spec", "Invalid")],
        ),
        ({"active": 1}, {"nodeSelector": {"disk": "ssd"}}, [("spec.template", "Invalid")]),
        (
            {"startTime": "2024-01-01T00:00:00Z"},
            {"nodeSelector": {"disk": "ssd"}},
            [("spec.template", "Invalid")],
        ),
    ],
)
def test_a_waiting_job_may_get_another_place_to_run(
    status: Object, changes: Object, causes: list[tuple[str, str]]
) -> None:
    old = created("jobs", job(suspend=True))
    old["status"] = status
    assert told(update("jobs", old, {"spec": {"template": {"spec": changes}}})[1]) == causes


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    old = created("jobs", job(completionMode="Indexed", completions=2, parallelism=2))
    _, causes = update("jobs", old, {"spec": {"completions": 3, "parallelism": 3}})
    assert causes == []
    _, causes = update("jobs", old, {"spec": {"completions": 3}})
    assert told(causes) == [("spec.completions", "Invalid")]


def condition(*kinds: str) -> list[Object]:
    return [{"type": kind, "status": "True"} for kind in kinds]


STARTED = {"startTime": "2024-01-01T00:00:00Z"}
DONE = {
    **STARTED,
    "completionTime": "2024-01-01T00:01:00Z",
    "conditions": condition("SuccessCriteriaMet", "Complete"),
}


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        (STARTED, DONE, []),
        (
            STARTED,
            {"conditions": condition("Complete"), "active": 1},
            [("completionTime", "Required"), ("conditions", "Invalid"), ("active", "Invalid")],
        ),
        (STARTED, {"conditions": condition("Failed")}, [("conditions", "Invalid")]),
        (STARTED, {"completionTime": "2024-01-01T00:01:00Z"}, [("completionTime", "Invalid")]),
        (STARTED, {"startTime": None}, [("startTime", "Required")]),
        (STARTED, {"active": 1, "ready": 2}, [("ready", "Invalid")]),
        ({**STARTED, "failed": 2}, {"failed": 1}, [("failed", "Invalid")]),
        (STARTED, {"completedIndexes": "0"}, [("completedIndexes", "Invalid")]),
        (
            DONE,
            {"conditions": condition("SuccessCriteriaMet"), "completionTime": None},
            [("conditions", "Invalid")],
        ),
        (
            STARTED,
            {"uncountedTerminatedPods": {"succeeded": ["a", "a", ""]}},
            [
                ("uncountedTerminatedPods.succeeded[1]", "Duplicate"),
                ("uncountedTerminatedPods.succeeded[2]", "Invalid"),
            ],
        ),
    ],
)
def test_a_jobs_status_follows_the_last_one(
    before: Object, after: Object, causes: list[tuple[str, str]]
) -> None:
    old = created("jobs", job())
    old["status"] = before
    found = told(update("jobs", old, {"status": after}, "status")[1])
    assert found == [(f"status.{name}", reason) for name, reason in causes]


def test_deleting_a_job_without_a_policy_is_warned_of() -> None:
    strategy, made = JobStrategy(), created("jobs", job())
    assert len(strategy.warn_on_delete(context(), made, None)) == 1
    assert strategy.warn_on_delete(context(), made, "Background") == []


@pytest.mark.parametrize(("text", "count"), [("", 0), ("3", 1), ("0,2-4,6", 5)])
def test_indexes_are_counted(text: str, count: int) -> None:
    assert count_indexes(text, 7) == count


@pytest.mark.parametrize("text", ["x", "1-2-3", "2-1", "3,3", "7", "1-9", ",", "1,"])
def test_bad_indexes_are_told(text: str) -> None:
    with pytest.raises(IndexesError):
        count_indexes(text, 7)


@pytest.mark.parametrize(
    ("completed", "failed", "first"),
    [("0-3", "3-5", 3), ("0,2,4", "1,3", None), ("x,5", "4-6", 5), ("", "1", None)],
)
def test_lists_of_indexes_overlap(completed: str, failed: str, first: int | None) -> None:
    assert overlap(completed, failed, 7) == first


def test_a_cron_job_gets_defaults_and_its_jobs_none() -> None:
    made = created("cronjobs", cron())["spec"]
    job_template = made.pop("jobTemplate")
    assert made == {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }
    assert list(job_template["spec"]) == ["template"]
    assert job_template["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("obj", "causes"),
    [
        (cron(""), [("spec.schedule", "Required")]),
        (cron("61 * * * *"), [("spec.schedule", "Invalid")]),
        (cron("TZ=UTC 0 0 * * *"), [("spec.schedule", "Invalid")]),
        (cron(timeZone=""), [("spec.timeZone", "Invalid")]),
        (cron(timeZone="Mars/Base"), [("spec.timeZone", "Invalid")]),
        (cron(timeZone="local"), [("spec.timeZone", "Invalid"), ("spec.timeZone", "Invalid")]),
        (cron(timeZone="Europe/Berlin"), []),
        (cron(concurrencyPolicy="Sometimes"), [("spec.concurrencyPolicy", "NotSupported")]),
        (
            {"metadata": {"name": "n" * 53}, **cron()},
            [("metadata.name", "Invalid")],
        ),
    ],
)
def test_a_cron_job_is_refused_for(obj: Object, causes: list[tuple[str, str]]) -> None:
    assert told(create("cronjobs", obj)[1]) == causes


@pytest.mark.parametrize(
    "text",
    [
        "*/5 * * * *",
        "0 0 1 JAN-MAR MON,fri",
        "? 1-3/2 * * 0-6",
        "1,,2 * * * *",
        "5/15 * * * *",
        "@daily",
        "@every 1h30m",
        "CRON_TZ=Europe/Berlin 0 0 * * *",
    ],
)
def test_schedules_are_understood(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/0 * * * *",
        "1/2/3 * * * *",
        "-1 * * * *",
        "x * * * *",
        "@sometimes",
        "@every soon",
        "TZ=Nowhere/Else * * * * *",
    ],
)
def test_other_texts_are_no_schedules(text: str) -> None:
    with pytest.raises(ScheduleError):
        check_schedule(text)
