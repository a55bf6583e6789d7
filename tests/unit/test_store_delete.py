"""ResourceStore.delete: finalizers, grace, propagation, preconditions."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.errors import Conflict, Forbidden, NotFound
from services.apiserver.registry.deletion import DeleteRequest, Preconditions
from services.apiserver.registry.store import Written
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from tests.unit.storeworld import LATER, NOW, StoreWorld, run, setting


class Graceful(Strategy):
    """Like pods: thirty seconds unless asked for otherwise."""

    graceful_deletion = True
    has_generation = True

    def grace_period_s(self, ctx: WriteContext, obj: Object, requested: int | None) -> int:
        return 30 if requested is None else requested


async def delete(
    world: StoreWorld, *, dry_run: bool = False, now: str = NOW, check: Any = None, **request: Any
) -> Written:
    options = {} if check is None else {"check": check}
    ctx = world.context(dry_run=dry_run, now=now)
    return await world.store.delete(ctx, "a", DeleteRequest(**request), **options)


async def remaining(world: StoreWorld) -> Object:
    stored = await world.stored("a")
    assert stored is not None
    meta: Object = stored["metadata"]
    return meta


def test_an_object_that_nothing_holds_is_gone_at_once(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a", data={"k": "v"})
        done = await delete(world)
        assert done.removed
        assert world.shown(done)["data"] == {"k": "v"}
        assert world.shown(done)["metadata"]["uid"] == before["metadata"]["uid"]
        assert await world.stored("a") is None

    run(tmp_path, story)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        for dry_run in (False, True):
            with pytest.raises(NotFound) as caught:
                await delete(world, dry_run=dry_run)
            assert caught.value.details == {"name": "a", "kind": "configmaps"}

    run(tmp_path, story)


def test_of_many_who_delete_at_once_one_has_done_it(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        results = await asyncio.gather(*(delete(world) for _ in range(10)), return_exceptions=True)
        assert sum(isinstance(one, Written) for one in results) == 1
        assert sum(isinstance(one, NotFound) for one in results) == 9

    run(tmp_path, story)


def test_a_dry_run_deletes_nothing(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a")
        assert (await delete(world, dry_run=True)).removed
        assert await world.stored("a") == before
        held = await world.create("b", metadata={"finalizers": ["x/y"]})
        ctx = world.context(dry_run=True)
        done = await world.store.delete(ctx, "b", DeleteRequest())
        assert world.shown(done)["metadata"]["deletionTimestamp"] == NOW
        assert await world.stored("b") == held

    run(tmp_path, story)


def test_a_finalizer_holds_the_object_and_marks_it(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": ["x/y"]})
        done = await delete(world)
        assert not done.removed
        meta = await remaining(world)
        assert meta["deletionTimestamp"] == NOW
        assert meta["deletionGracePeriodSeconds"] == 0

    run(tmp_path, story)


def test_a_second_delete_leaves_the_first_ones_time(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": ["x/y"]})
        await delete(world)
        revision = await world.revision()
        await delete(world, now=LATER)
        assert (await remaining(world))["deletionTimestamp"] == NOW
        assert await world.revision() == revision

    run(tmp_path, story)


def test_the_update_that_takes_the_last_finalizer_removes_the_object(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": ["x/y", "x/z"]})
        await delete(world)

        def without(name: str) -> Any:
            async def change(old: Object | None) -> Object:
                obj = copy.deepcopy(old) or {}
                left = [one for one in obj["metadata"]["finalizers"] if one != name]
                obj["metadata"]["finalizers"] = left
                return obj

            return change

        await world.update("a", without("x/y"))
        assert (await remaining(world))["finalizers"] == ["x/z"]
        shown = await world.update("a", without("x/z"))
        assert shown["metadata"]["deletionTimestamp"] == NOW
        assert await world.stored("a") is None

    run(tmp_path, story)


def test_an_update_cannot_take_a_deletion_back(tmp_path: Path) -> None:
    async def revive(old: Object | None) -> Object:
        obj = copy.deepcopy(old) or {}
        obj["metadata"].pop("deletionTimestamp")
        obj["metadata"].pop("deletionGracePeriodSeconds")
        return obj

    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": ["x/y"]})
        await delete(world)
        meta = (await world.update("a", revive))["metadata"]
        assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == (NOW, 0)

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("present", "policy", "default", "finalizers"),
    [
        ([], None, "background", None),
        ([], None, "orphan", ["orphan"]),
        ([], "Background", "orphan", None),
        ([], "Orphan", "background", ["orphan"]),
        ([], "Foreground", "background", ["foregroundDeletion"]),
        (["foregroundDeletion"], None, "orphan", ["foregroundDeletion"]),
        (["orphan"], None, "background", ["orphan"]),
        (["orphan"], "Background", "background", None),
        (["orphan"], "Foreground", "background", ["foregroundDeletion"]),
        (["x/y", "foregroundDeletion"], "Orphan", "background", ["x/y", "orphan"]),
        (["x/y"], "Background", "background", ["x/y"]),
        ([], "Orphan", "unsupported", None),
        (["orphan"], "Background", "unsupported", ["orphan"]),
    ],
)
def test_the_propagation_policy_becomes_a_finalizer(
    present: list[str],
    policy: str | None,
    default: Any,
    finalizers: list[str] | None,
    tmp_path: Path,
) -> None:
    strategy = Strategy()
    strategy.default_garbage_collection = default

    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": present} if present else {})
        done = await delete(world, propagation=policy)
        assert done.removed is (finalizers is None)
        if finalizers is not None:
            assert (await remaining(world))["finalizers"] == finalizers

    run(tmp_path, story, strategy)


@pytest.mark.parametrize("field", ["uid", "resource_version"])
def test_a_precondition_that_fails_deletes_nothing(field: str, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        before = await world.create("a")
        with pytest.raises(Conflict):
            await delete(world, preconditions=Preconditions(**{field: "other"}))
        assert await world.stored("a") == before

    run(tmp_path, story)


def test_preconditions_that_hold_delete(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        meta = (await world.create("a"))["metadata"]
        await world.catch_up()
        newest = (await world.update("a", setting(k="v")))["metadata"]
        wanted = Preconditions(meta["uid"], newest["resourceVersion"])
        assert (await delete(world, preconditions=wanted)).removed

    run(tmp_path, story)


def test_a_precondition_is_held_against_the_live_object_not_the_cached_one(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        seen = (await world.create("a"))["metadata"]["resourceVersion"]
        await world.catch_up()
        await world.update("a", setting(k="v"))
        with pytest.raises(Conflict):
            await delete(world, preconditions=Preconditions(resource_version=seen))

    run(tmp_path, story)


def test_what_admission_refuses_stays(tmp_path: Path) -> None:
    async def refuse(obj: Object, old: Object | None) -> None:
        raise Forbidden("no")

    async def story(world: StoreWorld) -> None:
        before = await world.create("a")
        with pytest.raises(Forbidden):
            await delete(world, check=refuse)
        assert await world.stored("a") == before

    run(tmp_path, story)


def test_a_graceful_kind_is_marked_with_the_time_it_may_take(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        done = await delete(world)
        assert not done.removed
        meta = await remaining(world)
        assert meta["deletionTimestamp"] == "2026-01-02T03:04:35Z"
        assert (meta["deletionGracePeriodSeconds"], meta["generation"]) == (30, 2)

    run(tmp_path, story, Graceful())


@pytest.mark.parametrize(
    ("asked", "period", "time"),
    [
        (10, 10, "2026-01-02T03:04:15Z"),
        (30, 30, "2026-01-02T03:04:35Z"),
        (60, 30, "2026-01-02T03:04:35Z"),
        (None, 30, "2026-01-02T03:04:35Z"),
        (-1, 1, "2026-01-02T03:04:06Z"),
    ],
)
def test_the_time_can_only_shrink(
    asked: int | None, period: int, time: str, tmp_path: Path
) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        await delete(world)
        assert not (await delete(world, grace_period_s=asked, now=LATER)).removed
        meta = await remaining(world)
        assert (meta["deletionGracePeriodSeconds"], meta["deletionTimestamp"]) == (period, time)
        assert meta["generation"] == 2

    run(tmp_path, story, Graceful())


@pytest.mark.parametrize("before", [None, 30])
def test_no_grace_removes_at_once(before: int | None, tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a")
        if before is not None:
            await delete(world, grace_period_s=before)
        assert (await delete(world, grace_period_s=0)).removed
        assert await world.stored("a") is None

    run(tmp_path, story, Graceful())


def test_no_grace_does_not_overrule_a_finalizer(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        await world.create("a", metadata={"finalizers": ["x/y"]})
        assert not (await delete(world, grace_period_s=0)).removed
        assert (await remaining(world))["deletionGracePeriodSeconds"] == 0

    run(tmp_path, story, Graceful())


def test_a_delete_and_an_update_at_once_never_bring_the_object_back(tmp_path: Path) -> None:
    async def story(world: StoreWorld) -> None:
        for number in range(20):
            await world.create("a")
            await world.catch_up()
            await asyncio.gather(
                delete(world), world.update("a", setting(k=str(number))), return_exceptions=True
            )
            assert await world.stored("a") is None

    run(tmp_path, story)
