"""Flags: how much is served at a time."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from shared.flags import AddFlag, integer


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlOptions:
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200


def add_flags(add: AddFlag) -> None:
    add("--max-requests-inflight", default="400", metavar="N")
    add("--max-mutating-requests-inflight", default="200", metavar="N")


def read(known: argparse.Namespace, mistakes: list[str]) -> FlowControlOptions:
    return FlowControlOptions(
        max_requests_inflight=integer(known, "max_requests_inflight", 0, 10**9, mistakes),
        max_mutating_requests_inflight=integer(
            known, "max_mutating_requests_inflight", 0, 10**9, mistakes
        ),
    )
