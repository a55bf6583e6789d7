"""The webhook backend against a receiver that is there, fails, goes and comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.apiserver.audit.auditor import open_auditor
from services.apiserver.audit.backend import Batching, BufferedBackend, DeliveryError
from services.apiserver.audit.metrics import AuditMetrics
from services.apiserver.audit.webhook import WebhookDestination
from services.apiserver.http.request import Request, Response
from services.apiserver.options.audit import AuditBatchOptions, AuditOptions
from shared.flags import OptionsError
from shared.kubeconfig import ClusterAccess
from tests.e2e.system import free_port
from tests.unit.audit_world import World


class Receiver:
    """An HTTP server that takes EventLists; `status` is what it answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.lists: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for one in self.lists for event in one["items"]]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.status == 200:
            self.lists.append(body)
            self.headers.append(dict(request.headers))
        return web.Response(status=self.status)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/audit", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    def world(self, backoff_s: float = 0.02) -> World:
        access = ClusterAccess(f"http://127.0.0.1:{self.port}/audit", token="secret")
        world = World("RequestResponse")
        batching = Batching(limit_batch=50, wait_s=0.01)
        backend = BufferedBackend(
            WebhookDestination(access, backoff_s), "batch", batching, world.metrics
        )
        world.auditor.backends = [backend]
        return world


async def serve(request: Request) -> None:
    await request.audit.received()
    await request.audit.answering(Response(200, b'{"kind":"Pod"}'))
    await request.audit.complete()


def test_events_arrive_as_lists() -> None:
    async def run() -> Receiver:
        receiver = Receiver(free_port())
        async with receiver.listening(), receiver.world() as world:
            for number in range(120):
                await serve(world.request(f"/api/v1/namespaces/ns/pods/{number}"))
        return receiver

    receiver = asyncio.run(run())
    first = receiver.lists[0]
    assert {key: value for key, value in first.items() if key != "items"} == {
        "kind": "EventList",
        "apiVersion": "audit.k8s.io/v1",
        "metadata": {},
    }
    assert next(iter(first["items"][0])) == "level"
    assert len(receiver.events) == 240
    assert max(len(one["items"]) for one in receiver.lists) <= 50
    assert receiver.headers[0]["Authorization"] == "Bearer secret"
    assert receiver.headers[0]["Content-Type"] == "application/json"


def test_a_receiver_that_comes_back_gets_what_it_has_missed_once() -> None:
    async def run() -> tuple[Receiver, AuditMetrics]:
        receiver = Receiver(free_port())
        world = receiver.world(backoff_s=0.1)
        async with world:
            async with receiver.listening():
                await serve(world.request("/api/v1/namespaces/ns/pods/before"))
                await asyncio.sleep(0.05)
            for number in range(60):
                await serve(world.request(f"/api/v1/namespaces/ns/pods/{number}"))
            await asyncio.sleep(0.1)
            async with receiver.listening():
                for _ in range(200):
                    if len(receiver.events) >= 122:
                        break
                    await asyncio.sleep(0.02)
                await serve(world.request("/api/v1/namespaces/ns/pods/after"))
                await asyncio.sleep(0.1)
        return receiver, world.metrics

    receiver, metrics = asyncio.run(run())
    told = [(event["objectRef"]["name"], event["stage"]) for event in receiver.events]
    assert len(told) == len(set(told)) == 124
    assert not metrics.errors


def test_an_event_that_nobody_takes_is_lost_and_counted_after_five_tries() -> None:
    async def run() -> AuditMetrics:
        receiver = Receiver(free_port())
        receiver.status = 500
        async with receiver.listening(), receiver.world(backoff_s=0.001) as world:
            await serve(world.request())
        return world.metrics

    assert asyncio.run(run()).errors == {"webhook": 2}


def test_a_refusal_says_why() -> None:
    async def run() -> None:
        destination = WebhookDestination(ClusterAccess(f"http://127.0.0.1:{free_port()}"), 0.001)
        with pytest.raises(DeliveryError, match='Post "http://'):
            await destination.deliver([b"{}"])
        await destination.aclose()

    asyncio.run(run())


def test_the_flags_put_a_webhook_together(tmp_path: Path) -> None:
    policy, config = tmp_path / "policy.yaml", tmp_path / "webhook.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")

    async def run() -> Receiver:
        receiver = Receiver(free_port())
        server = f"http://127.0.0.1:{receiver.port}/audit"
        config.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "a", "cluster": {"server": server}}],
                    "contexts": [{"name": "a", "context": {"cluster": "a"}}],
                    "current-context": "a",
                }
            )
        )
        options = AuditOptions(
            policy_file=str(policy),
            webhook_config_file=str(config),
            webhook=AuditBatchOptions(mode="blocking"),
            log_path=str(tmp_path / "audit.log"),
        )
        async with receiver.listening():
            auditor = open_auditor(options)
            assert auditor is not None
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(auditor.run())
                await asyncio.sleep(0)
                request = World().request()
                auditor.begin(request)
                await serve(request)
                assert len(receiver.events) == 2
                auditor.stop()
        return receiver

    receiver = asyncio.run(run())
    logged = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    for event in logged:
        assert (event.pop("kind"), event.pop("apiVersion")) == ("Event", "audit.k8s.io/v1")
    assert receiver.events == logged


def test_what_can_not_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")

    async def refusal(**fields: str) -> str:
        options = AuditOptions(**{"policy_file": str(policy), **fields})  # type: ignore[arg-type]
        with pytest.raises(OptionsError) as caught:
            open_auditor(options)
        return str(caught.value)

    no_policy = asyncio.run(refusal(policy_file=str(tmp_path / "missing"), log_path="-"))
    assert no_policy.startswith("--audit-policy-file: loading audit policy file: failed to read")
    assert asyncio.run(refusal(log_path=str(policy / "x"))).startswith("--audit-log-path: ")
    no_config = asyncio.run(refusal(webhook_config_file=str(tmp_path / "missing")))
    assert no_config.startswith("--audit-webhook-config-file: kubeconfig")


def test_nothing_is_recorded_without_a_policy_or_a_backend(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")

    async def run() -> None:
        assert open_auditor(AuditOptions()) is None
        assert open_auditor(AuditOptions(log_path=str(tmp_path / "audit.log"))) is None
        assert open_auditor(AuditOptions(policy_file=str(policy))) is None

    asyncio.run(run())


def test_a_token_file_that_becomes_unreadable_ends_nothing_and_leaves_the_old_token(
    tmp_path: Path,
) -> None:
    async def run() -> tuple[Receiver, AuditMetrics]:
        receiver = Receiver(free_port())
        file = tmp_path / "token"
        file.write_text("first")
        access = ClusterAccess(f"http://127.0.0.1:{receiver.port}/audit", token_file=file)
        world = receiver.world()
        batching = Batching(limit_batch=50, wait_s=0.01)
        world.auditor.backends = [
            BufferedBackend(WebhookDestination(access, 0.02), "batch", batching, world.metrics)
        ]
        async with receiver.listening(), world:
            for content in (b"second", b"\xff\xfe", b"two\nlines"):
                file.write_bytes(content)
                await serve(world.request())
                await asyncio.sleep(0.05)
        return receiver, world.metrics

    receiver, metrics = asyncio.run(run())
    assert {one["Authorization"] for one in receiver.headers} == {"Bearer second"}
    assert len(receiver.events) == 6
    assert not metrics.errors


def test_a_url_that_is_none_loses_events_and_ends_nothing() -> None:
    async def run() -> None:
        destination = WebhookDestination(ClusterAccess("http://host:port/"), 0.001)
        with pytest.raises(DeliveryError, match='Post "http://host:port/"'):
            await destination.deliver([b"{}"])
        await destination.aclose()

    asyncio.run(run())


def test_bytes_that_are_no_text_are_told_at_the_start(tmp_path: Path) -> None:
    policy, config = tmp_path / "policy.yaml", tmp_path / "webhook.yaml"
    policy.write_text("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}")

    async def refusal() -> str:
        options = AuditOptions(policy_file=str(policy), webhook_config_file=str(config))
        with pytest.raises(OptionsError) as caught:
            open_auditor(options)
        return str(caught.value)

    config.write_bytes(b"clusters: [\xff]")
    assert asyncio.run(refusal()).startswith("--audit-webhook-config-file: kubeconfig ")
    (tmp_path / "bad").write_bytes(b"\xff")
    document = {
        "clusters": [{"name": "a", "cluster": {"server": "https://localhost"}}],
        "users": [{"name": "a", "user": {"tokenFile": "bad"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    config.write_text(json.dumps(document))
    assert asyncio.run(refusal()).startswith("--audit-webhook-config-file: token file ")
