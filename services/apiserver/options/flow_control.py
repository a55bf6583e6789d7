"""Flags: how much is served at a time."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, boolean, integer


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlOptions:
    enable_priority_and_fairness: bool = True
    """Whether queues and shares decide who is served; else the two limits alone do."""
    max_requests_inflight: int = 400
    """Requests that only read, served at a time; 0 is no limit. With priority and fairness the
    sum of both limits is how many seats the server has."""
    max_mutating_requests_inflight: int = 200


def add_flags(add: AddFlag) -> None:
    add("--enable-priority-and-fairness", default="true", nargs="?", const="true", metavar="BOOL")
    add("--max-requests-inflight", default="400", metavar="N")
    add("--max-mutating-requests-inflight", default="200", metavar="N")


def read(known: argparse.Namespace, mistakes: list[str]) -> FlowControlOptions:
    enabled = boolean(known, "enable_priority_and_fairness", mistakes)
    options = FlowControlOptions(
        enable_priority_and_fairness=enabled,
        max_requests_inflight=integer(known, "max_requests_inflight", 0, 10**9, mistakes),
        max_mutating_requests_inflight=integer(
            known, "max_mutating_requests_inflight", 0, 10**9, mistakes
        ),
    )
    if enabled and not options.max_requests_inflight + options.max_mutating_requests_inflight:
        mistakes.append(
            "--max-requests-inflight: with --enable-priority-and-fairness it must add up to "
            "something positive with --max-mutating-requests-inflight"
        )
    return options
