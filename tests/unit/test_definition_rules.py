"""What custom resources can be selected by is learnt from the definitions as they pass."""

from __future__ import annotations

import orjson

from shared.fanout import extractor_for
from shared.fanout.rules import DefinitionRules
from shared.fanout.translate import Translator
from shared.objects import Extractor
from shared.resources import builtin_table
from shared.storage import Change, KeyValue, Revision

CRD_KEY = b"/registry/apiextensions.k8s.io/customresourcedefinitions/shirts.stable.example.com"
SHIRT_KEY = b"/registry/stable.example.com/shirts/default/a"
SHIRT = orjson.dumps(
    {
        "kind": "Shirt",
        "apiVersion": "stable.example.com/v1",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"color": "blue", "size": 40},
    }
)


def definition(*paths: str) -> bytes:
    return orjson.dumps(
        {
            "kind": "CustomResourceDefinition",
            "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": {"name": "shirts.stable.example.com"},
            "spec": {
                "group": "stable.example.com",
                "names": {"plural": "shirts", "kind": "Shirt"},
                "versions": [
                    {"name": "v1", "selectableFields": [{"jsonPath": path} for path in paths]}
                ],
            },
        }
    )


def world() -> tuple[Translator, Extractor]:
    extractor = extractor_for(builtin_table().resources(), "/registry")
    return Translator(extractor, DefinitionRules(extractor, "/registry")), extractor


def written(key: bytes, value: bytes, revision: int, before: bytes | None = None) -> Change:
    previous = None if before is None else KeyValue(key, before, Revision(revision - 1))
    return Change(key, value, Revision(revision), previous)


def test_objects_behind_their_definition_have_its_fields() -> None:
    translator, _ = world()
    translator.event(written(CRD_KEY, definition(".spec.color", ".spec.size"), 2))
    event = translator.event(written(SHIRT_KEY, SHIRT, 3))
    assert event is not None
    assert event.selection.fields == {"spec.color": "blue", "spec.size": "40"}


def test_without_a_definition_there_are_none() -> None:
    translator, _ = world()
    event = translator.event(written(SHIRT_KEY, SHIRT, 3))
    assert event is not None
    assert event.selection.fields == {}


def test_a_changed_definition_counts_for_what_follows_and_for_what_was_before() -> None:
    translator, _ = world()
    translator.event(written(CRD_KEY, definition(".spec.color"), 2))
    translator.event(written(SHIRT_KEY, SHIRT, 3))
    translator.event(written(CRD_KEY, definition(".spec.size"), 4, definition(".spec.color")))
    event = translator.event(written(SHIRT_KEY, SHIRT.replace(b"40", b"44"), 5, SHIRT))
    assert event is not None
    assert event.previous is not None
    assert event.selection.fields == {"spec.size": "44"}
    assert event.previous.selection.fields == {"spec.size": "40"}


def test_a_definition_that_changes_nothing_here_forgets_no_selection() -> None:
    translator, extractor = world()
    translator.event(written(CRD_KEY, definition(".spec.color"), 2))
    before = extractor.generation
    translator.event(written(CRD_KEY, definition(".spec.color"), 3, definition(".spec.color")))
    assert extractor.generation == before


def test_a_definition_that_can_not_be_read_teaches_nothing() -> None:
    translator, extractor = world()
    before = extractor.generation
    for spec in (b'{"kind":"X","apiVersion":"v1","spec":7}', b'{"kind":"X","apiVersion":"v1"}'):
        translator.event(written(CRD_KEY, spec, 2))
    assert extractor.generation == before
