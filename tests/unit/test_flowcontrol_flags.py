"""The flags of flow control, and the lease by which a replica shows itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.apiserver.controlplane.identitylease import is_expired
from services.apiserver.flowcontrol import WorkEstimator
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.registry.served import Registry
from services.apiserver.stages.flowcontrol import InFlight, PriorityAndFairness, flow_control_of


def chosen(*flags: str) -> Any:
    options = ApiServerOptions.from_argv(list(flags)).flow_control
    return flow_control_of(options, Registry(), 60.0)


def test_priority_and_fairness_is_on_and_shares_the_sum_of_both_limits() -> None:
    control = chosen("--max-requests-inflight=30", "--max-mutating-requests-inflight=10")
    assert isinstance(control, PriorityAndFairness)
    assert control.levels.levels["catch-all"].queues.limit == 40
    assert isinstance(control.estimator, WorkEstimator)


def test_without_it_the_limits_count_apart() -> None:
    control = chosen("--enable-priority-and-fairness=false", "--max-requests-inflight=30")
    assert isinstance(control, InFlight)
    assert (control.limit_reading, control.limit_mutating) == (30, 200)


def test_no_seats_at_all_are_a_mistake_only_with_priority_and_fairness() -> None:
    none = ("--max-requests-inflight=0", "--max-mutating-requests-inflight=0")
    with pytest.raises(OptionsError, match=r"--max-requests-inflight.*something positive"):
        chosen(*none)
    assert isinstance(chosen(*none, "--enable-priority-and-fairness=false"), InFlight)


@pytest.mark.parametrize(
    ("spec", "expired"),
    [
        ({"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 3600}, False),
        ({"renewTime": "2025-12-31T23:00:00.000000Z", "leaseDurationSeconds": 3600}, True),
        ({"leaseDurationSeconds": 3600}, True),
        ({"renewTime": "2026-01-01T00:00:00.000000Z"}, True),
        (None, True),
    ],
)
def test_a_lease_expires_when_it_is_not_renewed(spec: Any, expired: bool) -> None:
    assert is_expired({"spec": spec}, datetime(2026, 1, 1, 0, 30, tzinfo=UTC)) is expired
