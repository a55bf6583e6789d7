"""What a watchfanout does that does not lead: keep its state, and watch over who does."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import orjson

from services.watchfanout.state import State
from shared.eventlog import EventLogError
from shared.eventlog.redis import RedisEventLog
from shared.fanout.client import SnapshotAccess, SnapshotUnavailable, fetch_snapshot
from shared.storage import StorageError, WentBack
from shared.storage.etcd.election import Election, Holder
from shared.watchcache import ReloadNeeded, StaleSnapshot

log = logging.getLogger("kubefan.watchfanout")

POLL_S = 0.25
"""Between two looks at who leads; a look is a read in etcd and a connection to the leader."""
REFUSALS = 2
"""So many connections that the leader's port refuses, one after the other, mean that it is dead."""
RETRY_S = 0.5
CONNECT_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the leader writes under the election's key."""

    identity: str
    url: str

    def to_bytes(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, value: bytes) -> Candidate | None:
        """None if somebody else has written it."""
        try:
            found = orjson.loads(value)
            return cls(str(found["identity"]), str(found["url"]))
        except (ValueError, TypeError, KeyError):
            return None


class Standby:
    """Stands by until it leads."""

    def __init__(
        self,
        me: Candidate,
        election: Election,
        event_log: RedisEventLog,
        state: State,
        access: SnapshotAccess,
    ) -> None:
        self._me = me
        self._election = election
        self._log = event_log
        self._state = state
        self._access = access
        self.leader: Candidate | None = None
        """Who leads, as it was seen last."""
        self._lease = 0
        """That this process has led with."""
        self._is_new = True
        """Whether a leader of its name can be the process before this one."""

    def __repr__(self) -> str:
        return f"<Standby {self._me.identity}, leader {self.leader}>"

    async def run(self) -> int:
        """Follow the log until elected; returns the lease that is held.

        Raises:
            ExceptionGroup: of WentBack, the state is of an etcd that is no more.
        """
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(), name="follow the log")
            lease = await self._stand()
            following.cancel()
        self.leader = self._me
        self._lease = lease
        self._is_new = False
        return lease

    async def _follow(self) -> None:
        while True:
            try:
                if not self._state.is_loaded:
                    await self._load()
                await self._state.cache.follow(self._log, backfill=False)
            except (ReloadNeeded, StaleSnapshot) as error:
                log.info("the state is loaded anew", extra={"why": str(error)})
                self._state.is_loaded = False
            except (EventLogError, SnapshotUnavailable) as error:
                log.info("standing by without the log", extra={"why": str(error)})
            await asyncio.sleep(RETRY_S * (0.5 + random.random()))

    async def _load(self) -> None:
        leader = self.leader
        if leader is None or leader == self._me:
            raise SnapshotUnavailable("nobody leads yet")
        # Never from etcd: that is for the leader, and this one may soon be it.
        await self._state.load(await fetch_snapshot(leader.url, self._access))

    async def _stand(self) -> int:
        """Return the lease once this one leads."""
        refusals = 0
        while True:
            reached = self._state.revision
            try:
                outcome = await self._election.stand()
                if isinstance(outcome, int):
                    return outcome
                if outcome is not None:
                    if outcome.seen_at < reached:
                        raise WentBack(reached, outcome.seen_at)
                    refusals = refusals + 1 if await self._is_gone(outcome) else 0
                    if refusals >= REFUSALS:
                        log.warning("the leader is dead", extra={"leader": str(self.leader)})
                        await self._election.revoke(outcome.lease)
                        self._is_new = False
                        refusals = 0
                        continue
            except WentBack:
                raise
            except StorageError as error:
                log.info("etcd can't be asked who leads", extra={"why": str(error)})
            await asyncio.sleep(POLL_S / 2 if refusals else POLL_S * (0.5 + random.random()))

    async def _is_gone(self, holder: Holder) -> bool:
        """Whether the leader's machine says that nothing listens there any more.

        Silence is no sign: a leader that is cut off from here may lead all the same.
        """
        self.leader = leader = Candidate.from_bytes(holder.value)
        if leader is None:
            return False
        if holder.lease == self._lease:
            return True  # this one, that could not give it back
        if leader.identity != self._me.identity:
            self._is_new = False
        elif self._is_new:
            return True
        address = urlsplit(leader.url)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        writer.close()
        return False
