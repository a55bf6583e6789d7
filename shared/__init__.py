"""What the services have in common. Nothing in here imports a service.

storage   keys and bytes with revisions: Storage and its implementations (etcd, SQLite)
objects   objects as bytes: the wire form and what selecting needs of it
eventlog  one ordered log of changes: EventLog and its implementations
fanout    storage changes -> event log, made once for all readers
watchcache  current objects and recent events of one replica, and its watchers
resources which resources exist, under which keys
selectors label and field selectors: parse, match
"""
