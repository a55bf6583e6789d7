"""Channels to etcd's endpoints, calls with a deadline, and gRPC's errors in our words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from aetcd import rpc

from shared.storage.errors import StorageError, StorageUnavailable
from shared.storage.etcd.grpcclient import Channel, RpcError, StatusCode
from shared.tlsfiles import TlsFiles

_TRANSIENT = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.CANCELLED,
        StatusCode.ABORTED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.RESOURCE_EXHAUSTED,
    }
)


class RevisionCompacted(StorageError):
    """etcd's word for it, which does not say what is left; the store makes it Compacted."""


class RevisionInFuture(StorageError):
    """The same for FutureRevision."""


class LeaseNotFound(StorageError):
    """The lease that a write named has ended; the write did not happen."""


class Server:
    """One endpoint with its channel and stubs."""

    def __init__(self, endpoint: str, tls: TlsFiles | None) -> None:
        scheme, separator, address = endpoint.rpartition("://")
        if separator and scheme not in ("http", "https"):
            raise StorageError(f"{endpoint!r}: an etcd endpoint is http:// or https://")
        self.endpoint = endpoint
        context = None
        if scheme == "https" or (not separator and tls is not None):
            context = _context(tls or TlsFiles())
        try:
            self.channel = Channel(address, context)
        except ValueError as error:
            raise StorageError(f"{endpoint!r}: {error}") from error
        self.kv = rpc.KVStub(self.channel)
        self.lease = rpc.LeaseStub(self.channel)
        self.watch = rpc.WatchStub(self.channel)
        self.maintenance = rpc.MaintenanceStub(self.channel)


def _context(files: TlsFiles) -> ssl.SSLContext:
    try:
        context = files.context()
    except OSError as error:
        raise StorageError(f"can't read the TLS files for etcd: {error}") from error
    context.set_alpn_protocols(["h2"])
    return context


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
            except RpcError as error:
                if error.code in _TRANSIENT:
                    self.turn_from(server)
                attempts -= 1
                if attempts == 0 or now() >= deadline or not _may_try_again(error, repeatable):
                    raise translate(error) from error

    async def aclose(self) -> None:
        self.closed.set()
        for server in self._servers:
            await server.channel.close()


def translate(error: RpcError) -> StorageError:
    """etcd v3.4 to v3.6, api/v3rpc/rpctypes/error.go."""
    code, details = error.code, error.details
    if code in _TRANSIENT and "larger than max" not in details:  # that is about the request
        return StorageUnavailable(f"etcd: {code.name}: {details}")
    if code is StatusCode.OUT_OF_RANGE and "has been compacted" in details:
        return RevisionCompacted(details)
    if code is StatusCode.OUT_OF_RANGE and "is a future revision" in details:
        return RevisionInFuture(details)
    if code is StatusCode.NOT_FOUND and "lease not found" in details:
        return LeaseNotFound(details)
    return StorageError(f"etcd: {code.name}: {details}")


def _may_try_again(error: RpcError, repeatable: bool) -> bool:
    if error.code is StatusCode.UNAVAILABLE:
        return repeatable or not error.sent
    return repeatable and error.code is StatusCode.DEADLINE_EXCEEDED
