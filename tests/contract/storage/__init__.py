"""What every Storage promises; each implementation's test file says only how to open one.

A module here is a part of the promise, and a class that knows nothing of the other parts.
"""

from __future__ import annotations

from tests.contract.storage.interruptions import InterruptionContract
from tests.contract.storage.reads import ReadContract
from tests.contract.storage.retention import RetentionContract
from tests.contract.storage.stories import Run, Story, begun, collect, watching
from tests.contract.storage.watches import WatchContract
from tests.contract.storage.writes import WriteContract

__all__ = ["Run", "StorageContract", "Story", "begun", "collect", "watching"]


class StorageContract(
    WriteContract, ReadContract, WatchContract, RetentionContract, InterruptionContract
):
    """Collected through its subclasses, whose fixture `run` gives a story a store of its own."""
