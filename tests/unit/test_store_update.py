"""ResourceStore.update: guarded by revisions, whatever the cache believes."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from services.apiserver.registry.strategy import Object, Strategy
from tests.unit.storeworld import StoreWorld, replacing, run, setting


def put(version: str = "", **data: str) -> Object:
    meta = {"name": "a", "namespace": "ns"}
    if version:
        meta["resourceVersion"] = version
    return {"metadata": meta, "data": data}


def test_an_update_replaces_the_object_and_keeps_what_is_the_servers(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a", data={"k": "1"})
        shown = await world.update("a", replacing(put(k="2")))
        assert shown == await world.stored("a")
        assert shown["data"] == {"k": "2"}
        for name in ("uid", "creationTimestamp"):
            assert shown["metadata"][name] == before["metadata"][name]
        version = int(shown["metadata"]["resourceVersion"])
        assert version > int(before["metadata"]["resourceVersion"])

    run(tmp_path, story)


@pytest.mark.parametrize("cached", [True, False], ids=["cache-knows", "cache-is-empty"])
def test_of_two_writers_with_one_version_the_second_is_refused(
    cached: bool, tmp_path: Path
) -> None:
    async def story(world: StoreWorld) -> None:
        version = (await world.create("a"))["metadata"]["resourceVersion"]
        if cached:
            await world.catch_up()
        await world.update("a", replacing(put(version, k="first")))
        with pytest.raises(Conflict) as caught:
            await world.update("a", replacing(put(version, k="second")))
        assert caught.value.details == {"name": "a", "kind": "configmaps"}
        stored = await world.stored("a")
        assert stored is not None
        assert stored["data"] == {"k": "first"}

    run(tmp_path, story)


def test_of_many_writers_with_one_version_at_once_one_wins(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        version = (await world.create("a"))["metadata"]["resourceVersion"]
        await world.catch_up()
        results = await asyncio.gather(
            *(world.update("a", replacing(put(version, k=str(n)))) for n in range(10)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Conflict) for one in results) == 9
        won = [one for one in results if isinstance(one, dict)]
        assert await world.stored("a") == won[0]

    run(tmp_path, story)


@pytest.mark.parametrize("cached", [True, False], ids=["cache-is-stale", "cache-is-empty"])
def test_patches_at_once_are_all_in_the_result(cached: bool, tmp_path: Path) -> None:
    """Without a version each is applied to what the one before has left."""

    async def story(world: StoreWorld) -> None:
        await world.create("a")
        if cached:
            await world.catch_up()
        await asyncio.gather(*(world.update("a", setting(**{f"k{n}": "v"})) for n in range(10)))
        stored = await world.stored("a")
        assert stored is not None
        assert stored["data"] == {f"k{n}": "v" for n in range(10)}

    run(tmp_path, story)


def test_a_stale_cache_never_loses_a_write_of_another_replica(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a", data={"mine": "1"})
        await world.catch_up()
        other = world.another_replica()
        await other.update(world.context(), "a", setting(theirs="2"))
        shown = await world.update("a", setting(mine="3"))
        assert shown["data"] == {"mine": "3", "theirs": "2"}

    run(tmp_path, story)


def test_the_newest_version_is_accepted_though_the_cache_is_older(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        await world.catch_up()
        newest = await world.update("a", setting(k="1"))
        version = newest["metadata"]["resourceVersion"]
        shown = await world.update("a", replacing(put(version, k="2")))
        assert shown["data"] == {"k": "2"}

    run(tmp_path, story)


def test_a_change_that_fails_on_stale_state_is_tried_on_the_live_one(tmp_path: Path) -> None:
    """A test operation of a JSON patch, for instance, sees what is there, not what was."""

    async def only_if_opened(old: Object | None) -> Object:
        assert old is not None
        if old.get("data") != {"door": "open"}:
            raise Invalid("the door is closed")
        return (await setting(door="used")(old)) | {}

    async def story(world: StoreWorld) -> None:
        await world.create("a", data={"door": "closed"})
        await world.catch_up()
        await world.update("a", setting(door="open"))
        assert (await world.update("a", only_if_opened))["data"] == {"door": "used"}
        with pytest.raises(Invalid):
            await world.update("a", only_if_opened)

    run(tmp_path, story)


def test_an_object_that_the_cache_still_shows_is_not_found_once_deleted(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        shown = await world.create("a")
        await world.catch_up()
        key = world.store.key("ns", "a")
        revision = int(shown["metadata"]["resourceVersion"])
        await world.storage.delete(key, expected=revision)  # type: ignore[arg-type]
        for change in (setting(k="v"), replacing(put(k="v")), setting()):
            with pytest.raises(NotFound):
                await world.update("a", change)
        assert await world.stored("a") is None

    run(tmp_path, story)


@pytest.mark.parametrize("cached", [True, False])
def test_an_update_that_changes_nothing_is_no_write(cached: bool, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a", data={"k": "v"})
        if cached:
            await world.catch_up()
        revision = await world.revision()
        assert await world.update("a", setting(k="v")) == before
        assert await world.revision() == revision

    run(tmp_path, story)


def test_what_looks_like_nothing_on_stale_state_is_written_all_the_same(tmp_path: Path) -> None:
    """The client wants k=1 where the cache still shows it, but somebody has set k=2 since."""

    async def story(world: StoreWorld) -> None:
        await world.create("a", data={"k": "1"})
        await world.catch_up()
        await world.update("a", setting(k="2"))
        assert (await world.update("a", setting(k="1")))["data"] == {"k": "1"}
        stored = await world.stored("a")
        assert stored is not None
        assert stored["data"] == {"k": "1"}

    run(tmp_path, story)


@pytest.mark.parametrize("cached", [True, False])
def test_a_dry_run_shows_the_result_and_changes_nothing(cached: bool, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a", data={"k": "1"})
        if cached:
            await world.catch_up()
        revision = await world.revision()
        shown = await world.update("a", setting(k="2"), dry_run=True)
        assert shown["data"] == {"k": "2"}
        assert shown["metadata"] == before["metadata"]
        assert await world.stored("a") == before
        assert await world.revision() == revision

    run(tmp_path, story)


def test_a_dry_run_is_refused_like_a_real_one(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        with pytest.raises(NotFound):
            await world.update("a", setting(k="2"), dry_run=True)
        await world.create("a")
        with pytest.raises(Conflict):
            await world.update("a", replacing(put("1", k="v")), dry_run=True)

    run(tmp_path, story)


@pytest.mark.parametrize("version", ["abc", "-1", "1.5", "0x1"])
def test_a_version_that_is_no_number_is_an_error_without_a_reason(
    version: str, tmp_path: Path
) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        with pytest.raises(ApiError) as caught:
            await world.update("a", replacing(put(version, k="v")))
        assert (caught.value.code, caught.value.reason) == (500, "")

    run(tmp_path, story)


def test_a_kind_may_want_the_version_in_every_update(tmp_path: Path) -> None:
    strategy = Strategy()
    strategy.unconditional_update = False

    async def story(world: StoreWorld) -> None:
        version = (await world.create("a"))["metadata"]["resourceVersion"]
        with pytest.raises(Invalid) as caught:
            await world.update("a", replacing(put(k="v")))
        assert [cause.field for cause in caught.value.causes] == ["metadata.resourceVersion"]
        assert caught.value.details == {"name": "a", "kind": "configmaps"}
        await world.update("a", replacing(put(version, k="v")))

    run(tmp_path, story, strategy)


def test_a_kind_may_be_created_by_update(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        ctx = world.context()
        change = replacing(put("5", k="v"))
        written = await world.store.update(ctx, "a", change, may_create=True)
        assert written.created
        assert world.shown(written) == await world.stored("a")

    run(tmp_path, story)


def test_an_update_that_names_a_uid_creates_nothing(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        obj = put(k="v")
        obj["metadata"]["uid"] = "gone"
        with pytest.raises(Conflict):
            await world.update("a", replacing(obj), may_create=True)
        assert await world.stored("a") is None

    run(tmp_path, story)


def test_admission_is_asked_about_the_state_that_is_written_over(tmp_path: Path) -> None:
    """If another write comes between, it is asked again about the newer one."""
    asked: list[Any] = []

    async def story(world: StoreWorld) -> None:
        await world.create("a", data={"k": "1"})
        await world.catch_up()
        await world.update("a", setting(k="2"))

        async def check(obj: Object, old: Object | None) -> None:
            assert old is not None
            asked.append((old["data"]["k"], obj["data"]["k"]))

        await world.update("a", setting(mine="x"), check=check)
        assert asked[-1] == ("2", "2")

    run(tmp_path, story)


def test_what_admission_refuses_stays_as_it_was(tmp_path: Path) -> None:
    async def refuse(obj: Object, old: Object | None) -> None:
        raise Forbidden("no")

    async def story(world: StoreWorld) -> None:
        before = await world.create("a")
        with pytest.raises(Forbidden):
            await world.update("a", setting(k="v"), check=refuse)
        assert await world.stored("a") == before

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("field", "value"),
    [("uid", "other"), ("creationTimestamp", "2000-01-01T00:00:00Z"), ("name", "b")],
)
def test_identity_cannot_be_changed(field: str, value: str, tmp_path: Path) -> None:
    async def change(old: Object | None) -> Object:
        obj = copy.deepcopy(old) or {}
        obj["metadata"][field] = value
        return obj

    async def story(world: StoreWorld) -> None:
        before = await world.create("a")
        if field == "creationTimestamp":
            assert await world.update("a", change) == before
        else:
            with pytest.raises(Invalid) as caught:
                await world.update("a", change)
            assert f"metadata.{field}" in {cause.field for cause in caught.value.causes}
        assert await world.stored("a") == before

    run(tmp_path, story)
