"""BufferedBackend: events wait in memory, in batches, for a file or a webhook.

One task owns the buffer's other end. Requests never write themselves; what they wait for is
their backend's mode:

    batch            nothing; when the buffer is full, events are lost and counted
    blocking         room in the buffer; a webhook makes them wait until it has the event
    blocking-strict  as blocking, and a request whose first event is lost is refused

Source: kube-apiserver v1.36.2, plugin/pkg/audit (buffered, truncate), server/options/audit.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.apiserver.audit.event import RequestAudit
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.recording import REQUEST_RECEIVED, Level

log = logging.getLogger("kubefan.apiserver")

Mode = Literal["batch", "blocking", "blocking-strict"]
LIMIT_BYTES = 64 * 2**20
"""Events of level RequestResponse may be megabytes each: a count alone bounds nothing."""
LAST_CHANCE_S = 1.0
"""For what is in the buffer when the server fails."""


class DeliveryError(Exception):
    """A batch is lost; the message says why."""


class Destination(Protocol):
    """Where batches go."""

    name: str
    """The plugin's name in metrics."""
    waits_for_delivery: bool
    """Whether a blocking mode waits until an event has arrived, or only for room."""
    limit_deliveries: int
    """Batches under way at once; 1 keeps their order."""

    def encode(self, event: RequestAudit, *, truncated: bool) -> bytes: ...

    async def deliver(self, batch: Sequence[bytes]) -> None:
        """Write or send a batch; retry where that can help.

        Raises:
            DeliveryError: it is lost.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How events become batches."""

    limit_buffer: int = 10_000
    limit_batch: int = 400
    limit_batch_bytes: int = 10 * 2**20
    wait_s: float = 30.0
    """The longest time between two batches."""
    throttle_qps: float = 0.0
    """Batches a second; 0: as many as come."""
    throttle_burst: int = 1


Buffered = tuple[bytes, asyncio.Future[bool] | None]
"""An event, and who waits for it: the future tells whether it has arrived."""


class BufferedBackend:
    """Takes events until `stop`; `run` delivers them, and returns when all are out after that."""

    def __init__(
        self,
        destination: Destination,
        mode: Mode,
        batching: Batching,
        metrics: AuditMetrics,
        *,
        limit_event_bytes: int | None = None,
    ) -> None:
        self._destination = destination
        self._mode = mode
        self._is_strict = mode == "blocking-strict"
        self._always_waits = mode != "batch" and destination.waits_for_delivery
        self._batching = batching
        self._metrics = metrics
        self._limit_event_bytes = limit_event_bytes
        self._buffer: deque[Buffered] = deque()
        self._size_bytes = 0
        self._stopping = False
        self._ended = False
        # Set while there is anything to do, a whole batch, any room.
        self._filled = asyncio.Event()
        self._whole = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __repr__(self) -> str:
        return (
            f"<BufferedBackend {self._destination.name} {self._mode}"
            f" {len(self._buffer)} events, {self._size_bytes} bytes>"
        )

    # -- requests --------------------------------------------------------------------

    def accept(self, event: RequestAudit) -> Awaitable[bool] | None:
        """Take an event; see `Backend` and the modes above."""
        encoded = self._destination.encode(event, truncated=False)
        limit = self._limit_event_bytes
        if limit is not None and len(encoded) > limit:
            shorter = self._truncated(event, limit)
            if shorter is None:
                return None
            encoded = shorter
        strict = self._is_strict and event.stage == REQUEST_RECEIVED
        if self._ended or self._is_full():
            return self._accept_when_there_is_room(encoded, strict=strict)
        return self._put(encoded, strict)

    def _put(self, encoded: bytes, strict: bool) -> Awaitable[bool] | None:
        arrived: asyncio.Future[bool] | None = None
        if strict or self._always_waits:
            arrived = asyncio.get_running_loop().create_future()
            self._whole.set()  # nobody shall wait for a batch to be whole
        buffer = self._buffer
        buffer.append((encoded, arrived))
        self._size_bytes += len(encoded)
        count = len(buffer)
        if count == 1:
            self._filled.set()
        if count == self._batching.limit_batch:
            self._whole.set()
        if arrived is None or strict:
            return arrived
        return _whatever_comes_of(arrived)

    async def _accept_when_there_is_room(self, encoded: bytes, *, strict: bool) -> bool:
        while self._ended or self._is_full():
            if self._mode == "batch" or self._ended:
                self._metrics.errors["buffered"] += 1
                return not strict
            self._room.clear()
            await self._room.wait()
        waiting = self._put(encoded, strict)
        return True if waiting is None else await waiting

    def _is_full(self) -> bool:
        # One event always has room, whatever its size.
        return len(self._buffer) >= self._batching.limit_buffer or self._size_bytes > LIMIT_BYTES

    def _truncated(self, event: RequestAudit, limit: int) -> bytes | None:
        """Return the event without its objects; None if it is too large even so, and lost."""
        if event.level >= Level.REQUEST:
            encoded = self._destination.encode(event, truncated=True)
            if len(encoded) <= limit:
                return encoded
        self._metrics.errors["truncate"] += 1
        return None

    # -- the task --------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver until `stop`, then what is left."""
        destination = self._destination
        sending = asyncio.Semaphore(destination.limit_deliveries)
        throttle = Throttle(self._batching.throttle_qps, self._batching.throttle_burst)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._filled.wait()
                    if not self._buffer:
                        self._ended = True
                        break
                    await throttle.wait()
                    await sending.acquire()
                    batch = self._take()
                    if destination.limit_deliveries == 1:
                        await self._deliver(batch, sending)
                    else:
                        tasks.create_task(self._deliver(batch, sending), name="audit batch")
                    await self._pause()
        finally:
            self._ended = True
            self._room.set()
            await self._deliver_last()
            await destination.aclose()

    async def _deliver_last(self) -> None:
        """Deliver what is left where the server fails; after `stop` there is nothing."""
        left = [*self._buffer]
        self._buffer.clear()
        if not left:
            return
        try:
            async with asyncio.timeout(LAST_CHANCE_S):
                await self._destination.deliver([encoded for encoded, _ in left])
        except (DeliveryError, TimeoutError):
            self._lose(left)
        else:
            _tell(left, True)

    def stop(self) -> None:
        """Let `run` end once it has delivered what is in the buffer."""
        self._stopping = True
        self._filled.set()
        self._whole.set()

    async def _pause(self) -> None:
        """Wait until the next batch is due."""
        if len(self._buffer) < self._batching.limit_batch and not self._stopping:
            try:
                async with asyncio.timeout(self._batching.wait_s):
                    await self._whole.wait()
            except TimeoutError:
                pass

    def _take(self) -> list[Buffered]:
        """Remove the next batch from the buffer."""
        buffer, batching = self._buffer, self._batching
        batch: list[Buffered] = []
        limit, limit_bytes = batching.limit_batch, batching.limit_batch_bytes
        if len(buffer) <= limit and self._size_bytes <= limit_bytes:
            # All of it, as nearly always: one by one would be 2 us a request.
            batch += buffer
            buffer.clear()
            self._size_bytes = 0
        size = 0
        while buffer and len(batch) < limit:
            length = len(buffer[0][0])
            if batch and size + length > limit_bytes:
                break
            batch.append(buffer.popleft())
            size += length
        self._size_bytes -= size
        if not buffer:
            # Here and not before the next wait: somebody may come while this batch is under way.
            self._whole.clear()
            if not self._stopping:
                self._filled.clear()
        self._room.set()
        return batch

    async def _deliver(self, batch: list[Buffered], sending: asyncio.Semaphore) -> None:
        try:
            await self._destination.deliver([encoded for encoded, _ in batch])
        except DeliveryError as error:
            log.error(
                "audit events are lost",
                extra={
                    "plugin": self._destination.name,
                    "events": len(batch),
                    "reason": str(error),
                },
            )
            self._lose(batch)
        except asyncio.CancelledError:
            self._lose(batch)
            raise
        else:
            if self._is_strict or self._always_waits:
                _tell(batch, True)
        finally:
            sending.release()

    def _lose(self, batch: list[Buffered]) -> None:
        self._metrics.errors[self._destination.name] += len(batch)
        _tell(batch, False)


def _tell(batch: list[Buffered], arrived: bool) -> None:
    """Tell the requests that wait what has become of their events."""
    for _, waiting in batch:
        if waiting is not None and not waiting.done():
            waiting.set_result(arrived)


async def _whatever_comes_of(arrived: asyncio.Future[bool]) -> bool:
    await arrived
    return True


class Throttle:
    """A token bucket: `burst` at once, `qps` a second for long."""

    def __init__(self, qps: float, burst: int) -> None:
        self._qps = qps
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = 0.0

    async def wait(self) -> None:
        """Take a token, as soon as there is one."""
        if not self._qps:
            return
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._qps)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._qps)
