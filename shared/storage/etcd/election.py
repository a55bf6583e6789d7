"""Leader election: one key that lives as long as its holder keeps a lease alive.

Who leads is decided by etcd; that at most one believes so is not: a leader that was paused
may act until it looks at its clock. What it does then must be harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from aetcd import rpc

from shared.storage.errors import StorageError
from shared.storage.etcd.connection import (
    Connection,
    LeaseNotFound,
    Server,
    translate,
)
from shared.storage.etcd.grpcclient import RpcError
from shared.storage.protocol import Revision
from shared.tlsfiles import TlsFiles


class LeadershipLost(Exception):
    """The lease has ended, or could not be kept alive in time."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who leads: what it wrote, and the lease that holds it."""

    value: bytes
    lease: int
    seen_at: Revision = field(default=Revision(0), compare=False)
    """etcd's revision when it was asked."""


class Election:
    """One candidate. Not for two tasks at a time."""

    def __init__(
        self,
        endpoints: Sequence[str],
        tls: TlsFiles | None,
        *,
        key: bytes,
        value: bytes,
        lease_s: int,
    ) -> None:
        """`value` is what others see of the leader. etcd's shortest lease is 2 s."""
        self._connection = Connection(endpoints, tls, timeout_s=max(lease_s / 2, 1.0))
        self._key = key
        self._value = value
        self._lease_s = lease_s

    def __repr__(self) -> str:
        return f"<Election {self._key!r}, lease {self._lease_s} s, {self._connection!r}>"

    async def stand(self) -> int | Holder | None:
        """Try once to become the leader.

        Returns:
            The lease that is now ours; or who leads; None if somebody else was quicker.

        Raises:
            StorageError: etcd can't be asked.
        """
        holder = await self.holder()
        if holder is not None:
            return holder
        granted = await self._connection.call(
            lambda server: server.lease.LeaseGrant, rpc.LeaseGrantRequest(TTL=self._lease_s)
        )
        lease: int = granted.ID
        won = False
        try:
            request = rpc.TxnRequest(
                compare=[
                    rpc.Compare(
                        key=self._key,
                        target=rpc.Compare.CREATE,
                        result=rpc.Compare.EQUAL,
                        create_revision=0,
                    )
                ],
                success=[
                    rpc.RequestOp(
                        request_put=rpc.PutRequest(key=self._key, value=self._value, lease=lease)
                    )
                ],
            )
            answer = await self._connection.call(
                lambda server: server.kv.Txn, request, repeatable=False
            )
            won = answer.succeeded
        finally:
            if not won:
                # Whether the key was written may be unknown: with the lease it goes.
                with contextlib.suppress(StorageError):
                    await self.revoke(lease)
        return lease if won else None

    async def holder(self) -> Holder | None:
        """Return who leads now, None if nobody does."""
        answer = await self._connection.call(
            lambda server: server.kv.Range, rpc.RangeRequest(key=self._key)
        )
        for kv in answer.kvs:
            return Holder(kv.value, kv.lease, Revision(answer.header.revision))
        return None

    async def revoke(self, lease: int) -> None:
        """End a lease and with it the key: one's own, or that of a leader known to be dead."""
        with contextlib.suppress(LeaseNotFound):
            await self._connection.call(
                lambda server: server.lease.LeaseRevoke, rpc.LeaseRevokeRequest(ID=lease)
            )

    async def hold(self, lease: int) -> None:
        """Keep the lease alive; returns never.

        Raises:
            LeadershipLost: it has ended, or may have.
        """
        now = asyncio.get_running_loop().time
        alive_at = now()
        while True:
            asked_at = now()  # etcd counts from later on
            server = self._connection.server
            try:
                async with asyncio.timeout(self._lease_s / 3):
                    left_s = await self._keep_alive(server, lease)
            except (TimeoutError, StorageError) as error:
                self._connection.turn_from(server)
                if now() - alive_at >= self._lease_s:
                    raise LeadershipLost("etcd did not answer for the length of a lease") from error
                await asyncio.sleep(0.1 * (0.5 + random.random()))
                continue
            if left_s <= 0:
                raise LeadershipLost("the lease has ended")
            alive_at = asked_at
            await asyncio.sleep(self._lease_s / 3)

    async def _keep_alive(self, server: Server, lease: int) -> int:
        """Return the seconds that etcd gives the lease from now on; 0 if it knows it no more."""
        call = server.lease.LeaseKeepAlive()
        try:
            await call.write(rpc.LeaseKeepAliveRequest(ID=lease))
            answer = await call.read()
        except RpcError as error:
            raise translate(error) from error
        finally:
            call.cancel()
        return 0 if answer is None else answer.TTL

    async def aclose(self) -> None:
        await self._connection.aclose()
