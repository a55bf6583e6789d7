"""Informer: its cache follows a server through cuts, expired history and refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from services.controllers.backoff import Backoff
from services.controllers.client import Client
from services.controllers.informer import Cache, Informer
from services.controllers.resource import Object, Resource
from shared.kubeconfig import ClusterAccess
from tests.unit.smallapi import GONE, TOO_LARGE, TOO_MANY, SmallApi, json

CONFIGMAPS = Resource("", "v1", "configmaps", namespaced=True)


class Setup:
    """A server, an informer on it, and what its handler was told: (old version, new version)."""

    def __init__(self, api: SmallApi, informer: Informer) -> None:
        self.api = api
        self.informer = informer
        self.told: list[tuple[str, str | None, str | None]] = []
        informer.add_handler(self._handle)

    def names(self) -> set[str]:
        return {key.removeprefix("default/") for key in self.informer.cache}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)

    async def watching(self, times: int = 1) -> None:
        await self.until(lambda: len(self.api._watches) > 0 and self.watches() >= times)

    def watches(self) -> int:
        return len(self.api.watches_from())

    def _handle(self, *, old: Object | None, new: Object | None) -> None:
        either = new or old
        assert either is not None
        self.told.append((either["metadata"]["name"], version(old), version(new)))


def version(obj: Object | None) -> str | None:
    return obj["metadata"]["resourceVersion"] if obj is not None else None


@asynccontextmanager
async def following(api: SmallApi) -> AsyncIterator[Setup]:
    async with (
        api.serving(),
        Client(ClusterAccess(server=api.server), user_agent="test") as client,
    ):
        backoff = Backoff(initial_s=0.001, maximum_s=0.01)
        setup = Setup(api, Informer(client, CONFIGMAPS, backoff=backoff))
        running = asyncio.create_task(setup.informer.run())
        try:
            async with asyncio.timeout(5):
                await setup.informer.wait_synced()
            yield setup
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


def run(scenario: Callable[[SmallApi], Awaitable[None]]) -> None:
    async def with_api() -> None:
        await scenario(SmallApi())

    asyncio.run(with_api())


def test_the_first_list_fills_the_cache_and_is_told() -> None:
    async def scenario(api: SmallApi) -> None:
        await api.put("a")
        async with following(api) as setup:
            assert setup.names() == {"a"}
            assert setup.told == [("a", None, "11")]
            assert api.lists_at() == ["0"]

    run(scenario)


def test_a_watch_goes_on_from_the_list_and_each_change_is_told_once() -> None:
    async def scenario(api: SmallApi) -> None:
        await api.put("a")
        async with following(api) as setup:
            await setup.watching()
            assert api.watches_from() == ["11"]
            await api.put("b")
            await api.put("a")
            await api.drop("b")
            await setup.until(lambda: setup.names() == {"a"} and len(setup.told) == 4)
            assert setup.told[1:] == [("b", None, "12"), ("a", "11", "13"), ("b", "14", None)]

    run(scenario)


def test_after_a_cut_the_watch_resumes_without_a_new_list() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            await api.put("a")
            await setup.until(lambda: setup.names() == {"a"})
            await api.end_watches()
            await api.put("b")
            await setup.until(lambda: setup.names() == {"a", "b"})
            assert api.lists_at() == ["0"]
            assert api.watches_from()[:2] == ["10", "11"]
            assert len(setup.told) == 2

    run(scenario)


def test_a_bookmark_moves_the_place_where_the_watch_resumes() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            await api.bookmark(500)
            await setup.until(lambda: "at 500" in repr(setup.informer))
            await api.end_watches()
            await setup.watching(2)
            assert api.watches_from()[1] == "500"
            assert setup.told == []

    run(scenario)


def test_expired_history_leads_to_a_new_list_and_the_differences_are_told() -> None:
    async def scenario(api: SmallApi) -> None:
        await api.put("kept")
        await api.put("changed")
        await api.put("gone")
        async with following(api) as setup:
            await setup.watching()
            setup.told.clear()
            api.history.clear()
            api._changed = asyncio.Condition()  # nobody hears of what follows
            await api.put("changed")
            await api.drop("gone")
            await api.put("new")
            api.forget_history()
            await api.end_watches()
            await setup.until(lambda: setup.names() == {"kept", "changed", "new"})
            assert sorted(setup.told) == [
                ("changed", "12", "14"),
                ("gone", "13", None),
                ("new", None, "16"),
            ]
            assert api.lists_at() == ["0", ""]

    run(scenario)


def test_an_error_event_410_leads_to_a_new_list() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            await api.end_watches(error=GONE)
            await setup.until(lambda: len(api.lists_at()) == 2)

    run(scenario)


def test_a_refused_watch_is_tried_again_at_the_same_place() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            api.refuse_with = [json(429, TOO_MANY), json(503, {}), web.Response(status=502)]
            await api.end_watches()
            await setup.watching(5)
            assert api.lists_at() == ["0"]
            assert set(api.watches_from()) == {"10"}

    run(scenario)


def test_a_refused_list_is_tried_again() -> None:
    async def scenario(api: SmallApi) -> None:
        api.refuse_with = [json(429, TOO_MANY), web.Response(status=500, text="broken")]
        async with following(api):
            assert len(api.lists_at()) == 3

    run(scenario)


def test_a_server_behind_our_place_is_asked_for_its_newest_state() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            forbidden = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}
            api.refuse_with = [json(403, forbidden), json(504, TOO_LARGE)]
            await api.end_watches()
            await setup.until(lambda: len(api.lists_at()) == 3)
            assert api.lists_at() == ["0", "10", ""]

    run(scenario)


def test_a_new_list_after_expiry_is_read_in_pages() -> None:
    async def scenario(api: SmallApi) -> None:
        for number in range(1100):
            await api.put(f"c{number:04}")
        async with following(api) as setup:
            await setup.watching()
            await api.end_watches(error=GONE)
            await setup.until(lambda: len(api.lists_at()) == 4)
            assert len(setup.names()) == 1100
            assert [query.get("continue") for query in api.requests if "limit" in query] == [
                None,
                "500",
                "1000",
            ]

    run(scenario)


def test_an_object_made_anew_under_its_name_is_told_as_gone_and_new() -> None:
    async def scenario(api: SmallApi) -> None:
        await api.put("a", uid="u1")
        async with following(api) as setup:
            await setup.watching()
            api.history.clear()
            api._changed = asyncio.Condition()
            await api.drop("a")
            await api.put("a", uid="u2")
            api.forget_history()
            await api.end_watches()
            await setup.until(lambda: len(setup.told) == 3)
            assert setup.told[1:] == [("a", "11", None), ("a", None, "13")]

    run(scenario)


def test_a_late_handler_is_told_of_what_is_there() -> None:
    async def scenario(api: SmallApi) -> None:
        await api.put("a")
        async with following(api) as setup:
            late = Setup(api, setup.informer)
            assert late.told == [("a", None, "11")]

    run(scenario)


def test_an_event_longer_than_the_readers_buffer_arrives_whole() -> None:
    async def scenario(api: SmallApi) -> None:
        async with following(api) as setup:
            await setup.watching()
            await api.put("long" * 100_000)
            await api.put("b")
            await setup.until(lambda: "b" in setup.names())
            assert len(max(setup.names(), key=len)) == 400_000

    run(scenario)


def obj(name: str, *labels: str) -> Object:
    return {"metadata": {"name": name, "labels": list(labels)}}


def test_an_index_follows_the_objects() -> None:
    cache = Cache({"label": lambda o: o["metadata"]["labels"]})
    cache.put("a", obj("a", "x", "y"))
    cache.put("b", obj("b", "y"))
    cache.put("a", obj("a", "z"))
    assert cache.by_index("label", "x") == []
    assert cache.by_index("label", "y") == [obj("b", "y")]
    assert cache.by_index("label", "z") == [obj("a", "z")]
    cache.put("a", None)
    assert cache.by_index("label", "z") == []
