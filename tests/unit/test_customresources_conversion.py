"""Conversion webhooks: what they are asked, which answers count, and how they are reached."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from services.apiserver.customresources.conversion import WebhookConverter
from services.apiserver.errors import ApiError
from services.apiserver.startup.certificates import serving_files
from services.apiserver.webhooks import (
    Address,
    ClientConfig,
    Unreachable,
    WebhookClient,
    WebhookError,
    resolve_service,
)

CONVERSION = {
    "strategy": "Webhook",
    "webhook": {
        "conversionReviewVersions": ["v9", "v1"],
        "clientConfig": {"url": "https://example.com/convert"},
    },
}
OBJECT = {
    "apiVersion": "g/v1",
    "kind": "Widget",
    "metadata": {"name": "a", "uid": "1", "labels": {"l": "m"}, "generation": 3},
    "spec": {"x": 1},
}


class FakeClient:
    """Answers with what a function makes of the review."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self._answer = answer
        self.reviews: list[dict[str, Any]] = []

    async def post(
        self, config: ClientConfig, body: bytes, *, timeout_s: float, query: str = ""
    ) -> bytes:
        review = orjson.loads(body)
        self.reviews.append(review)
        answer = self._answer(review)
        return answer if isinstance(answer, bytes) else orjson.dumps(answer)


def converted(review: dict[str, Any], **changes: Any) -> dict[str, Any]:
    wanted = review["request"]["desiredAPIVersion"]
    objects = [{**one, "apiVersion": wanted, **changes} for one in review["request"]["objects"]]
    response = {
        "uid": review["request"]["uid"],
        "convertedObjects": objects,
        "result": {"status": "Success"},
    }
    return {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response}


def convert(client: FakeClient, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    converter = WebhookConverter("Widget", CONVERSION, client)  # type: ignore[arg-type]
    return asyncio.run(converter.convert(objects, "g/v2"))


def test_only_objects_of_another_version_are_sent_and_all_come_back_in_order() -> None:
    client = FakeClient(converted)
    already = {**OBJECT, "apiVersion": "g/v2", "metadata": {"name": "b"}}
    assert [one["metadata"]["name"] for one in convert(client, already, OBJECT)] == ["b", "a"]
    (review,) = client.reviews
    assert review["apiVersion"] == "apiextensions.k8s.io/v1"
    assert [one["metadata"]["name"] for one in review["request"]["objects"]] == ["a"]
    assert review["response"] == {"uid": "", "convertedObjects": None, "result": {"metadata": {}}}


def test_of_the_metadata_only_labels_and_annotations_may_change() -> None:
    meta = {"name": "a", "uid": "1", "annotations": {"n": "new"}, "generation": 99}
    client = FakeClient(lambda review: converted(review, metadata=meta))
    (one,) = convert(client, OBJECT)
    assert one["metadata"] == {
        "name": "a",
        "uid": "1",
        "generation": 3,
        "annotations": {"n": "new"},
    }


def broken(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], Any]:
    def answer(review: dict[str, Any]) -> Any:
        out = converted(review)
        change(out)
        return out

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda review: b"not json",
        lambda review: {"kind": "ConversionReview"},
        broken(lambda out: out["response"].update(uid="other")),
        broken(lambda out: out["response"].update(result={"status": "Failure"})),
        broken(lambda out: out["response"].update(convertedObjects=[])),
        broken(lambda out: out["response"]["convertedObjects"].__setitem__(0, 5)),
        broken(lambda out: out["response"]["convertedObjects"][0].update(apiVersion="g/v3")),
        broken(lambda out: out["response"]["convertedObjects"][0].update(kind="Other")),
        broken(lambda out: out["response"]["convertedObjects"][0].update(metadata={"name": "b"})),
        broken(lambda out: out.update(apiVersion="apiextensions.k8s.io/v1beta1")),
    ],
)
def test_an_answer_that_breaks_the_rules_is_an_error(answer: Any) -> None:
    with pytest.raises(ApiError) as raised:
        convert(FakeClient(answer), OBJECT)
    assert raised.value.code == 500


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIP": "10.0.0.5", "ports": [{"port": 443}]}, Address("10.0.0.5", 443)),
        ({"type": "ExternalName", "externalName": "localhost"}, Address("localhost", 443)),
        ({"clusterIP": "10.0.0.5", "ports": [{"port": 80}]}, None),
        ({"clusterIP": "None", "ports": [{"port": 443}]}, None),
    ],
)
def test_a_service_is_where_its_address_is(spec: dict[str, Any], expected: Any) -> None:
    service = {"metadata": {"namespace": "n", "name": "s"}, "spec": spec}
    if expected is None:
        with pytest.raises(Unreachable):
            resolve_service(service, 443)
    else:
        assert resolve_service(service, 443) == expected


async def _with_server(directory: Path, use: Callable[[int, str], Awaitable[None]]) -> None:
    """Run an HTTPS server that tells what it was asked, and give its port and authority."""

    async def echo(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(5)
        if request.path == "/refuse":
            return web.Response(status=503, text="not now")
        seen = {"path": request.path_qs, "host": request.host, "body": await request.json()}
        return web.json_response(seen)

    files = serving_files(directory, ["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    app = web.Application()
    app.router.add_post("/{path:.*}", echo)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]
    try:
        await use(port, base64.b64encode(files.authority.read_bytes()).decode())
    finally:
        await runner.cleanup()


def test_a_webhook_is_reached_by_url_and_by_service_and_its_certificate_checked(
    tmp_path: Path,
) -> None:
    def find(namespace: str, name: str) -> dict[str, Any] | None:
        if name != "kubernetes":
            return None
        return {
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": "ExternalName", "externalName": "127.0.0.1"},
        }

    async def use(port: int, authority: str) -> None:
        client = WebhookClient(find)
        url = f"https://127.0.0.1:{port}"
        try:
            by_url = ClientConfig(url=f"{url}/hook?a=b", ca_bundle=authority)
            seen = orjson.loads(
                await client.post(by_url, b'{"x":1}', timeout_s=5, query="timeout=5s")
            )
            assert seen["path"] == "/hook?a=b&timeout=5s"
            assert seen["body"] == {"x": 1}
            by_service = ClientConfig(
                namespace="default",
                name="kubernetes",
                path="hook",
                port=port,
                ca_bundle=authority,
            )
            seen = orjson.loads(await client.post(by_service, b"{}", timeout_s=5))
            assert seen["path"] == "/hook"
            assert seen["host"] == f"kubernetes.default.svc:{port}"
            for config in (
                ClientConfig(url=f"{url}/hook"),
                ClientConfig(url=f"{url}/refuse", ca_bundle=authority),
                ClientConfig(url="https://127.0.0.1:1/", ca_bundle=authority),
                ClientConfig(url=f"{url}/hook", ca_bundle="bm90IGEgY2VydA=="),
                ClientConfig(namespace="n", name="absent", ca_bundle=authority),
            ):
                with pytest.raises(WebhookError):
                    await client.post(config, b"{}", timeout_s=5)
            slow = ClientConfig(url=f"{url}/slow", ca_bundle=authority)
            with pytest.raises(WebhookError) as raised:
                await client.post(slow, b"{}", timeout_s=0.1)
            assert raised.value.timed_out
        finally:
            await client.aclose()

    asyncio.run(_with_server(tmp_path, use))
