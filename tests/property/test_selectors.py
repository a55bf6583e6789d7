"""Selectors agree with models that are too simple to be wrong."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.selectors import SelectorError, parse_field_selector, parse_label_selector

KEYS = st.sampled_from(["a", "b", "in", "notin", "example.com/c"])
VALUES = st.sampled_from(["", "x", "y", "in", "10", "9", "z-1"])
LABELS = st.dictionaries(KEYS, VALUES)
SPACE = st.sampled_from(["", " ", "\t"])


@st.composite
def requirements(draw: st.DrawFn) -> tuple[str, str, str, list[str]]:
    """A requirement's text with its key, operator and values."""
    key, space = draw(KEYS), draw(SPACE)
    operator = draw(st.sampled_from(["=", "==", "!=", "in", "notin", "exists", "!", ">", "<"]))
    match operator:
        case "exists":
            return f"{space}{key}{space}", key, operator, []
        case "!":
            return f"!{space}{key}", key, operator, []
        case "in" | "notin":
            values = draw(st.lists(VALUES, min_size=1, max_size=3, unique=True))
            return f"{key} {operator}{space}({space}{','.join(values)})", key, operator, values
        case ">" | "<":
            value = draw(st.sampled_from(["1", "9", "10", "100"]))
        case _:
            value = draw(VALUES)
    return f"{key}{space}{operator}{space}{value}", key, operator, [value]


def holds(labels: dict[str, str], key: str, operator: str, values: list[str]) -> bool:
    match operator:
        case "exists":
            return key in labels
        case "!":
            return key not in labels
        case "=" | "==" | "in":
            return key in labels and labels[key] in values
        case "!=" | "notin":
            return key not in labels or labels[key] not in values
    if key not in labels or not labels[key].isdigit():
        return False
    number, bound = int(labels[key]), int(values[0])
    return number > bound if operator == ">" else number < bound


@settings(max_examples=300, deadline=None)
@given(st.lists(requirements(), max_size=5), LABELS)
def test_a_label_selector_is_the_conjunction_of_its_requirements(
    parts: list[tuple[str, str, str, list[str]]], labels: dict[str, str]
) -> None:
    selector = parse_label_selector(",".join(text for text, *_ in parts))
    assert selector.matches(labels) == all(
        holds(labels, key, operator, values) for _, key, operator, values in parts
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(requirements(), max_size=5), LABELS)
def test_the_normal_form_of_a_label_selector_selects_the_same(
    parts: list[tuple[str, str, str, list[str]]], labels: dict[str, str]
) -> None:
    selector = parse_label_selector(",".join(text for text, *_ in parts))
    again = parse_label_selector(str(selector))
    assert str(again) == str(selector)
    assert again.matches(labels) == selector.matches(labels)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab=!<>(),in ot-/.\x00é", max_size=12))
def test_any_label_selector_text_parses_or_is_a_selector_error(text: str) -> None:
    try:
        selector = parse_label_selector(text)
    except SelectorError:
        return
    assert str(parse_label_selector(str(selector))) == str(selector)


FIELDS = st.sampled_from(["metadata.name", "metadata.namespace", "status.phase"])
TEXTS = st.text(alphabet="ab,=\\!", max_size=4)


def escaped(value: str) -> str:
    return "".join(f"\\{one}" if one in "\\,=" else one for one in value)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(FIELDS, st.booleans(), TEXTS), max_size=4), TEXTS, TEXTS, TEXTS)
def test_a_field_selector_is_the_conjunction_of_its_requirements(
    parts: list[tuple[str, bool, str]], name: str, namespace: str, phase: str
) -> None:
    text = ",".join(
        f"{field}{'!=' if negated else '='}{escaped(value)}" for field, negated, value in parts
    )
    selector = parse_field_selector(text)
    actual = {"metadata.name": name, "metadata.namespace": namespace, "status.phase": phase}
    expected = all((actual[field] == value) is not negated for field, negated, value in parts)
    assert selector.matches(name, namespace, {"status.phase": phase}) is expected
    assert parse_field_selector(str(selector)) == selector


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab=!,\\ é", max_size=12))
def test_any_field_selector_text_parses_or_is_a_selector_error(text: str) -> None:
    try:
        selector = parse_field_selector(text)
    except SelectorError:
        return
    assert parse_field_selector(str(selector)).matches("a", "b", {}) == selector.matches(
        "a", "b", {}
    )
