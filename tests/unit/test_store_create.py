"""ResourceStore.create: names, system fields, collisions, dry runs."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.errors import AlreadyExists, ApiError, Cause, Forbidden, Invalid
from services.apiserver.registry import store as store_module
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from tests.unit.storeworld import NOW, StoreWorld, run


def test_what_was_created_is_stored_and_answered_with_its_version(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        shown = await world.create("a", data={"k": "v"})
        assert shown == await world.stored("a")
        assert shown["metadata"]["resourceVersion"] == str(await world.revision())
        assert shown["metadata"]["creationTimestamp"] == NOW
        assert len(shown["metadata"]["uid"]) == 36
        assert (shown["kind"], shown["apiVersion"], shown["data"]) == (
            "ConfigMap",
            "v1",
            {"k": "v"},
        )

    run(tmp_path, story)


def test_the_stored_bytes_carry_no_version(tmp_path: Path) -> None:
    """It is spliced in from the storage's revision, so it can never differ from it."""

    async def story(world: StoreWorld) -> None:
        await world.create("a")
        kept = await world.storage.get(b"/registry/configmaps/ns/a")
        assert kept is not None
        assert kept.value.startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{')
        assert b"resourceVersion" not in kept.value

    run(tmp_path, story)


def test_the_second_of_two_objects_with_one_name_is_refused(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        first = await world.create("a", data={"k": "1"})
        with pytest.raises(AlreadyExists) as caught:
            await world.create("a", data={"k": "2"})
        assert caught.value.details == {"name": "a", "kind": "configmaps"}
        assert await world.stored("a") == first

    run(tmp_path, story)


def test_of_many_who_create_one_name_at_once_one_wins(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        results = await asyncio.gather(
            *(world.create("a", data={"k": str(n)}) for n in range(10)), return_exceptions=True
        )
        won = [one for one in results if isinstance(one, dict)]
        assert len(won) == 1
        assert sum(isinstance(one, AlreadyExists) for one in results) == 9
        assert await world.stored("a") == won[0]

    run(tmp_path, story)


@pytest.mark.parametrize("version", ["5", "abc"])
def test_a_version_set_by_the_client_is_refused_without_a_reason(
    version: str, tmp_path: Path
) -> None:
    async def story(world: StoreWorld) -> None:
        with pytest.raises(ApiError) as caught:
            await world.create("a", metadata={"resourceVersion": version})
        assert (caught.value.code, caught.value.reason) == (500, "")
        assert await world.stored("a") is None

    run(tmp_path, story)


@pytest.mark.parametrize("version", ["", "0"])
def test_an_empty_version_is_no_version(version: str, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        shown = await world.create("a", metadata={"resourceVersion": version})
        assert int(shown["metadata"]["resourceVersion"]) > 0

    run(tmp_path, story)


def test_what_only_the_server_may_set_is_dropped(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        sent = {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "selfLink": "/x"}
        sent |= {"deletionTimestamp": NOW, "deletionGracePeriodSeconds": 5}  # type: ignore[dict-item]
        meta = (await world.create("a", metadata=sent))["metadata"]
        assert meta["uid"] != "mine"
        assert meta["creationTimestamp"] == NOW
        assert not {"selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} & meta.keys()

    run(tmp_path, story)


def test_a_generated_name_is_the_prefix_and_five_characters(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        shown = await world.create("", metadata={"generateName": "job-"})
        name = shown["metadata"]["name"]
        assert name.startswith("job-")
        assert len(name) == 9
        assert shown["metadata"]["generateName"] == "job-"
        long = await world.create("", metadata={"generateName": "x" * 200})
        assert len(long["metadata"]["name"]) == 63

    run(tmp_path, story)


def test_a_taken_generated_name_is_generated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(["job-1", "job-1", "job-1", "job-2"])
    monkeypatch.setattr(store_module, "generated_name", lambda prefix: next(names))

    async def story(world: StoreWorld) -> None:
        for name in ("job-1", "job-2"):
            shown = await world.create("", metadata={"generateName": "job-"})
            assert shown["metadata"]["name"] == name

    run(tmp_path, story)


def test_after_eight_taken_names_the_client_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "generated_name", lambda prefix: f"{prefix}1")

    async def story(world: StoreWorld) -> None:
        await world.create("job-1")
        with pytest.raises(AlreadyExists):
            await world.create("", metadata={"generateName": "job-"})

    run(tmp_path, story)


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a" * 254, "é"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.revision()
        with pytest.raises(Invalid) as caught:
            await world.create(name)
        assert {cause.field for cause in caught.value.causes} == {"metadata.name"}
        assert await world.revision() == before

    run(tmp_path, story)


def test_a_dry_run_shows_the_object_and_stores_nothing(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.revision()
        shown = await world.create("a", dry_run=True, data={"k": "v"})
        assert shown["data"] == {"k": "v"}
        assert "resourceVersion" not in shown["metadata"]
        assert await world.revision() == before

    run(tmp_path, story)


def test_a_dry_run_finds_that_the_name_is_taken(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        with pytest.raises(AlreadyExists):
            await world.create("a", dry_run=True)

    run(tmp_path, story)


class Allocating(Strategy):
    """Notes what is reserved and given back."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        self.steps.append("validate")
        return [Cause("FieldValueInvalid", "no", "data")] if "bad" in obj else []

    def allocate(
        self, ctx: WriteContext, obj: Object, old: Object | None
    ) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def reserved() -> Any:
            self.steps.append("reserve")
            try:
                yield
            except BaseException:
                self.steps.append("give back")
                raise

        return reserved()


def test_nothing_is_reserved_for_an_invalid_object(tmp_path: Path) -> None:
    strategy = Allocating()

    async def story(world: StoreWorld) -> None:
        with pytest.raises(Invalid):
            await world.create("a", bad=True)
        assert strategy.steps == ["validate"]

    run(tmp_path, story, strategy)


def test_what_was_reserved_is_given_back_when_the_name_is_taken(tmp_path: Path) -> None:
    strategy = Allocating()

    async def story(world: StoreWorld) -> None:
        await world.create("a")
        strategy.steps.clear()
        with pytest.raises(AlreadyExists):
            await world.create("a")
        assert strategy.steps == ["validate", "reserve", "give back"]

    run(tmp_path, story, strategy)


def test_what_validating_admission_refuses_is_not_stored(tmp_path: Path) -> None:
    strategy = Allocating()

    async def refuse(obj: Object, old: Object | None) -> None:
        assert old is None
        raise Forbidden("no")

    async def story(world: StoreWorld) -> None:
        ctx = world.context()
        obj: Object = {"metadata": {"name": "a", "namespace": "ns"}}
        world.store.fill_system_fields(ctx, obj)
        with pytest.raises(Forbidden):
            await world.store.create(ctx, obj, check=refuse)
        assert await world.stored("a") is None
        assert strategy.steps[-1] == "give back"

    run(tmp_path, story, strategy)
