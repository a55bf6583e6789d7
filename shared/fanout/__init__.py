"""From the store to the event log: the one place where objects are made ready for readers.

Follower, snapshot and translation; no leader election, no transport, no cache.
"""

from shared.fanout.errors import HistoryLost
from shared.fanout.follow import Follower
from shared.fanout.rules import definition_rule, extractor_for, field_source
from shared.fanout.snapshot import Snapshot, load_snapshot

__all__ = [
    "Follower",
    "HistoryLost",
    "Snapshot",
    "definition_rule",
    "extractor_for",
    "field_source",
    "load_snapshot",
]
