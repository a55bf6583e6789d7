"""The event log of a system of several processes: one Redis stream.

    log.py (the EventLog) ─▶ connection.py (calls, errors) ─▶ wire.py (bytes)
                          ─▶ retention.py (what to trim)

Only who opens a RedisEventLog imports this package, and with it hiredis and redis-py.
"""

from shared.eventlog.redis.connection import AccessDenied, RedisServer
from shared.eventlog.redis.log import RedisEventLog, RedisEventLogOptions

__all__ = ["AccessDenied", "RedisEventLog", "RedisEventLogOptions", "RedisServer"]
