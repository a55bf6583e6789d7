"""Field sets against sets of paths, and what must be true of every apply."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.apiserver.apply.elements import keyed, order, valued
from services.apiserver.apply.fieldsets import (
    FieldSet,
    difference,
    has,
    intersection,
    is_member,
    of_path,
    parse,
    recursive_difference,
    union,
)
from services.apiserver.apply.schema import owned
from services.apiserver.codec import codec_for
from tests.unit.applyworld import DEPLOYMENT, FIRST, SECOND, THIRD, field_manager

Path = tuple[str, ...]

elements = st.one_of(
    st.sampled_from("abc").map(lambda name: f"f:{name}"),
    st.sampled_from(["x", 'a"b', "\N{SNOWMAN}", ""]).map(valued),
    st.integers(-20, 20).map(lambda number: keyed(("name", "port"), "n", number)),
    st.integers(0, 12).map(lambda number: f"i:{number}"),
)
path_sets = st.frozensets(st.lists(elements, min_size=1, max_size=4).map(tuple), max_size=12)


def of_paths(paths: frozenset[Path]) -> FieldSet:
    fields: FieldSet = {}
    for path in paths:
        fields = union(fields, of_path(path))
    return fields


def paths_of(fields: FieldSet, above: Path = ()) -> frozenset[Path]:
    found: frozenset[Path] = frozenset()
    for element, node in fields.items():
        if element == ".":
            continue
        path = (*above, element)
        found |= paths_of(node, path)
        if is_member(node):
            found |= {path}
    return found


def is_canonical(node: FieldSet, *, root: bool = True) -> bool:
    """In order, nothing empty that should not be there, one way to write a leaf."""
    names = list(node)
    in_order = names == sorted(names, key=order)
    alone = names == ["."] or (root and "." in names)
    return in_order and not alone and all(is_canonical(one, root=False) for one in node.values())


@given(path_sets)
def test_a_set_is_its_paths(paths: frozenset[Path]) -> None:
    fields = of_paths(paths)
    assert paths_of(fields) == paths
    assert all(has(fields, path) for path in paths)
    assert is_canonical(fields)


@given(path_sets)
def test_what_is_printed_reads_back_the_same(paths: frozenset[Path]) -> None:
    fields = of_paths(paths)
    printed = orjson.dumps(fields)
    assert orjson.dumps(parse(orjson.loads(printed))) == printed


@given(path_sets, path_sets)
def test_sets_compute_as_sets_of_paths_do(one: frozenset[Path], other: frozenset[Path]) -> None:
    left, right = of_paths(one), of_paths(other)
    for computed, expected in (
        (union(left, right), one | other),
        (intersection(left, right), one & other),
        (difference(left, right), one - other),
        (
            recursive_difference(left, right),
            {path for path in one if not any(path[: len(cut)] == cut for cut in other)},
        ),
    ):
        assert paths_of(computed) == expected
        assert is_canonical(computed)
    assert (paths_of(left), paths_of(right)) == (one, other)


texts = st.sampled_from(["a", "b", "c"])
text_maps = st.dictionaries(texts, texts, max_size=3)


def items(key: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    one = st.fixed_dictionaries({key: texts}, optional=others)
    return st.lists(one, max_size=3, unique_by=lambda item: item[key])


containers = items(
    "name",
    image=texts,
    args=st.lists(texts, max_size=2),
    env=items("name", value=texts),
    resources=st.fixed_dictionaries({}, optional={"limits": text_maps.map(lambda _: {"cpu": "1"})}),
)
deployments = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries(
            {}, optional={"labels": text_maps, "finalizers": st.lists(texts, unique=True)}
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 3),
                "selector": st.fixed_dictionaries({}, optional={"matchLabels": text_maps}),
                "template": st.fixed_dictionaries(
                    {},
                    optional={
                        "spec": st.fixed_dictionaries(
                            {}, optional={"containers": containers, "nodeSelector": text_maps}
                        )
                    },
                ),
            },
        ),
    },
)
MANAGER = field_manager(DEPLOYMENT)
CODEC = codec_for(*DEPLOYMENT)
HEAD = {"apiVersion": "apps/v1", "kind": "Deployment"}


def named(obj: dict[str, Any]) -> dict[str, Any]:
    return {**HEAD, **obj, "metadata": {"name": "d", **obj.get("metadata", {})}}


def applied(
    live: dict[str, Any] | None, config: dict[str, Any], manager: str, time: str
) -> dict[str, Any]:
    """Return the object after an apply by force, as it is stored."""
    obj, entries = asyncio.run(MANAGER.apply(live, named(config), manager, time, force=True))
    stored = CODEC.decode(obj or live or HEAD)
    meta = {**stored.get("metadata", {}), "uid": "u"}
    meta.pop("managedFields", None)
    return {**stored, "metadata": {**meta, **({"managedFields": entries} if entries else {})}}


def sets_of(obj: dict[str, Any]) -> dict[str, FieldSet]:
    entries = obj["metadata"].get("managedFields", [])
    return {entry["manager"]: entry["fieldsV1"] for entry in entries}


@given(deployments, deployments)
def test_applying_twice_is_applying_once(other: Any, config: Any) -> None:
    live = applied(None, other, "other", FIRST)
    once = applied(live, config, "alpha", SECOND)
    twice = applied(once, config, "alpha", THIRD)
    assert sets_of(twice) == sets_of(once)
    assert {**twice, "metadata": None} == {**once, "metadata": None}


@given(deployments, deployments)
def test_what_was_applied_is_there_and_owned(other: Any, config: Any) -> None:
    live = applied(None, other, "other", FIRST)
    after = applied(live, config, "alpha", SECOND)
    schema = MANAGER.updater.schema
    mine = owned(schema.fields_in(named(config)))
    assert sets_of(after).get("alpha", {}) == mine
    assert all(is_canonical(fields) for fields in sets_of(after).values())
    theirs = sets_of(after).get("other", {})
    assert not difference(theirs, sets_of(live).get("other", {})), "an apply gives nobody fields"


@given(deployments, deployments)
def test_what_one_applier_gives_up_leaves_what_the_other_applied(one: Any, other: Any) -> None:
    first = applied(None, one, "one", FIRST)
    both = applied(first, other, "other", SECOND)
    alone = applied(both, {}, "other", THIRD)
    assert "other" not in sets_of(alone)
    assert sets_of(alone) == {
        manager: fields for manager, fields in sets_of(both).items() if manager != "other"
    }


@given(deployments)
def test_a_new_object_brings_what_it_has_beyond_an_empty_one(config: Any) -> None:
    obj = CODEC.decode(named(config))
    schema = MANAGER.updater.schema
    changed, _ = schema.compare(MANAGER.empty, obj)
    brought = schema.brought(MANAGER.empty, obj)
    assert brought == changed
    assert is_canonical(owned(brought))


@given(deployments, deployments)
def test_differences_are_those_of_what_is_there(one: Any, other: Any) -> None:
    schema = MANAGER.updater.schema
    old, new = CODEC.decode(named(one)), CODEC.decode(named(other))
    changed, removed = schema.compare(old, new)
    back_changed, back_removed = schema.compare(new, old)
    assert not intersection(changed, removed)
    # Back again: what had come is gone, and what was gone comes.
    assert not difference(back_removed, changed)
    assert not difference(removed, back_changed)
    assert bool(changed or removed) == (
        {**old, "metadata": _ownable(old)} != {**new, "metadata": _ownable(new)}
        and _unordered(old) != _unordered(new)
    )


def _ownable(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj["metadata"].items() if name != "name"}


def _unordered(value: Any) -> Any:
    """An object in which lists with keys, and sets, have an order of their own."""
    if isinstance(value, dict):
        return {
            name: sorted(map(_unordered, item), key=orjson.dumps)
            if name in ("containers", "env", "finalizers") and item
            else _unordered(item)
            for name, item in value.items()
        }
    return value
