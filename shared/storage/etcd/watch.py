"""One stream of etcd's Watch service: created, read in whole revisions, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from aetcd import rpc

from shared.storage.errors import Compacted, StorageUnavailable
from shared.storage.etcd.connection import Connection, translate
from shared.storage.etcd.grpcclient import RpcError
from shared.storage.keyrange import prefix_end
from shared.storage.protocol import Change, ChangeBatch, KeyValue, Revision

# Without a leader a member would leave the watch open and silent: let it end instead.
_METADATA = (("hasleader", "true"),)

QUIET_S = 1.0
"""After which silence a watch asks whether its member is there, and how long it waits for that.
Pings would take fifteen seconds: etcd does not want them more often."""

MOST_CHANGES = 500
"""What has arrived already goes together; bounds what is translated at once."""


class WatchStream:
    """A watch of `prefix` behind `position`, on the endpoint in use when it was made.

    etcd is asked for `position` too, and its events are dropped: it then refuses a start
    whose successor is the compacted revision itself, where a deletion may be missing.
    """

    def __init__(self, connection: Connection, prefix: bytes, position: Revision) -> None:
        self._connection = connection
        self._server = connection.server
        self._prefix = prefix
        self.position = position
        self._call: Any = self._server.watch.Watch(metadata=_METADATA)
        self._writing = asyncio.Lock()
        self._heard = 0
        """How many messages have been read."""
        self.opened_at = Revision(0)
        """How far the member was when it opened the watch; others may be further."""

    def __repr__(self) -> str:
        return f"<WatchStream {self._prefix!r} at {self.position}, {self._server.endpoint}>"

    async def create(self) -> None:
        """Raises StorageUnavailable, or Compacted."""
        end = prefix_end(self._prefix)
        request = rpc.WatchCreateRequest(
            key=self._prefix or b"\0",
            range_end=b"\0" if end is None else end,
            start_revision=max(self.position, 1),
            progress_notify=True,
            prev_kv=True,
            fragment=True,
        )
        try:
            async with asyncio.timeout(self._connection.timeout_s):
                await self._write(rpc.WatchRequest(create_request=request))
                while not (answer := await self._read()).created:
                    pass
                self.opened_at = Revision(answer.header.revision)
        except TimeoutError:
            self._connection.turn_from(self._server)
            raise StorageUnavailable(f"{self._server.endpoint} opened no watch in time") from None

    async def next_batch(self) -> ChangeBatch:
        """Return the next whole revisions, or how far the watch has seen everything.

        Raises:
            Compacted: the history at `position` is gone.
            StorageUnavailable: the stream ended; a new one can go on at `position`.
        """
        changes: list[Change] = []
        while True:
            response = await self._read()
            changes += self._changes(response.events)
            if response.fragment or (self._call.has_message and len(changes) < MOST_CHANGES):
                continue
            # Behind the last event of a response there may be more that are not sent yet.
            seen = changes[-1].revision if changes else Revision(response.header.revision)
            if changes or (not response.events and seen > self.position):
                self.position = seen
                return ChangeBatch(changes, seen)

    async def doubt(self) -> None:
        """While nothing comes, see whether the connection lives, for ever: a member that has
        vanished does not say so, and the others are at work.

        A call that has no answer ends the connection, and so the watch.
        """
        anything = rpc.RangeRequest(key=b"\0", limit=1, count_only=True)
        while True:
            heard = self._heard
            await asyncio.sleep(QUIET_S)
            if heard == self._heard and not self._call.has_message:
                with contextlib.suppress(RpcError):
                    await self._server.kv.Range(anything, timeout=QUIET_S)

    async def request_progress(self) -> None:
        """Ask etcd to say how far the watch has come; the answer is a batch without changes."""
        async with self._writing:
            await self._write(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    def cancel(self) -> None:
        self._call.cancel()

    async def _write(self, request: Any) -> None:
        try:
            await self._call.write(request)
        except RpcError as error:
            self._connection.turn_from(self._server)
            raise translate(error) from error

    async def _read(self) -> Any:
        try:
            response = await self._call.read()
        except RpcError as error:
            self._connection.turn_from(self._server)
            raise translate(error) from error
        if response is None:
            self._connection.turn_from(self._server)
            raise StorageUnavailable(f"{self._server.endpoint} ended the watch")
        self._heard += 1
        if response.canceled:
            if response.compact_revision:
                raise Compacted(self.position, Revision(response.compact_revision))
            raise StorageUnavailable(f"etcd cancelled the watch: {response.cancel_reason}")
        return response

    def _changes(self, events: Sequence[Any]) -> list[Change]:
        position = self.position
        return [self._change(event) for event in events if event.kv.mod_revision > position]

    def _change(self, event: Any) -> Change:
        kv = event.kv
        deleted = event.type == rpc.Event.DELETE
        previous = None
        if event.HasField("prev_kv"):
            prev_kv = event.prev_kv
            previous = KeyValue(prev_kv.key, prev_kv.value, Revision(prev_kv.mod_revision))
        elif deleted or kv.create_revision != kv.mod_revision:
            # etcd looks the previous value up when it sends: compaction has overtaken us.
            raise Compacted(self.position, Revision(kv.mod_revision))
        return Change(kv.key, None if deleted else kv.value, Revision(kv.mod_revision), previous)
