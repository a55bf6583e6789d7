"""A pod's row sums up its phase, containers and deletion as kubectl shows them."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.printers import printer_of, table
from services.apiserver.printers.duration import parse_time

NOW = parse_time("2026-01-01T01:00:00Z")
NAME, READY, STATUS, RESTARTS, AGE, IP, NODE, NOMINATED, GATES = range(9)


def pod(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    containers: int = 1,
) -> dict[str, Any]:
    names = [{"name": name, "image": "i"} for name in "cdefg"[:containers]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **(metadata or {}),
        },
        "spec": {"containers": names, **(spec or {})},
        "status": status if status is not None else {"phase": "Pending"},
    }


def cells(obj: dict[str, Any]) -> list[Any]:
    return printer_of(("", "Pod")).cells(obj, NOW)


def container(name: str = "c", restarts: int = 0, **fields: Any) -> dict[str, Any]:
    """A container status; `ready`, `started`, `running`, `waiting`, `terminated`, `ended`."""
    status: dict[str, Any] = {"name": name, "restartCount": restarts, "state": {}}
    for state in ("running", "waiting", "terminated"):
        if state in fields:
            status["state"][state] = fields.pop(state)
    if "ended" in fields:
        status["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": fields.pop("ended")}}
    return {**status, "ready": False, **fields}


def test_a_new_pod_is_pending_and_nowhere() -> None:
    assert cells(pod(containers=2)) == [
        "p",
        "0/2",
        "Pending",
        "0",
        "60m",
        "<none>",
        "<none>",
        "<none>",
        "<none>",
    ]


def test_a_running_pod_shows_address_node_and_gates() -> None:
    row = cells(
        pod(
            {
                "nodeName": "n1",
                "readinessGates": [{"conditionType": "a/b"}, {"conditionType": "c/d"}],
            },
            {
                "phase": "Running",
                "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}],
                "nominatedNodeName": "n9",
                "conditions": [
                    {"type": "Ready", "status": "False"},
                    {"type": "a/b", "status": "True"},
                    {"type": "c/d", "status": "False"},
                ],
                "containerStatuses": [container(ready=True, running={}, restarts=2)],
            },
        )
    )
    assert row == ["p", "1/1", "Running", "2", "60m", "10.1.0.1", "n1", "n9", "1/2"]


def running(**fields: Any) -> dict[str, Any]:
    return container(ready=True, running={}, **fields)


@pytest.mark.parametrize(
    ("statuses", "ready", "status"),
    [
        ([running()], "1/2", "Running"),
        ([running(), running(name="d")], "2/2", "Running"),
        ([container(running={}), running(name="d")], "1/2", "Running"),
        ([container(waiting={"reason": "CrashLoopBackOff"})], "0/2", "CrashLoopBackOff"),
        ([container(waiting={})], "0/2", "Running"),
        ([container(terminated={"exitCode": 3})], "0/2", "ExitCode:3"),
        ([container(terminated={"exitCode": 137, "signal": 9})], "0/2", "Signal:9"),
        ([container(terminated={"exitCode": 1, "reason": "OOMKilled"})], "0/2", "OOMKilled"),
        (
            [
                container(terminated={"exitCode": 3}),
                container("d", terminated={"exitCode": 137, "signal": 9}),
            ],
            "0/2",
            "ExitCode:3",
        ),
        (
            [
                container(terminated={"exitCode": 0, "reason": "Completed"}),
                container("d", terminated={"exitCode": 1, "reason": "Error"}),
            ],
            "0/2",
            "Error",
        ),
        (
            [container(terminated={"exitCode": 0, "reason": "Completed"}), running(name="d")],
            "1/2",
            "NotReady",
        ),
    ],
)
def test_the_first_container_that_tells_a_reason_gives_the_status(
    statuses: list[dict[str, Any]], ready: str, status: str
) -> None:
    row = cells(pod(containers=2, status={"phase": "Running", "containerStatuses": statuses}))
    assert (row[READY], row[STATUS]) == (ready, status)


def test_a_ready_pod_with_a_completed_container_is_running() -> None:
    row = cells(
        pod(
            containers=2,
            status={
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    container(terminated={"exitCode": 0, "reason": "Completed"}),
                    running(name="d"),
                ],
            },
        )
    )
    assert (row[READY], row[STATUS]) == ("1/2", "Running")


def test_containers_win_over_the_reason_of_the_status() -> None:
    evicted = {"phase": "Failed", "reason": "Evicted"}
    assert cells(pod(status=evicted))[STATUS] == "Evicted"
    ended = {**evicted, "containerStatuses": [container(terminated={"exitCode": 3})]}
    assert cells(pod(status=ended))[STATUS] == "ExitCode:3"


def test_a_gated_pod_says_so() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    row = cells(pod(status={"phase": "Pending", "conditions": [gated]}))
    assert row[STATUS] == "SchedulingGated"


INIT_SPEC = {
    "initContainers": [
        {"name": "i1"},
        {"name": "side", "restartPolicy": "Always"},
        {"name": "i2"},
    ]
}
DONE = container("i1", restarts=1, terminated={"exitCode": 0, "reason": "Completed"})
SIDECAR = container("side", restarts=2, ready=True, started=True, running={})


@pytest.mark.parametrize(
    ("statuses", "ready", "status", "restarts"),
    [
        ([container("i1", running={})], "0/2", "Init:0/3", "0"),
        ([container("i1", waiting={"reason": "PodInitializing"})], "0/2", "Init:0/3", "0"),
        ([container("i1", waiting={"reason": "ErrImagePull"})], "0/2", "Init:ErrImagePull", "0"),
        ([container("i1", 4, terminated={"exitCode": 2})], "0/2", "Init:ExitCode:2", "4"),
        (
            [container("i1", terminated={"exitCode": 9, "signal": 9})],
            "0/2",
            "Init:Signal:9",
            "0",
        ),
        (
            [container("i1", terminated={"exitCode": 1, "reason": "Error"})],
            "0/2",
            "Init:Error",
            "0",
        ),
        ([DONE, container("side", running={})], "0/2", "Init:1/3", "1"),
        ([DONE, SIDECAR, container("i2", running={})], "1/2", "Init:2/3", "3"),
    ],
)
def test_an_initializing_pod_shows_how_far_it_is(
    statuses: list[dict[str, Any]], ready: str, status: str, restarts: str
) -> None:
    row = cells(
        pod(
            INIT_SPEC,
            {
                "phase": "Pending",
                "initContainerStatuses": statuses,
                "containerStatuses": [container(restarts=5, waiting={"reason": "PodInitializing"})],
            },
        )
    )
    assert (row[READY], row[STATUS], row[RESTARTS]) == (ready, status, restarts)


def test_sidecars_count_in_ready_and_restarts_and_other_init_containers_do_not() -> None:
    row = cells(
        pod(
            INIT_SPEC,
            {
                "phase": "Running",
                "initContainerStatuses": [DONE, SIDECAR, {**DONE, "name": "i2"}],
                "containerStatuses": [running(restarts=4)],
            },
        )
    )
    assert (row[READY], row[STATUS], row[RESTARTS]) == ("2/2", "Running", "6")


def test_a_pod_that_was_initialized_shows_its_containers_while_a_sidecar_restarts() -> None:
    row = cells(
        pod(
            INIT_SPEC,
            {
                "phase": "Running",
                "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [
                    DONE,
                    container("side", 2, waiting={"reason": "CrashLoopBackOff"}),
                ],
                "containerStatuses": [running()],
            },
        )
    )
    assert (row[READY], row[STATUS], row[RESTARTS]) == ("1/2", "Init:CrashLoopBackOff", "2")


def test_restarts_tell_when_a_container_last_ended() -> None:
    statuses = [
        running(restarts=2, ended="2026-01-01T00:50:00Z"),
        running(name="d", restarts=1, ended="2026-01-01T00:58:00Z"),
    ]
    row = cells(pod(containers=2, status={"phase": "Running", "containerStatuses": statuses}))
    assert row[RESTARTS] == "3 (2m ago)"


def test_no_restarts_tell_no_time() -> None:
    statuses = [running(ended="2026-01-01T00:50:00Z")]
    row = cells(pod(status={"phase": "Running", "containerStatuses": statuses}))
    assert row[RESTARTS] == "0"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Running"}, "Terminating"),
        ({"phase": "Pending"}, "Terminating"),
        ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
        ({"phase": "Succeeded"}, "Succeeded"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
    ],
)
def test_a_deleted_pod_is_terminating_until_it_has_ended(
    status: dict[str, Any], shown: str
) -> None:
    deleted = {"deletionTimestamp": "2026-01-01T00:59:00Z"}
    assert cells(pod(status=status, metadata=deleted))[STATUS] == shown


@pytest.mark.parametrize(
    ("phase", "message"),
    [("Succeeded", "The pod has completed successfully."), ("Failed", "The pod failed.")],
)
def test_the_row_of_a_finished_pod_has_a_completed_condition(phase: str, message: str) -> None:
    obj = pod(status={"phase": phase})
    answer = table(("", "Pod"), [obj], {}, include_object="None", now=NOW)
    assert answer["rows"][0]["conditions"] == [
        {"type": "Completed", "status": "True", "reason": phase, "message": message}
    ]


def test_the_row_of_a_running_pod_has_no_conditions() -> None:
    obj = pod(status={"phase": "Running"})
    answer = table(("", "Pod"), [obj], {}, include_object="None", now=NOW)
    assert "conditions" not in answer["rows"][0]
