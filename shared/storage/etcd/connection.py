"""Channels to etcd's endpoints, calls with a deadline, and gRPC's errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc

from shared.storage.errors import StorageError, StorageUnavailable

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that comes back is found within a second, not within gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A peer that vanished without a word is noticed; etcd allows a ping every 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Two stores of one process do not share a connection: one's big list delays no other.
    ("grpc.use_local_subchannel_pool", 1),
)

_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class RevisionCompacted(StorageError):
    """etcd's word for it, which does not say what is left; the store makes it Compacted."""


class RevisionInFuture(StorageError):
    """The same for FutureRevision."""


class LeaseNotFound(StorageError):
    """The lease that a write named has ended; the write did not happen."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files, as etcd's own clients take them. Without `ca` the system's are trusted."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        try:
            return grpc.ssl_channel_credentials(
                *(file.read_bytes() if file else None for file in (self.ca, self.key, self.cert))
            )
        except OSError as error:
            raise StorageError(f"can't read the TLS files for etcd: {error}") from error


class Server:
    """One endpoint with its channel and stubs."""

    def __init__(self, endpoint: str, tls: TlsFiles | None) -> None:
        scheme, separator, address = endpoint.rpartition("://")
        if separator and scheme not in ("http", "https"):
            raise StorageError(f"{endpoint!r}: an etcd endpoint is http:// or https://")
        self.endpoint = endpoint
        if scheme == "https" or (not separator and tls is not None):
            credentials = (tls or TlsFiles()).credentials()
            self.channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
        else:
            self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.kv = rpc.KVStub(self.channel)
        self.lease = rpc.LeaseStub(self.channel)
        self.watch = rpc.WatchStub(self.channel)
        self.maintenance = rpc.MaintenanceStub(self.channel)


class Connection:
    """Uses one endpoint until it fails, then the next."""

    def __init__(self, endpoints: Sequence[str], tls: TlsFiles | None, timeout_s: float) -> None:
        if not endpoints:
            raise StorageError("no etcd endpoint is given")
        self._servers = [Server(endpoint, tls) for endpoint in endpoints]
        self._current = 0
        self.timeout_s = timeout_s
        self.closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Connection {self.server.endpoint}, one of {len(self._servers)}>"

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def server(self) -> Server:
        return self._servers[self._current]

    def turn_from(self, server: Server) -> None:
        """Use the next endpoint, unless another caller has already left this one."""
        if server is self.server:
            self._current = (self._current + 1) % len(self._servers)

    def check_open(self) -> None:
        if self.closed.is_set():
            raise StorageUnavailable("the store is closed")

    async def call(
        self, method: Callable[[Server], Any], request: Any, *, repeatable: bool = True
    ) -> Any:
        """Return etcd's answer within `timeout_s`.

        A call that is not `repeatable` is tried elsewhere only if it can't have been sent.

        Raises:
            StorageUnavailable, RevisionCompacted, RevisionInFuture, LeaseNotFound,
            StorageError: as `translate` says.
        """
        self.check_open()
        now = asyncio.get_running_loop().time
        deadline = now() + self.timeout_s
        attempts = max(2, len(self._servers))
        while True:
            server = self.server
            left_s = deadline - now()
            # What may be repeated leaves time for the other endpoints.
            timeout_s = left_s / min(attempts, len(self._servers)) if repeatable else left_s
            try:
                return await method(server)(request, timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() in _TRANSIENT:
                    self.turn_from(server)
                attempts -= 1
                if attempts == 0 or now() >= deadline or not _may_try_again(error, repeatable):
                    raise translate(error) from error
            except asyncio.CancelledError:
                if task_is_cancelled():
                    raise
                # It is the call that was, by the server or by closing the channel.
                raise StorageUnavailable("the call was cancelled") from None

    async def aclose(self) -> None:
        self.closed.set()
        for server in self._servers:
            await server.channel.close()


def translate(error: grpc.aio.AioRpcError) -> StorageError:
    """etcd v3.4 to v3.6, api/v3rpc/rpctypes/error.go."""
    code, details = error.code(), error.details() or ""
    if code in _TRANSIENT and "larger than max" not in details:  # that is about the request
        return StorageUnavailable(f"etcd: {code.name}: {details}")
    if code is grpc.StatusCode.OUT_OF_RANGE and "has been compacted" in details:
        return RevisionCompacted(details)
    if code is grpc.StatusCode.OUT_OF_RANGE and "is a future revision" in details:
        return RevisionInFuture(details)
    if code is grpc.StatusCode.NOT_FOUND and "lease not found" in details:
        return LeaseNotFound(details)
    return StorageError(f"etcd: {code.name}: {details}")


def _may_try_again(error: grpc.aio.AioRpcError, repeatable: bool) -> bool:
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        not_sent = (error.details() or "").startswith("failed to connect to all addresses")
        return repeatable or not_sent
    return repeatable and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def task_is_cancelled() -> bool:
    """Tell a cancelled task from a cancelled gRPC call, which raises CancelledError too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
