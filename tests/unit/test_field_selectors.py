"""The fieldSelector string selects by name, namespace and the kind's own fields."""

from __future__ import annotations

import pytest

from shared.selectors import SelectorError, UnsupportedField, parse_field_selector
from shared.selectors.fields import METADATA_FIELDS

POD_FIELDS = METADATA_FIELDS | {"spec.nodeName", "status.phase"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name==a", True),
        ("metadata.name!=a", False),
        ("metadata.name=", False),
        ("metadata.namespace=ns", True),
        ("metadata.namespace!=ns", False),
        ("metadata.name=a,metadata.namespace=ns", True),
        ("metadata.name=a,metadata.name=b", False),
        ("metadata.name=a,", True),
        (",,metadata.name=a", True),
        ("status.phase=Running", True),
        ("status.phase!=Running,metadata.name=a", False),
        ("spec.nodeName=", True),
        ("spec.nodeName!=", False),
        (r"metadata.name=a\,b", False),
        (r"status.phase!=a\=b", True),
    ],
)
def test_a_selector_matches_the_object_that_it_describes(text: str, matches: bool) -> None:
    selector = parse_field_selector(text).compile(POD_FIELDS)
    assert selector.matches("a", "ns", {"status.phase": "Running"}) is matches


def test_values_are_unescaped_when_parsed_and_escaped_when_printed() -> None:
    selector = parse_field_selector(r"b!=\\,a=x\,y\=z")
    assert [one.value for one in selector.requirements] == ["x,y=z", "\\"]
    assert str(selector) == r"a=x\,y\=z,b!=\\"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
        ("metadata.name in (c1)", "can't understand 'metadata.name in (c1)'"),
        (r"a=c\1", r"invalid field selector: invalid escape sequence: \1"),
        ("a=c\\", "invalid field selector: invalid escape sequence: \\"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_what_does_not_parse_is_told_in_the_words_of_kube_apiserver(
    text: str, message: str
) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_field_selector(text)
    assert str(caught.value).endswith(message)


def test_a_kind_without_own_fields_knows_name_and_namespace_only() -> None:
    with pytest.raises(UnsupportedField) as caught:
        parse_field_selector("data.k=v").compile()
    assert str(caught.value) == (
        '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )
    assert caught.value.field == "data.k"


def test_a_kind_with_own_fields_refuses_others() -> None:
    with pytest.raises(UnsupportedField, match=r"^field label not supported: spec\.x$"):
        parse_field_selector("spec.x=1").compile(POD_FIELDS)


def test_an_empty_field_name_is_not_supported() -> None:
    with pytest.raises(UnsupportedField):
        parse_field_selector("=c1").compile()


def test_a_cluster_scoped_kind_can_refuse_the_namespace() -> None:
    with pytest.raises(UnsupportedField, match=r"field label not supported: metadata\.namespace"):
        parse_field_selector("metadata.namespace=a").compile({"metadata.name"})


def test_an_older_name_of_a_field_selects_by_the_present_one() -> None:
    selector = parse_field_selector("spec.host=n").compile(
        POD_FIELDS, {"spec.host": "spec.nodeName"}
    )
    assert selector.matches("a", "ns", {"spec.nodeName": "n"})
    assert str(selector) == "spec.nodeName=n"


def test_the_exact_name_is_seen_by_authorization_and_the_cache() -> None:
    selector = parse_field_selector("metadata.name=a,status.phase!=x")
    assert selector.requires_exact_match("metadata.name") == "a"
    assert selector.requires_exact_match("status.phase") is None
    assert selector.requires_exact_match("metadata.namespace") is None
