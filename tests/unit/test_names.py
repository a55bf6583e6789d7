"""Which names are good, and what is said about the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.apiserver.validation import names

LONG = "a" * 64


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            names.dns1123_label,
            ["a", "a-b", "1", "a" * 63],
            ["", "A", "a.b", "-a", "a-", LONG, "a\n"],
        ),
        (names.dns1123_subdomain, ["a.b-c.d", "1.2"], ["a..b", ".a", "a_b", "A", "a" * 254]),
        (names.dns1035_label, ["a1", "a-1"], ["1a", "a.b", LONG, "a-"]),
        (
            names.qualified_name,
            ["a", "A_b.c", "example.com/x", "a/" + "b" * 63],
            ["", "/x", "x/", "a/b/c", "Example.com/x", "a b", "-a", LONG, "é"],
        ),
        (names.label_value, ["", "A", "a_b.c-d"], ["-a", "a ", "é", LONG]),
        (names.path_segment, ["System:Any thing", "..."], [".", "..", "a/b", "a%b"]),
        (names.relaxed_env_var_name, ["a b", "1", "a.b"], ["", "a=b", "é", "a\tb"]),
        (names.env_var_name, ["A_B", "-a", "_"], ["1a", "..", "..a", "a b", ""]),
        (names.config_map_key, ["a.b", ".a", "A_-"], ["", ".", "..", "..a", "a/b", "a" * 254]),
        (names.port_name, ["http", "a-1"], ["", "1", "a--b", "-a", "a" * 16, "A"]),
        (names.wildcard_dns1123_subdomain, ["*.a.b"], ["*", "a.*", "*.*.a"]),
        (names.percent, ["0%", "93%"], ["1", "%", "-1%"]),
        (names.http_header_name, ["X-A"], ["", "X A", "X:A"]),
        (names.c_identifier, ["_a1"], ["1a", "a-b", ""]),
        (names.condition_reason, ["A", "A:b_"], ["", "1", "a:"]),
    ],
)
def test_a_rule_accepts_the_good_and_explains_the_bad(
    rule: Callable[[str], list[str]], good: list[str], bad: list[str]
) -> None:
    assert [value for value in good if rule(value)] == []
    assert [value for value in bad if not rule(value)] == []


def test_an_empty_key_is_wrong_twice() -> None:
    assert len(names.qualified_name("")) == 2


def test_a_bad_prefix_and_a_bad_name_are_both_told() -> None:
    messages = names.qualified_name("A_/-")
    assert [message.split(" part ")[0] for message in messages] == ["prefix", "name"]


def test_lengths_count_bytes() -> None:
    assert names.max_length(63) in names.label_value("é" * 40)


def test_a_generate_name_may_end_in_a_dash() -> None:
    assert names.dns1123_label(names.with_trailing_dash_masked("made-")) == []
    assert names.dns1123_label(names.with_trailing_dash_masked("-")) != []


def test_a_port_number_is_between_1_and_65535() -> None:
    assert [number for number in (-1, 0, 1, 65535, 65536) if not names.port_number(number)] == [
        1,
        65535,
    ]
