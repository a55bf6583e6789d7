"""x-kubernetes-validations: where a broken rule is told, transitions, messages, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.customresources.correlation import ABSENT
from services.apiserver.customresources.rulecheck import check_schema_rules
from services.apiserver.customresources.rules import check_rules, compile_rules
from services.apiserver.customresources.structural import compile_schema
from tests.unit.kindtools import shown


def rules(*texts: str | dict[str, Any], **schema: Any) -> dict[str, Any]:
    found = [one if isinstance(one, dict) else {"rule": one} for one in texts]
    return {**schema, "x-kubernetes-validations": found}


def broken(schema: Any, value: Any, old: Any = ABSENT) -> list[str]:
    found = check_rules(compile_rules(compile_schema(schema)), value, old)
    return shown([one.cause for one in found if not one.ratcheted])


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


INTEGER = {"type": "integer"}
STRING = {"type": "string"}


def test_outer_rules_come_first_and_each_names_its_place() -> None:
    schema = rules(
        "self.a < 2",
        **of(
            a=INTEGER,
            items={"type": "array", "items": of(n=rules("self % 2 == 0", **INTEGER))},
            map={"type": "object", "additionalProperties": rules("self != 'bad'", **STRING)},
        ),
    )
    value = {"a": 3, "items": [{"n": 2}, {"n": 3}, {}], "map": {"k": "bad"}}
    assert broken(schema, value) == ["Invalid <nil>", "Invalid items[1].n", "Invalid map[k]"]


def test_reason_and_field_path_move_the_cause() -> None:
    rule = {"rule": "self.a < self.b", "reason": "FieldValueForbidden", "fieldPath": ".b['c.d']"}
    schema = of(spec=rules(rule, **of(a=INTEGER, b=INTEGER)))
    assert broken(schema, {"spec": {"a": 2, "b": 1}}) == ["Forbidden spec.b[c.d]"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rule": "false"}, "failed rule: false"),
        ({"rule": "false", "message": "no"}, "no"),
        ({"rule": "false", "message": "no", "messageExpression": "'x' + self.a"}, "xy"),
        ({"rule": "false", "message": "no", "messageExpression": "self.nope"}, "no"),
        ({"rule": "false", "message": "no", "messageExpression": "' '"}, "no"),
    ],
)
def test_the_message_is_the_best_there_is(rule: dict[str, Any], message: str) -> None:
    node = compile_rules(compile_schema(rules(rule, **of(a=STRING))))
    (found,) = check_rules(node, {"a": "y"}, ABSENT)
    assert found.cause.message.endswith(f": {message}")


def test_transition_rules_need_something_to_compare_with() -> None:
    schema = of(a=rules("self >= oldSelf", **INTEGER))
    assert broken(schema, {"a": 1}) == []
    assert broken(schema, {"a": 1}, {}) == []
    assert broken(schema, {"a": 1}, {"a": 2}) == ["Invalid a"]


def test_an_optional_old_value_is_there_from_the_start() -> None:
    rule = {"rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": True}
    schema = of(a=rules(rule, **STRING))
    assert broken(schema, {"a": "later"}) == ["Invalid a"]
    assert broken(schema, {"a": "first"}) == []
    assert broken(schema, {"a": "later"}, {"a": "first"}) == []


def test_old_items_are_found_by_key() -> None:
    items = of(k=STRING, n=rules("self >= oldSelf", **INTEGER))
    schema = of(
        l={
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": items,
        }
    )
    old = {"l": [{"k": "a", "n": 1}, {"k": "b", "n": 5}]}
    assert broken(schema, {"l": [{"k": "b", "n": 4}, {"k": "c", "n": 0}]}, old) == [
        "Invalid l[0].n"
    ]


def test_an_unchanged_value_that_breaks_a_rule_is_only_marked() -> None:
    schema = of(a=rules("self % 2 == 1", **INTEGER))
    node = compile_rules(compile_schema(schema))
    (found,) = check_rules(node, {"a": 2, "b": 1}, {"a": 2})
    assert found.ratcheted


def test_fields_have_escaped_names_and_typed_values() -> None:
    schema = rules(
        "self.__namespace__ + self.dash__dash__ed + self.a__dot__b + self.x__underscores__y == 10",
        "self.when > timestamp('2020-01-01T00:00:00Z') && self.span <= duration('1h')",
        "self.tags == ['b', 'a']",
        "self.ratio == 2.0 && self.ratio / 4.0 == 0.5",
        **of(
            **{"namespace": INTEGER, "dash-ed": INTEGER, "a.b": INTEGER, "x__y": INTEGER},
            when={"type": "string", "format": "date-time"},
            span={"type": "string", "format": "duration"},
            tags={"type": "array", "x-kubernetes-list-type": "set", "items": STRING},
            ratio={"type": "number"},
        ),
    )
    value = {
        "namespace": 1,
        "dash-ed": 2,
        "a.b": 3,
        "x__y": 4,
        "when": "2024-01-01T00:00:00Z",
        "span": "30m",
        "tags": ["a", "b"],
        "ratio": 2,
    }
    assert broken(schema, value) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "self.a > 1"}, []),
        ({"rule": "self.nope > 1"}, ["Invalid s.x-kubernetes-validations[0].rule"]),
        ({"rule": "self.a"}, ["Invalid s.x-kubernetes-validations[0].rule"]),
        ({"rule": "self.a +"}, ["Invalid s.x-kubernetes-validations[0].rule"]),
        ({"rule": "self.a + 'x' == ''"}, ["Invalid s.x-kubernetes-validations[0].rule"]),
        ({"rule": "other == 1"}, ["Invalid s.x-kubernetes-validations[0].rule"]),
        (
            {"rule": "self.a > 1", "messageExpression": "1"},
            ["Invalid s.x-kubernetes-validations[0].messageExpression"],
        ),
        (
            {"rule": "self.a > 1", "optionalOldSelf": True},
            ["Invalid s.x-kubernetes-validations[0].optionalOldSelf"],
        ),
        ({"rule": "self.l.all(x, x.startsWith('a'))"}, []),
        ({"rule": "self.l.map(x, x.size()).sum() < 10 && self.m.all(k, self.m[k] > 0)"}, []),
        (
            {"rule": "self.l.all(x, self.l.all(y, x != y))"},
            [
                "Forbidden s.x-kubernetes-validations[0].rule",
                "Forbidden s.x-kubernetes-validations[0].rule",
                "Forbidden s",
            ],
        ),
        ({"rule": "self.few.all(x, self.few.all(y, x != y))"}, []),
        ({"rule": "has(self.metadata.name) && self.free.anything == 1"}, []),
    ],
)
def test_a_definition_with_a_wrong_rule_is_refused(
    rule: dict[str, Any], expected: list[str]
) -> None:
    schema = rules(
        rule,
        **of(
            a=INTEGER,
            l={"type": "array", "items": STRING},
            few={"type": "array", "maxItems": 10, "items": STRING},
            m={"type": "object", "additionalProperties": INTEGER},
            free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
    )
    assert shown(check_schema_rules(schema, "s")) == expected
