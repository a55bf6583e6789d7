"""The watchfanout: reads etcd's changes once, for all replicas, and appends them to the event log.

options    the flags
service    the parts put together; standing by and leading in turn
leading    what the leader does: etcd → event log, from where the log ended or is filled anew
standby    what the others do: follow the log, and watch over the leader
state      the objects that both keep, for snapshots
http       /snapshot, /metrics and the health checks
"""
