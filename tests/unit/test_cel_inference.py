"""What is known of an expression before it runs."""

from __future__ import annotations

import pytest

from services.apiserver.cel import ParseError
from services.apiserver.cel.inference import DYN, Type, type_of

VARIABLES = {"object": DYN, "name": Type("string"), "items": Type("list")}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("object.spec.replicas <= 5", "bool"),
        ("object.metadata.name", "dyn"),
        ("'a' + name", "string"),
        ("1 + 1", "int"),
        ("size(items)", "int"),
        ("items.all(i, i > 0)", "bool"),
        ("items.filter(i, i > 0)", "list"),
        ("items.map(i, i + 1)", "list"),
        ("cel.bind(x, 'a', x + name)", "string"),
        ("has(object.spec) ? 'a' : 'b'", "string"),
        ("object.?spec.?replicas.orValue(1)", "dyn"),
        ("object.?spec.optMap(s, s.replicas).hasValue()", "bool"),
        ("sets.contains(items, [1])", "bool"),
        ("type(object) == int", "bool"),
        ("type(object) == google.protobuf.Duration", "bool"),
        ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", "dyn"),
        ("Object{spec: Object.spec{replicas: 1}}", "dyn"),
        ("[JSONPatch{op: 'add', path: '/a', value: 1}]", "list"),
        ("{'a': 1}", "map"),
        ("null", "dyn"),
    ],
)
def test_the_type_of_an_expression_is_inferred(text: str, kind: str) -> None:
    assert type_of(text, VARIABLES).kind == kind


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("object.(", None),
        ("nope.x", "undeclared reference to 'nope'"),
        ("items.all(i, j > 0)", "undeclared reference to 'j'"),
        ("nope(1)", "undeclared reference to 'nope'"),
        ("name + 1", "no matching overload"),
        ("name.first", "does not support field selection"),
        ("name.all(c, true)", "cannot be range of a comprehension"),
        ("(" * 5_000 + "1" + ")" * 5_000, None),
        ("1" + " + 1" * 20_000, None),
    ],
)
def test_an_expression_that_can_have_no_type_is_refused(text: str, why: str | None) -> None:
    with pytest.raises(ParseError, match=why):
        type_of(text, VARIABLES)
