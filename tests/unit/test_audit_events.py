"""Audit events: their fields, stage by stage."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.apiserver.audit import NO_AUDIT, objects
from services.apiserver.audit.event import RequestAudit
from services.apiserver.audit.origin import source_addresses
from services.apiserver.audit.storagetime import TimedStorage
from services.apiserver.audit.timestamps import go_duration, micro_time, rfc3339_nano
from services.apiserver.codec import protobuf
from services.apiserver.errors import NotFound, to_status
from services.apiserver.http.request import Request, Response, StreamingResponse
from services.apiserver.requestinfo import UserInfo
from shared.storage import KeyValue, Revision, StorageUnavailable
from tests.unit.audit_world import World, request_of

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "managedFields": [{}]}}


def events_of(world: World) -> list[dict[str, Any]]:
    return world.destination.events


def serve(world: World, request: Request, response: Response | None = None) -> list[dict[str, Any]]:
    """Return the events of a request that gets an answer."""

    async def run() -> None:
        async with world:
            await request.audit.received()
            if response is not None:
                await request.audit.answering(response)
            await request.audit.complete()

    asyncio.run(run())
    return events_of(world)


def test_a_get_makes_two_events_with_the_fields_of_v1() -> None:
    world = World()
    request = world.request(headers=[(b"user-agent", b"kubectl/1"), (b"audit-id", b'my"id')])
    request.audit.annotate("b", "2")
    request.audit.annotate("a", "1")
    request.audit.annotate("a", "another")
    first, second = serve(world, request, Response(200, orjson.dumps(POD)))
    received = first["requestReceivedTimestamp"]
    assert first == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": 'my"id',
        "stage": "RequestReceived",
        "requestURI": "/api/v1/namespaces/ns/pods/web",
        "verb": "get",
        "user": {"username": "alice", "groups": ["devs", "system:authenticated"]},
        "sourceIPs": ["10.1.2.3"],
        "userAgent": "kubectl/1",
        "objectRef": {
            "resource": "pods",
            "namespace": "ns",
            "name": "web",
            "apiVersion": "v1",
        },
        "requestReceivedTimestamp": received,
        "stageTimestamp": received,
        "annotations": {"a": "1", "b": "2"},
    }
    assert list(second["annotations"]) == ["a", "b"]
    assert second["stageTimestamp"] >= received
    assert second == {
        **first,
        "stage": "ResponseComplete",
        "responseStatus": {"metadata": {}, "code": 200},
        "stageTimestamp": second["stageTimestamp"],
    }


def test_fields_stand_in_the_order_of_the_type() -> None:
    world = World("RequestResponse")
    request = world.request("/apis/apps/v1/namespaces/ns/deployments?x=1", "POST")
    request.audit.annotate("a", "1")
    request.audit.impersonated(UserInfo("bob"), "impersonate:user-info")

    async def run() -> None:
        async with world:
            await request.audit.received()
            request.audit.sent({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {}})
            await request.audit.answering(Response(201, b'{"kind":"Deployment"}\n'))
            await request.audit.complete()

    asyncio.run(run())
    assert list(events_of(world)[1]) == [
        "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user",
        "impersonatedUser", "authenticationMetadata", "sourceIPs", "objectRef",
        "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp",
        "stageTimestamp", "annotations",
    ]  # fmt: skip


def test_the_object_sent_tells_what_the_url_does_not() -> None:
    world = World()
    request = world.request("/api/v1/namespaces/ns/pods", "POST")

    async def run() -> None:
        async with world:
            await request.audit.received()
            meta = {"name": "web", "namespace": "other", "uid": "u", "resourceVersion": "7"}
            request.audit.sent({"metadata": meta})
            await request.audit.complete()

    asyncio.run(run())
    assert "name" not in events_of(world)[0]["objectRef"]
    assert list(events_of(world)[1]["objectRef"].items()) == [
        ("resource", "pods"),
        ("namespace", "ns"),
        ("name", "web"),
        ("uid", "u"),
        ("apiVersion", "v1"),
        ("resourceVersion", "7"),
    ]
    assert "requestObject" not in events_of(world)[1]


def test_a_watch_also_tells_that_it_has_begun() -> None:
    world = World()
    request = world.request("/api/v1/pods?watch=1")
    events = serve(world, request, Response(200, b""))
    assert [event["stage"] for event in events] == [
        "RequestReceived",
        "ResponseStarted",
        "ResponseComplete",
    ]
    assert events[1]["responseStatus"] == {"metadata": {}, "code": 200}


def test_an_error_tells_its_status() -> None:
    world = World()
    request = world.request()
    error = NotFound('pods "web" not found', details={"name": "web", "kind": "pods"})
    request.audit.failed(to_status(error))
    status = serve(world, request, Response(404, b""))[1]["responseStatus"]
    assert status == {
        "metadata": {},
        "status": "Failure",
        "message": 'pods "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "kind": "pods"},
        "code": 404,
    }


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_a_deletion_tells_its_status(form: str) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    response = Response(200, orjson.dumps(status))
    if form == "protobuf":
        content = b"application/vnd.kubernetes.protobuf"
        response = Response(200, protobuf.encode(status), ((b"content-type", content),))
    world = World()
    done = serve(world, world.request(method="DELETE"), response)[1]
    assert done["responseStatus"] == {"metadata": {}, "status": "Success", "code": 200}


def test_a_client_that_leaves_early_is_a_success() -> None:
    world = World()
    done = serve(world, world.request())[1]
    assert done["responseStatus"] == {
        "metadata": {},
        "status": "Success",
        "message": "Connection closed early",
        "code": 200,
    }


def test_a_refused_authentication_is_one_event_without_a_user() -> None:
    world = World()
    request = world.request()

    async def run() -> None:
        async with world:
            request.audit.unauthenticated()
            request.audit.failed({"status": "Failure", "reason": "Unauthorized"})
            await request.audit.answering(Response(401, b""))
            await request.audit.complete()

    asyncio.run(run())
    (event,) = events_of(world)
    assert (event["stage"], event["user"]) == ("ResponseStarted", {})
    assert event["responseStatus"]["reason"] == "Unauthorized"


def test_a_panic_is_its_own_stage_and_the_last() -> None:
    world = World()
    request = world.request()

    async def run() -> None:
        async with world:
            await request.audit.received()
            await request.audit.panicked(KeyError("x"))
            await request.audit.answering(Response(500, b""))
            await request.audit.complete()

    asyncio.run(run())
    _, panic = events_of(world)
    assert panic["stage"] == "Panic"
    assert panic["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": "APIServer panic'd: KeyError: 'x'",
        "reason": "InternalError",
        "code": 500,
    }


def test_nothing_is_recorded_at_level_none() -> None:
    world = World("None")
    request = world.request()
    assert serve(world, request) == []
    assert request.audit is NO_AUDIT
    assert world.metrics.levels == [1, 0, 0, 0]


def test_omitted_stages_make_no_event() -> None:
    world = World(
        policy="""
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
    )
    (event,) = serve(world, world.request(), Response(200, b""))
    assert event["stage"] == "ResponseComplete"
    assert world.metrics.events == 1


def test_slow_requests_tell_where_their_time_went() -> None:
    world = World()
    request = world.request()
    audit = request.audit
    audit.add_latency("mutating-webhook", 400_000_000)
    audit.add_latency("mutating-webhook", 100_000_000)
    audit.received_ns -= 2_000_000_000  # type: ignore[attr-defined]
    told = serve(world, request, Response(200, b""))[1]["annotations"]
    assert told["apiserver.latency.k8s.io/mutating-webhook"] == "500ms"
    assert told["apiserver.latency.k8s.io/total"].startswith("2.")


def test_the_time_in_storage_is_that_of_the_requests_own_calls() -> None:
    class Slow:
        async def get(self, key: bytes, *, revision: Revision | None = None) -> KeyValue | None:
            await asyncio.sleep(0.02)
            return None

    async def run() -> list[dict[str, Any]]:
        storage = TimedStorage(Slow())  # type: ignore[arg-type]

        async def request(reads: int) -> None:
            request = world.request()
            assert isinstance(request.audit, RequestAudit)
            request.audit.received_ns -= 2_000_000_000
            await request.audit.received()
            for _ in range(reads):
                await storage.get(b"/registry/a")
            await request.audit.answering(Response(200, b""))
            await request.audit.complete()

        async with World() as world:
            async with asyncio.TaskGroup() as tasks:
                for reads in (0, 1, 4):
                    tasks.create_task(request(reads))
            await storage.get(b"/registry/a")  # for nobody
        return [one for one in world.destination.events if one["stage"] == "ResponseComplete"]

    told = [one["annotations"].get("apiserver.latency.k8s.io/etcd") for one in asyncio.run(run())]
    none, one, four = (float((text or "0ms").removesuffix("ms")) for text in told)
    assert none == 0
    assert 20 <= one < four
    assert four >= 80


# -- objects ---------------------------------------------------------------------------


def recorded(level: str, response: Response, extra: str = "") -> dict[str, Any]:
    policy = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {level}}}]\n{extra}"
    world = World(policy=policy)
    request = world.request("/api/v1/namespaces/ns/pods/web", "PUT")

    async def run() -> None:
        async with world:
            await request.audit.received()
            request.audit.sent(dict(POD), lambda obj: {**obj, "spec": {"default": True}})
            await request.audit.answering(response)
            await request.audit.complete()

    asyncio.run(run())
    return events_of(world)[1]


def test_level_request_records_what_was_sent_with_defaults() -> None:
    event = recorded("Request", Response(200, orjson.dumps(POD)))
    assert event["requestObject"] == {**POD, "spec": {"default": True}}
    assert "responseObject" not in event


def test_level_request_response_records_both() -> None:
    event = recorded("RequestResponse", Response(200, orjson.dumps(POD) + b"\n"))
    assert event["responseObject"] == POD


def test_managed_fields_can_be_left_out() -> None:
    table = {
        "kind": "Table",
        "rows": [{"cells": [1], "object": POD}],
        "metadata": {},
    }
    without = {**POD, "metadata": {"name": "web"}}
    event = recorded(
        "RequestResponse", Response(200, orjson.dumps(table)), "omitManagedFields: true"
    )
    assert event["requestObject"]["metadata"] == {"name": "web"}
    assert event["responseObject"]["rows"][0]["object"] == without
    listed = {"kind": "List", "items": [POD, POD]}
    assert objects.without_managed_fields(listed)["items"] == [without, without]
    assert "managedFields" in POD["metadata"]


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (orjson.dumps(POD, option=orjson.OPT_INDENT_2), [(b"content-type", b"application/json")]),
        (
            gzip.compress(orjson.dumps(POD)),
            [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")],
        ),
        (
            protobuf.encode(POD),
            [(b"content-type", b"application/vnd.kubernetes.protobuf")],
        ),
        (b"kind: Pod\napiVersion: v1\n", [(b"content-type", b"application/yaml")]),
    ],
)
def test_an_answer_of_any_form_becomes_a_line_of_json(
    raw: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    found = objects.response_json(raw, headers, omit_managed_fields=False)
    assert found is not None
    assert b"\n" not in found
    assert orjson.loads(found)["kind"] == "Pod"


def test_what_is_no_api_object_is_left_out() -> None:
    json_headers = [(b"content-type", b"application/json")]
    assert objects.response_json(b'{"major":"1"}', json_headers, omit_managed_fields=False) is None
    text = [(b"content-type", b"text/plain")]
    assert objects.response_json(b"ok", text, omit_managed_fields=False) is None


def test_a_list_in_slices_is_recorded_whole() -> None:
    world = World("RequestResponse")
    request = world.request("/api/v1/pods")

    async def slices() -> AsyncIterator[bytes]:
        yield b'{"kind":"PodList","items":['
        yield b'{"kind":"Pod"}]}\n'

    async def run() -> list[bytes]:
        async with world:
            await request.audit.received()
            response = StreamingResponse(200, slices())
            await request.audit.answering(response)
            sent = [piece async for piece in response.slices]
            await request.audit.complete()
        return sent

    assert len(asyncio.run(run())) == 2
    assert events_of(world)[1]["responseObject"] == {"kind": "PodList", "items": [{"kind": "Pod"}]}


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_broke_off_is_not_recorded_as_one(packed: bool) -> None:
    """Half an object is no JSON: the line could not be read, nor a whole batch with it."""
    world = World("RequestResponse")
    request = world.request("/api/v1/namespaces/ns/pods")
    headers = [(b"content-type", b"application/json")]
    if packed:
        headers.append((b"content-encoding", b"gzip"))

    async def slices() -> AsyncIterator[bytes]:
        listed = orjson.dumps({"kind": "PodList", "items": [POD] * 100})
        yield (gzip.compress(listed) if packed else listed)[:50]
        raise StorageUnavailable("etcd is away")

    async def run() -> None:
        async with world:
            await request.audit.received()
            response = StreamingResponse(200, slices(), headers)
            await request.audit.answering(response)
            with pytest.raises(StorageUnavailable):
                async for _ in response.slices:
                    pass
            await request.audit.complete()

    asyncio.run(run())
    _, complete = events_of(world)
    assert (complete["stage"], complete["responseStatus"]["code"]) == ("ResponseComplete", 200)
    assert "responseObject" not in complete


def test_a_large_answer_is_made_a_line_beside_the_loop() -> None:
    """A list in YAML takes seconds; others are served meanwhile."""
    world = World("RequestResponse")
    request = world.request("/api/v1/namespaces/ns/pods")
    text = b"kind: PodList\napiVersion: v1\nitems:\n" + b"- a: 1\n" * 20_000
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> None:
        async with world:
            await request.audit.received()
            await request.audit.answering(Response(200, text, [(b"content-type", YAML)]))
            running = asyncio.create_task(others())
            before = turns
            await request.audit.complete()
            assert turns - before > 2
            running.cancel()

    asyncio.run(run())
    assert len(events_of(world)[1]["responseObject"]["items"]) == 20_000


YAML = b"application/yaml"


def test_a_patch_is_recorded_as_it_was_sent() -> None:
    assert objects.patch_json(b'[ {"op": "test"} ]\n') == b'[{"op":"test"}]'
    assert orjson.loads(objects.patch_json(b"a: 1\nb: 2\n")) == "a: 1\nb: 2\n"


# -- origin, times, the line of old ----------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "real_ip", "expected"),
    [
        ("10.0.0.1", "", "", ["10.0.0.1"]),
        ("10.0.0.1", "1.1.1.1, 2.2.2.2", "", ["1.1.1.1", "2.2.2.2", "10.0.0.1"]),
        ("2.2.2.2", "1.1.1.1,2.2.2.2", "", ["1.1.1.1", "2.2.2.2"]),
        ("1.1.1.1", "1.1.1.1,2.2.2.2", "", ["1.1.1.1", "2.2.2.2", "1.1.1.1"]),
        ("10.0.0.1", "1.1.1.1", "3.3.3.3", ["1.1.1.1", "3.3.3.3", "10.0.0.1"]),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1", ["1.1.1.1", "10.0.0.1"]),
        ("10.0.0.1", "unknown, 1.1.1.1:80, 1.1.1", "bad", ["10.0.0.1"]),
        ("::1", "010.001.1.1", "::ffff:1.2.3.4", ["10.1.1.1", "1.2.3.4", "::1"]),
        ("fe80::1%eth0", "2001:DB8::1", "", ["2001:db8::1"]),
        ("", "", "", []),
    ],
)
def test_source_addresses_are_those_of_kube_apiserver(
    peer: str, forwarded_for: str, real_ip: str, expected: list[str]
) -> None:
    assert source_addresses(peer, forwarded_for, real_ip) == expected


def test_the_first_of_repeated_headers_counts_and_long_agents_are_cut() -> None:
    world = World()
    request = world.request(
        headers=[
            (b"x-forwarded-for", b"1.1.1.1"),
            (b"x-forwarded-for", b"2.2.2.2"),
            (b"user-agent", b"a" * 1025),
        ]
    )
    event = serve(world, request)[0]
    assert event["sourceIPs"] == ["1.1.1.1", "10.1.2.3"]
    assert event["userAgent"] == "a" * 1024 + "...TRUNCATED"


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (7, "7ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (612_345_000, "612.345ms"),
        (1_234_567_891, "1.234567891s"),
        (62_500_000_000, "1m2.5s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_lengths_of_time_are_printed_as_go_does(ns: int, text: str) -> None:
    assert go_duration(ns) == text


def test_times_are_utc_with_microseconds() -> None:
    ns = 1_767_323_045_000_006_999
    assert micro_time(ns) == b"2026-01-02T03:04:05.000006Z"
    assert rfc3339_nano(ns) == "2026-01-02T03:04:05.000006999Z"
    assert rfc3339_nano(1_767_323_045_000_000_000) == "2026-01-02T03:04:05Z"


def test_the_line_of_old_tells_the_main_things() -> None:
    world = World()
    request = world.request("/api/v1/namespaces/ns/pods?limit=1", headers=[(b"audit-id", b"i")])
    audit = request.audit
    serve(world, request, Response(200, b""))
    line = audit.legacy_line()  # type: ignore[attr-defined]
    assert line.split(" AUDIT: ")[1] == (
        'id="i" stage="ResponseComplete" ip="10.1.2.3" method="list" user="alice"'
        ' groups="\\"devs\\",\\"system:authenticated\\"" as="<self>" asgroups="<lookup>"'
        ' user-agent="" namespace="ns" uri="/api/v1/namespaces/ns/pods?limit=1" response="200"'
    )


def test_without_audit_nothing_is_kept() -> None:
    request = request_of("/version")
    assert request.audit is NO_AUDIT
    request.audit.annotate("a", "b")
    assert not request.audit.enabled
