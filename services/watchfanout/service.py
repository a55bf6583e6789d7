"""One watchfanout: puts the parts together, stands by and leads in turn, ends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from services.watchfanout.http import Routes, http_server
from services.watchfanout.leading import Leader, LogOutOfReach
from services.watchfanout.options import WatchfanoutOptions
from services.watchfanout.standby import Candidate, Standby
from services.watchfanout.state import State
from shared.eventlog.redis import RedisEventLog, RedisEventLogOptions, RedisServer
from shared.fanout import extractor_for
from shared.fanout.client import SnapshotAccess
from shared.flags import read_secret
from shared.resources import builtin_table
from shared.storage import StorageError
from shared.storage.compaction import Compaction
from shared.storage.etcd import EtcdStorage
from shared.storage.etcd.election import Election, LeadershipLost
from shared.tlsfiles import TlsFiles

log = logging.getLogger("kubefan.watchfanout")

ELECTION_KEY = "/kubefan/watchfanout/leader"
"""Outside of --etcd-prefix: no API server lists it."""
RELEASE_TIMEOUT_S = 1.0
REST_S = 1.0
"""For which a leader that can't reach the log leaves it to others to stand."""
STANDBY_PAUSE_S = 0.1
"""A standby reads ten times a second: nobody waits for it, and being woken is what costs."""


class Watchfanout:
    """`run` returns when it has been told to stop and has stopped."""

    def __init__(self, options: WatchfanoutOptions) -> None:
        self._options = options
        self._state = State()
        self._leads = False
        self._stopping = False
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            StorageError, EventLogError, OSError: it can't start.
            ExceptionGroup: one of its tasks failed.
        """
        options = self._options
        tls = None
        if any(url.startswith("https://") for url in options.etcd_servers):
            tls = TlsFiles.named(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
        event_log = open_event_log(options)
        storage = await EtcdStorage.open(options.etcd_servers, tls=tls)
        me = Candidate(options.identity, options.url)
        election = Election(
            options.etcd_servers,
            tls,
            key=ELECTION_KEY.encode(),
            value=me.to_bytes(),
            lease_s=options.lease_s,
        )
        try:
            await self._serve(storage, event_log, election, me)
        finally:
            await event_log.aclose()
            await election.aclose()
            await storage.aclose()

    async def _serve(
        self, storage: EtcdStorage, event_log: RedisEventLog, election: Election, me: Candidate
    ) -> None:
        options = self._options
        extractor = extractor_for(builtin_table().resources(), options.etcd_prefix)
        leader = Leader(storage, event_log, self._state, extractor, etcd_prefix=options.etcd_prefix)
        access = SnapshotAccess(options.peer_cafile, options.token)
        standby = Standby(me, election, event_log, self._state, access)
        elections = self._metrics(leader, event_log)

        def why_not_ready() -> str:
            if self._stopping:
                return "shutting down"
            if not self._state.is_loaded:
                return "nothing is loaded yet"
            if self._leads and not leader.is_following:
                return "leading, but not following etcd"
            return ""

        routes = Routes(
            self._state, self._registry, token=options.token, why_not_ready=why_not_ready
        )
        server = http_server(routes.application(), options)
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(
                    self._work(storage, election, standby, leader, elections), name="work"
                )
            ]
            if interval_s := options.etcd_compaction_interval_s:
                # Each knows how old revisions are, so a new leader does not begin to wait anew.
                compaction = Compaction(storage, interval_s, is_ours=lambda: self._leads)
                working.append(tasks.create_task(compaction.run(), name="compaction"))
            await server.serve()
            self._stopping = True
            for task in working:
                task.cancel()

    async def _work(
        self,
        storage: EtcdStorage,
        election: Election,
        standby: Standby,
        leader: Leader,
        elections: Counter,
    ) -> None:
        """Stand by, lead, and stand by again."""
        while True:
            lease = await standby.run()
            log.info("leading", extra={"identity": self._options.identity})
            elections.inc()
            self._leads = True
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(election.hold(lease), name="hold the lease")
                    tasks.create_task(leader.run(), name="lead")
            except* (LeadershipLost, LogOutOfReach) as lost:
                log.warning("leading no more", extra={"why": str(lost.exceptions[0])})
                rest_s = REST_S if lost.subgroup(LogOutOfReach) else 0.0
            finally:
                self._leads = False
                # So that another need not wait for the lease to end.
                with contextlib.suppress(TimeoutError, StorageError):
                    async with asyncio.timeout(RELEASE_TIMEOUT_S):
                        await election.revoke(lease)
            await asyncio.sleep(rest_s)

    def _metrics(self, leader: Leader, event_log: RedisEventLog) -> Counter:
        """Show what the parts hold; returns the counter of won elections."""

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"kubefan_watchfanout_{name}", text, registry=self._registry)

        gauge("leading", "1 while this one leads.").set_function(lambda: int(self._leads))
        gauge("revision", "The etcd revision of the state.").set_function(
            lambda: self._state.revision
        )
        gauge("objects", "Objects in the state.").set_function(lambda: len(self._state))
        gauge("events_appended", "Events appended to the log by this process.").set_function(
            lambda: leader.events
        )
        gauge("refills", "How often this process filled an empty log.").set_function(
            lambda: leader.refills
        )
        gauge("stream_entries", "Entries in the stream, as the leader knows.").set_function(
            lambda: event_log.length if self._leads else 0
        )
        gauge("stream_bytes", "Memory of the stream, as the leader knows.").set_function(
            lambda: event_log.size_bytes if self._leads else 0
        )
        return Counter("kubefan_watchfanout_elections", "Elections won.", registry=self._registry)


def open_event_log(options: WatchfanoutOptions) -> RedisEventLog:
    """Return the log at --redis-url; nothing is connected yet.

    Raises:
        EventLogError: the URL or a file can't be used.
    """
    password = None
    if options.redis_password_file:
        password = read_secret(options.redis_password_file)
    tls = TlsFiles.named(options.redis_cafile) if options.redis_cafile else None
    server = RedisServer.from_url(options.redis_url, password=password, tls=tls)
    return RedisEventLog(
        server,
        RedisEventLogOptions(
            limit_bytes=options.stream_bytes,
            limit_age_s=options.stream_age_s,
            pause_s=STANDBY_PAUSE_S,
        ),
    )
