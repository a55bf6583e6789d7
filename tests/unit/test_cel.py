"""CEL expressions have the values that the specification and Kubernetes give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.apiserver.cel import (
    NONE,
    Budget,
    CelError,
    KeyedList,
    Optional,
    ParseError,
    SetList,
    compile_expression,
)


def value_of(text: str, **variables: Any) -> Any:
    return compile_expression(text, variables).evaluate(variables)


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 / 2 == 3 && -7 / 2 == -3",
        "7 % 3 == 1 && -7 % 3 == -1",
        "-9223372036854775808 < 0",
        "1u + 2u == 3u",
        "0x10 == 16",
        "1.5e3 == 1500.0",
        "dyn(1) == 1.0",
        "1 < 2.5",
        "'a' + 'b' == \"ab\"",
        "'\\u00e9' == 'é'",
        "r'\\d' == '\\\\d'",
        "b'a' + b'\\x62' == b'ab'",
        "[1, 2] + [3] == [1, 2, 3]",
        "{'a': 1}['a'] == 1",
        "'a' in {'a': 1} && 2 in [1, 2]",
        "true ? true : 1 / 0 == 1",
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "!!true",
        "null == null",
        "true != dyn(1)",
        "type(1) == int && type('') == string && type([]) == list && type({}) == map",
        "int('7') == 7 && string(7) == '7' && double('1.5') == 1.5 && bool('true')",
        "size('abc') == 3 && [1, 2].size() == 2",
        "[1, 2, 3].all(x, x > 0)",
        "[1, 2, 3].exists(x, x == 2)",
        "[1, 2, 3].exists_one(x, x > 2)",
        "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2].map(x, x * 2) == [2, 4]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "{'a': 1, 'b': 2}.all(k, k != 'c')",
        "{'a': 1}.all(k, v, k == 'a' && v == 1)",
        "['a'].transformMap(i, v, v + 'x') == {0: 'ax'}",
        "['a', 'b'].transformList(i, v, i) == [0, 1]",
        "cel.bind(x, 4, x * x) == 16",
        "timestamp('2024-02-29T01:02:03Z').getMonth() == 1",
        "timestamp('2024-02-29T23:00:00Z').getHours('+02:00') == 1",
        "timestamp('2020-01-01T00:00:00Z') + duration('1h') == timestamp('2020-01-01T01:00:00Z')",
        "duration('90m').getHours() == 1 && duration('1h') > duration('59m')",
        "string(duration('90s')) == '90s'",
        "optional.of(3).optMap(x, x + 1).value() == 4",
        "optional.none().orValue(7) == 7",
        "{'a': {'b': 1}}.?a.?b.hasValue() && !{'a': 1}.?x.hasValue()",
        "[1, 2][?5].orValue(0) == 0",
        "[?optional.of(1), ?optional.none()] == [1]",
        "{?'a': optional.none()} == {}",
        "'Ab-c'.lowerAscii() == 'ab-c' && 'a,b'.split(',') == ['a', 'b']",
        "['a', 'b'].join('-') == 'a-b' && 'abc'.substring(1, 2) == 'b'",
        "'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3",
        "'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "'abc'.matches('^a.c$') && !'xabc'.matches('^a')",
        "'%s: %d, %.1f, %x'.format(['a', 3, 1.25, 255]) == 'a: 3, 1.2, ff'",
        "[1, 2, 2].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])",
        "quantity('1Gi') > quantity('1Mi') || quantity('1Gi').isGreaterThan(quantity('1Mi'))",
        "quantity('1000m') == quantity('1') && quantity('1.5').sign() == 1",
        "quantity('50k').add(1).asInteger() == 50001 && !isQuantity('x')",
        "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && !isIP('1.2.3')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !isCIDR('10.0.0.0')",
        "url('https://a.b:8080/p?q=1').getHost() == 'a.b:8080' && !isURL('nope')",
        "url('https://a.b:8080/p?q=1').getQuery() == {'q': ['1']}",
        "format.dns1123Label().validate('a-b') == optional.none()",
        "format.named('dns1123Label').value().validate('A').value().size() > 0",
        "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && semver('1.10.0').minor() == 10",
        "isSemver('v1.0', true) && !isSemver('v1.0')",
    ],
)
def test_an_expression_is_true(text: str) -> None:
    assert value_of(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "9223372036854775807 + 1",
        "-(-9223372036854775808)",
        "{'a': 1}.b",
        "[1][1]",
        "1 + 1.0",
        "'a' < 1",
        "[1, 'a'].isSorted()",
        "quantity('x')",
        "'a'.nope()",
        "optional.none().value()",
        "true + false",
        "1 ? true : false",
        "'x'.matches('(')",
        "{'a': 1, 'a': 2}",
    ],
)
def test_an_expression_without_a_value_fails(text: str) -> None:
    with pytest.raises(CelError):
        value_of(text)


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "nobody", "nobody()", "a.b(", "'open", "package == 1", "[1, 2", "1 2", "has(1)"],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        compile_expression(text, ["a"])


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ParseError):
        compile_expression("(" * 5000 + "1" + ")" * 5000, [])


def test_a_long_chain_of_operators_has_a_value() -> None:
    assert value_of(" + ".join(["1"] * 80)) == 80


def test_has_tells_whether_a_field_is_there() -> None:
    assert value_of("has(self.a) && !has(self.b)", self={"a": None}) is True


def test_sets_compare_without_order_and_keyed_lists_by_key() -> None:
    assert value_of("self == ['b', 'a']", self=SetList(["a", "b"])) is True
    items = [{"k": 1, "v": 2}, {"k": 2}]
    assert value_of("self == other", self=KeyedList(items, ["k"]), other=items[::-1]) is True
    assert value_of("self == other", self=KeyedList(items, ["k"]), other=items[:1]) is False


def test_optional_variables_are_optionals() -> None:
    text = "oldSelf.hasValue() ? oldSelf.value() : 0"
    assert value_of(text, oldSelf=NONE) == 0
    assert value_of(text, oldSelf=Optional(True, 5)) == 5


def test_timestamps_are_moments() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert value_of("string(self)", self=moment) == "2024-01-01T00:00:00Z"


def test_work_beyond_the_budget_is_cancelled() -> None:
    program = compile_expression("self.all(x, self.all(y, x + y >= 0))", ["self"])
    with pytest.raises(CelError, match="cost limit"):
        program.evaluate({"self": list(range(1000))}, Budget(10_000))


def test_a_program_knows_which_variables_it_reads() -> None:
    program = compile_expression("self.all(oldSelf, oldSelf > 0)", ["self", "oldSelf"])
    assert program.names == {"self"}
