"""Levels and stages: the words that policy, events and backends share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

REQUEST_RECEIVED = "RequestReceived"
RESPONSE_STARTED = "ResponseStarted"
RESPONSE_COMPLETE = "ResponseComplete"
PANIC = "Panic"
STAGES = (REQUEST_RECEIVED, RESPONSE_STARTED, RESPONSE_COMPLETE, PANIC)


class Level(IntEnum):
    """How much is recorded; each level includes those below it."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAME_OF_LEVEL = {level: name for name, level in LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Recording:
    """What is recorded of a request, as the policy decides."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False
