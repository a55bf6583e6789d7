"""Warnings and metadata of answers, as they go out."""

from __future__ import annotations

import pytest

from services.apiserver.http.negotiation import MediaType
from services.apiserver.read.representation import (
    ListMeta,
    response,
    warning_header,
    warning_headers,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("be careful", b'299 - "be careful"'),
        ('unknown field "a"', b'299 - "unknown field \\"a\\""'),
        ("a\\b", b'299 - "a\\\\b"'),
        ("one\r\nSet-Cookie: two\x00\x7f", b'299 - "oneSet-Cookie: two"'),
        ("\u2028ä\U0001f600", b'299 - "\\xe4\\U0001f600"'),
    ],
)
def test_a_warning_is_one_quoted_line_of_ascii(text: str, value: bytes) -> None:
    assert warning_header(text) == (b"warning", value)


def test_a_warning_that_repeats_is_told_once() -> None:
    assert warning_headers(["a", "b", "a"]) == [warning_header("a"), warning_header("b")]


def test_warnings_that_fit_are_whole() -> None:
    long = "x" * 4000
    assert warning_headers([long, "y" * 96]) == [warning_header(long), warning_header("y" * 96)]


def test_warnings_that_do_not_fit_are_cut_and_then_left_out() -> None:
    headers = warning_headers([f"{number:04}" + "x" * 400 for number in range(100)])
    assert len(headers) == 16
    assert headers[0] == warning_header("0000" + "x" * 252)


@pytest.mark.parametrize(
    ("meta", "custom", "shown"),
    [
        (ListMeta("5"), False, {"resourceVersion": "5"}),
        (ListMeta("5"), True, {"resourceVersion": "5", "continue": ""}),
        (ListMeta("5", "t"), False, {"resourceVersion": "5", "continue": "t"}),
        (
            ListMeta("5", "t", 7),
            False,
            {"resourceVersion": "5", "continue": "t", "remainingItemCount": 7},
        ),
    ],
)
def test_lists_of_custom_resources_always_carry_continue(
    meta: ListMeta, custom: bool, shown: dict[str, object]
) -> None:
    assert meta.as_dict(custom=custom) == shown


def test_json_ends_with_a_line_break_and_other_forms_with_their_content() -> None:
    assert response(200, b"{}", MediaType()).body == b"{}\n"
    assert response(200, b"a: b\n", MediaType("yaml")).body == b"a: b\n"
    assert response(200, b"k8s\x00", MediaType("protobuf")).body == b"k8s\x00"


def test_an_answer_says_its_type_and_its_warnings() -> None:
    answer = response(201, b"{}", MediaType(), ["a", "b"])
    assert list(answer.headers) == [
        (b"content-type", b"application/json"),
        warning_header("a"),
        warning_header("b"),
    ]
