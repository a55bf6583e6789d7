"""The labelSelector string and the LabelSelector object select what kube-apiserver selects."""

from __future__ import annotations

import pytest

from shared.selectors import (
    EVERYTHING,
    NOTHING,
    SelectorError,
    UnsupportedOperator,
    label_selector_from_object,
    parse_label_selector,
)

WEB = {"app": "web", "tier": "front"}
SIZED = {"app": "db", "example.com/size": "10", "empty": ""}
BARE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "web", "sized", "bare"),
    [
        ("", True, True, True),
        ("app=web", True, False, False),
        ("app==web", True, False, False),
        ("app!=web", False, True, True),
        ("app", True, True, False),
        ("!app", False, False, True),
        (" ! app ", False, False, True),
        ("tier in (front,side)", True, False, False),
        ("tier notin (front,side)", False, True, True),
        ("app=web,tier!=front", False, False, False),
        ("app,!tier", False, True, False),
        ("app in (web, db) , tier", True, False, False),
        ("example.com/size>9", False, True, False),
        ("example.com/size<10", False, False, False),
        ("example.com/size<11,example.com/size>9,app", False, True, False),
        ("app>1", False, False, False),
        ("empty=", False, True, False),
        ("empty=,app=db", False, True, False),
        ("empty in ()", False, True, False),
        ("empty in (,x)", False, True, False),
        ("empty in (x,)", False, True, False),
        ("empty in (x,,y)", False, True, False),
        ("empty notin ()", True, False, True),
        ("app=web,app=db", False, False, False),
        ("in in (in,notin)", False, False, False),
        ("in=notin", False, False, False),
    ],
)
def test_a_selector_matches_the_labels_that_it_describes(
    text: str, web: bool, sized: bool, bare: bool
) -> None:
    matches = parse_label_selector(text).matches
    assert (matches(WEB), matches(SIZED), matches(BARE)) == (web, sized, bare)


def test_keywords_are_ordinary_keys_and_values() -> None:
    selector = parse_label_selector("in in (notin),notin=in")
    assert selector.matches({"in": "notin", "notin": "in"})
    assert not selector.matches({"in": "in", "notin": "in"})


@pytest.mark.parametrize("text", ["9223372036854775808", "1_0", " 7", "٣", "7.0", "", "0x7"])
def test_a_label_that_is_no_int64_is_neither_greater_nor_less(text: str) -> None:
    assert not parse_label_selector("n>1").matches({"n": text})
    assert not parse_label_selector("n<9").matches({"n": text})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",a=b", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a=b,,c", "found ',', expected: identifier after ','"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a==!b", "unable to parse requirement: found '!', expected: identifier"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a in (b,=", "unable to parse requirement: found '=', expected: ',', or identifier"),
    ],
)
def test_bad_grammar_is_told_in_the_words_of_kube_apiserver(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_label_selector(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a/b/c=d", 'unable to parse requirement: <nil>: Invalid value: "a/b/c": a qualified name'),
        ("/c=d", 'unable to parse requirement: <nil>: Invalid value: "/c": prefix part must be'),
        ("X.y/c", 'unable to parse requirement: <nil>: Invalid value: "X.y/c": prefix part a'),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist'),
        ("a=-b", 'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label'),
        ("a in (b,?c)", 'unable to parse requirement: values[0][a]: Invalid value: "?c": a valid'),
        ("a=" + "b" * 64, "unable to parse requirement: values[0][a]: Invalid value"),
        ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt'"),
        ("a<", 'unable to parse requirement: values[0]: Invalid value: "": for'),
        ("b" * 64, "unable to parse requirement: <nil>: Invalid value"),
    ],
)
def test_bad_keys_and_values_are_told_with_their_path(text: str, start: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_label_selector(text)
    assert str(caught.value).startswith(start)


def test_several_mistakes_of_one_requirement_are_told_together() -> None:
    with pytest.raises(SelectorError, match=r"^unable to parse requirement: \[.*Gt.*, values\[0\]"):
        parse_label_selector("a>-x-")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("b=1,a==2", "a==2,b=1"),
        (" a in ( z , y ) ", "a in (y,z)"),
        ("a notin (x)", "a notin (x)"),
        ("a > 1, b<2", "a>1,b<2"),
        ("!b,a", "a,!b"),
        ("a!=", "a!="),
    ],
)
def test_the_normal_form_is_sorted_by_key(text: str, normal: str) -> None:
    assert str(parse_label_selector(text)) == normal


def test_an_exact_requirement_is_seen_by_callers_that_keep_an_index() -> None:
    selector = parse_label_selector("a=1,b in (2),c in (3,4),d!=5")
    assert [selector.requires_exact_match(key) for key in "abcde"] == ["1", "2", None, None, None]


def test_an_absent_selector_object_selects_nothing_and_an_empty_one_everything() -> None:
    assert label_selector_from_object(None) is NOTHING
    assert not NOTHING.matches({})
    assert label_selector_from_object({}) is EVERYTHING
    assert EVERYTHING.matches({})
    assert EVERYTHING.everything
    assert not NOTHING.everything


def test_a_selector_object_is_the_conjunction_of_its_labels_and_expressions() -> None:
    selector = label_selector_from_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["back", "front"]},
                {"key": "gone", "operator": "DoesNotExist"},
                {"key": "app", "operator": "Exists"},
                {"key": "zone", "operator": "NotIn", "values": ["a"]},
            ],
        }
    )
    assert selector.matches(WEB)
    assert not selector.matches({**WEB, "gone": ""})
    assert not selector.matches({**WEB, "zone": "a"})
    assert str(selector) == "app=web,app,!gone,tier in (back,front),zone notin (a)"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"key": "a", "operator": "In"}, "values: Invalid value: []: for 'in', 'notin' operators"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, 'values: Invalid value: ["b"]: '),
        ({"key": "", "operator": "Exists"}, 'key: Invalid value: "": name part must be non-empty'),
    ],
)
def test_a_bad_expression_is_told_with_its_path(
    expression: dict[str, object], message: str
) -> None:
    with pytest.raises(SelectorError) as caught:
        label_selector_from_object({"matchExpressions": [expression]})
    assert str(caught.value).startswith(message)


def test_an_unknown_operator_of_an_expression_is_its_own_error() -> None:
    with pytest.raises(UnsupportedOperator, match='"Gt" is not a valid label selector operator'):
        label_selector_from_object({"matchExpressions": [{"key": "a", "operator": "Gt"}]})


def test_a_list_of_values_without_end_is_bad_grammar() -> None:
    with pytest.raises(SelectorError, match="found '', expected: ',', or identifier"):
        parse_label_selector("a in (b,")


def test_a_million_blanks_are_read_at_once() -> None:
    """Each was once tried as a beginning of all that follow: an hour's work for one request."""
    blanks = " " * 1_000_000
    assert parse_label_selector(blanks) == EVERYTHING
    assert parse_label_selector(f"a{blanks}") == parse_label_selector("a")
