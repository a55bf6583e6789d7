"""Discovery as the controllers read it: both forms, preferred versions, failures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from services.controllers.client import Client
from services.controllers.discovery import Discovered, Discovery, read_aggregated, read_list
from shared.kubeconfig import ClusterAccess


def version(name: str, *plurals: str, **fields: str) -> dict[str, Any]:
    resources = [
        {"resource": plural, "scope": "Namespaced", "verbs": ["delete", "list"]}
        for plural in plurals
    ]
    return {"version": name, "resources": resources, **fields}


def aggregated(group: str, *versions: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "APIGroupDiscoveryList",
        "items": [{"metadata": {"name": group}, "versions": list(versions)}],
    }


def test_a_resource_is_found_in_the_first_version_that_has_it() -> None:
    found = read_aggregated(aggregated("g", version("v2", "a"), version("v1", "a", "b")))
    assert [(resource.plural, resource.version) for resource in found.resources] == [
        ("a", "v2"),
        ("b", "v1"),
    ]


def test_scope_and_verbs_are_read() -> None:
    [resource] = read_aggregated(aggregated("g", version("v1", "a"))).resources
    assert resource.namespaced
    assert resource.verbs == {"delete", "list"}
    assert resource.path(namespace="n", name="x") == "/apis/g/v1/namespaces/n/a/x"


def test_a_stale_version_is_a_failure() -> None:
    found = read_aggregated(aggregated("g", version("v1", freshness="Stale")))
    assert found.failures == ("g/v1: stale discovery",)


def test_subresources_are_left_out_of_the_older_lists() -> None:
    document = {"resources": [{"name": "pods", "namespaced": True}, {"name": "pods/log"}]}
    assert [resource.plural for resource in read_list("", "v1", document)] == ["pods"]


async def discover_twice(handlers: dict[str, Any]) -> tuple[Discovered, Discovered]:
    application = web.Application()
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Client(ClusterAccess(server=server), user_agent="test") as client:
            discovery = Discovery(client)
            return await discovery.preferred_resources(), await discovery.preferred_resources()
    finally:
        await runner.cleanup()


def test_an_unchanged_document_is_not_sent_again() -> None:
    answered: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"tag"':
            answered.append(304)
            return web.Response(status=304, headers={"ETag": '"tag"'})
        answered.append(200)
        return web.json_response(
            aggregated(request.path, version("v1", "a")), headers={"ETag": '"tag"'}
        )

    first, second = asyncio.run(discover_twice({"/api": handle, "/apis": handle}))
    assert answered == [200, 200, 304, 304]
    assert first == second
    assert len(first.resources) == 2


@pytest.mark.parametrize("served", [True, False])
def test_a_server_without_aggregated_discovery_is_asked_for_each_version(served: bool) -> None:
    async def api(_: web.Request) -> web.Response:
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def apis(_: web.Request) -> web.Response:
        group = {"name": "g", "versions": [{"version": "v1"}, {"version": "v2"}]}
        group["preferredVersion"] = {"version": "v2"}
        return web.json_response({"kind": "APIGroupList", "groups": [group]})

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"resources": [{"name": "a", "namespaced": True}]})

    handlers = {"/api": api, "/apis": apis, "/api/v1": listed, "/apis/g/v1": listed}
    if served:
        handlers["/apis/g/v2"] = listed
    found, _ = asyncio.run(discover_twice(handlers))
    versions = {resource.group: resource.version for resource in found.resources}
    assert versions == {"": "v1", "g": "v2" if served else "v1"}
    assert len(found.failures) == (0 if served else 1)
