"""What a replica answers lists and watches from: objects as bytes, history, watchers.

Fed by a snapshot and an event log. Parses no JSON, knows no kinds, does no I/O of its own.
"""

from shared.watchcache.cache import WatchCache
from shared.watchcache.errors import Expired, ReloadNeeded, StaleSnapshot, WatchCacheError
from shared.watchcache.event import WatchEvent, event_frame
from shared.watchcache.history import History, HistoryLimits
from shared.watchcache.ready import ReadyWatchers
from shared.watchcache.renderings import Renderings
from shared.watchcache.resource import ResourceCache
from shared.watchcache.watcher import BacklogLimits, EndReason, Matches, Watcher

__all__ = [
    "BacklogLimits",
    "EndReason",
    "Expired",
    "History",
    "HistoryLimits",
    "Matches",
    "ReadyWatchers",
    "ReloadNeeded",
    "Renderings",
    "ResourceCache",
    "StaleSnapshot",
    "WatchCache",
    "WatchCacheError",
    "WatchEvent",
    "Watcher",
    "event_frame",
]
