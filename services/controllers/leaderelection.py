"""Leader election by a Lease: of several processes one works, another takes over when it stops.

What to do is decided by plain functions from what was read and when; LeaderElector does it.
Clocks of different machines are never compared: a lease counts as expired when *we* have seen
it unchanged for its duration.

Source: client-go v0.36.2, tools/leaderelection/leaderelection.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from services.controllers.client import AlreadyExists, Client, ClientError, Conflict, NotFound
from services.controllers.resource import LEASES

log = logging.getLogger(__name__)

JITTER = 1.2
"""A follower's wait is the retry period times 1 to 2.2, as client-go's JitterFactor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderElectionOptions:
    """kube-controller-manager's flags of the same names, and its defaults."""

    identity: str
    namespace: str = "kube-system"
    name: str = "kubefan-controllers"
    lease_duration_s: float = 15.0
    """How long followers leave an unrenewed lease alone."""
    renew_deadline_s: float = 10.0
    """A leader that cannot renew for so long stops working; less than the lease duration."""
    retry_period_s: float = 2.0


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The spec of a Lease. Times are the text of the API (MicroTime)."""

    holder: str = ""
    lease_duration_s: int = 0
    acquire_time: str | None = None
    renew_time: str | None = None
    transitions: int = 0

    @classmethod
    def from_lease(cls, lease: Mapping[str, Any]) -> LeaseRecord:
        spec = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            lease_duration_s=spec.get("leaseDurationSeconds") or 0,
            acquire_time=spec.get("acquireTime"),
            renew_time=spec.get("renewTime"),
            transitions=spec.get("leaseTransitions") or 0,
        )

    def as_spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.lease_duration_s,
            "acquireTime": self.acquire_time,
            "renewTime": self.renew_time,
            "leaseTransitions": self.transitions,
        }


@dataclass(frozen=True, slots=True)
class Observation:
    """A record and the local time (monotonic seconds) at which we first saw it so."""

    record: LeaseRecord
    since: float


class Decision(Enum):
    ACQUIRE = auto()
    RENEW = auto()
    WAIT = auto()


def observe(seen: Observation | None, record: LeaseRecord, now: float) -> Observation:
    """Return the observation after reading `record`: an unchanged one keeps its age."""
    if seen is not None and seen.record == record:
        return seen
    return Observation(record, now)


def decide(seen: Observation, *, identity: str, now: float) -> Decision:
    """Say what `identity` may do with the lease it has observed."""
    record = seen.record
    if record.holder == identity:
        return Decision.RENEW
    if record.holder == "" or now >= seen.since + record.lease_duration_s:
        return Decision.ACQUIRE
    return Decision.WAIT


def next_record(
    decision: Decision, current: LeaseRecord | None, *, options: LeaderElectionOptions, time: str
) -> LeaseRecord:
    """Return the record that carries out `decision`; `current` is None for a lease to create."""
    duration_s = max(1, int(options.lease_duration_s))
    if decision is Decision.RENEW and current is not None:
        return replace(current, renew_time=time, lease_duration_s=duration_s)
    return LeaseRecord(
        holder=options.identity,
        lease_duration_s=duration_s,
        acquire_time=time,
        renew_time=time,
        transitions=current.transitions + 1 if current is not None else 0,
    )


class LeadershipLost(Exception):
    """The lease could not be renewed in time: somebody else may be leading now."""


class LeaderElector:
    """Takes and keeps one Lease. Order of use: acquire, then hold beside the work, release."""

    def __init__(self, client: Client, options: LeaderElectionOptions) -> None:
        self._client = client
        self._options = options
        self._collection = LEASES.path(namespace=options.namespace)
        self._path = LEASES.path(namespace=options.namespace, name=options.name)
        self._seen: Observation | None = None
        self._lease: dict[str, Any] | None = None

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        log.info("waiting for lease %s/%s", self._options.namespace, self._options.name)
        while True:
            if await self._try():
                break
            await asyncio.sleep(self._options.retry_period_s * (1 + random.random() * JITTER))
        log.info("leading as %s", self._options.identity)

    async def hold(self) -> None:
        """Renew the lease for ever.

        Raises:
            LeadershipLost: it was not renewed within the renew deadline, or another has it.
        """
        while True:
            await asyncio.sleep(self._options.retry_period_s)
            try:
                async with asyncio.timeout(self._options.renew_deadline_s):
                    while not await self._try():
                        if self._seen is not None and self._seen.record.holder not in (
                            "",
                            self._options.identity,
                        ):
                            raise LeadershipLost(f"{self._seen.record.holder} has the lease")
                        await asyncio.sleep(self._options.retry_period_s)
            except TimeoutError as error:
                raise LeadershipLost("the lease was not renewed in time") from error

    async def release(self) -> None:
        """Give the lease back, so that the next leader need not wait for it to expire."""
        if self._lease is None or self._seen is None:
            return
        if self._seen.record.holder != self._options.identity:
            return
        time = _micro_time()
        record = LeaseRecord(
            lease_duration_s=1,
            acquire_time=time,
            renew_time=time,
            transitions=self._seen.record.transitions,
        )
        with contextlib.suppress(ClientError):  # it then expires by itself
            await self._write(record)

    async def _try(self) -> bool:
        """Read the lease and take or renew it where we may. Failures are a no, not an end."""
        try:
            return await self._take_or_renew()
        except (Conflict, AlreadyExists):
            self._lease = None  # somebody else was quicker
            return False
        except ClientError as error:
            log.warning("lease %s: %s", self._options.name, error)
            self._lease = None
            return False

    async def _take_or_renew(self) -> bool:
        options = self._options
        now = asyncio.get_running_loop().time()
        # A leader that knows the lease's last version renews without reading: one request.
        if (
            self._lease is None
            or self._seen is None
            or self._seen.record.holder != options.identity
        ):
            try:
                self._lease = await self._client.get(self._path)
            except NotFound:
                record = next_record(Decision.ACQUIRE, None, options=options, time=_micro_time())
                self._keep(await self._client.create(self._collection, self._body(record)))
                return True
            self._seen = observe(self._seen, LeaseRecord.from_lease(self._lease), now)
        decision = decide(self._seen, identity=options.identity, now=now)
        if decision is Decision.WAIT:
            return False
        current = self._seen.record
        await self._write(next_record(decision, current, options=options, time=_micro_time()))
        return True

    async def _write(self, record: LeaseRecord) -> None:
        lease = self._lease or {}
        body = {**lease, **self._body(record), "metadata": lease.get("metadata")}
        self._keep(await self._client.update(self._path, body))

    def _keep(self, lease: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        self._lease = lease
        self._seen = observe(self._seen, LeaseRecord.from_lease(lease), now)

    def _body(self, record: LeaseRecord) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._options.namespace, "name": self._options.name},
            "spec": record.as_spec(),
        }


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
