"""Requests, auditors and destinations for the tests of audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from services.apiserver.audit.auditor import Auditor
from services.apiserver.audit.backend import Batching, BufferedBackend, DeliveryError, Mode
from services.apiserver.audit.event import RequestAudit
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.policy import read_policy
from services.apiserver.http.request import Message, Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.resolve import request_info

ALICE = UserInfo("alice", groups=("devs", "system:authenticated"))
EVERYTHING = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: %s}]
"""


class Collected:
    """A destination in memory, which can be told to fail, to be slow, or to hold events back."""

    name = "log"

    def __init__(self, *, waits_for_delivery: bool = False, limit_deliveries: int = 1) -> None:
        self.waits_for_delivery = waits_for_delivery
        self.limit_deliveries = limit_deliveries
        self.batches: list[list[dict[str, Any]]] = []
        self.fails = False
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    def encode(self, event: RequestAudit, *, truncated: bool) -> bytes:
        return event.truncated_line() if truncated else event.line()

    async def deliver(self, batch: Sequence[bytes]) -> None:
        await self.open.wait()
        if self.fails:
            raise DeliveryError("the disk is full")
        self.batches.append([json.loads(line) for line in batch])

    async def aclose(self) -> None:
        self.closed = True


class World:
    """An auditor with one backend; everything is delivered when the block ends."""

    def __init__(
        self,
        level: str = "Metadata",
        *,
        policy: str = "",
        mode: Mode = "blocking",
        destination: Collected | None = None,
        batching: Batching | None = None,
        limit_event_bytes: int | None = None,
    ) -> None:
        self.destination = destination or Collected()
        self.metrics = AuditMetrics()
        backend = BufferedBackend(
            self.destination,
            mode,
            batching or Batching(wait_s=0.001),
            self.metrics,
            limit_event_bytes=limit_event_bytes,
        )
        self.auditor = Auditor(read_policy(policy or EVERYTHING % level), [backend], self.metrics)

    async def __aenter__(self) -> World:
        self._task = asyncio.create_task(self.auditor.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.auditor.stop()
        await self._task

    def request(
        self,
        target: str = "/api/v1/namespaces/ns/pods/web",
        method: str = "GET",
        headers: Sequence[tuple[bytes, bytes]] = (),
        user: UserInfo = ALICE,
    ) -> Request:
        request = request_of(target, method, headers, user)
        self.auditor.begin(request)
        return request


def request_of(
    target: str,
    method: str = "GET",
    headers: Sequence[tuple[bytes, bytes]] = (),
    user: UserInfo = ALICE,
) -> Request:
    path, _, query = target.partition("?")
    scope = {
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": list(headers),
        "client": ("10.1.2.3", 40000),
    }
    request = Request(scope, _nothing)
    request.info = request_info(method, path, request.query)
    request.user = user
    return request


async def _nothing() -> Message:
    raise AssertionError("nobody reads the body")
