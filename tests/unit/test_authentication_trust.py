"""What the ConfigMap extension-apiserver-authentication says."""

from __future__ import annotations

import datetime

import pytest

from services.apiserver.controlplane.authenticationtrust import certificates, joined
from tests.certificates import Issued, authority

MINUTE = datetime.timedelta(minutes=1)
OURS, THEIRS = authority("ours"), authority("theirs")


def pem(*issued: Issued) -> str:
    return b"".join(one.pem for one in issued).decode()


@pytest.mark.parametrize(
    ("bundles", "expected"),
    [
        ([], ""),
        (["", pem(OURS)], pem(OURS)),
        ([pem(THEIRS), pem(OURS)], pem(THEIRS, OURS)),
        ([pem(OURS, THEIRS), pem(OURS)], pem(OURS, THEIRS)),
        (["# ours\n" + pem(OURS), pem(OURS)], pem(OURS)),
        (["what", pem(OURS)], pem(OURS)),
    ],
)
def test_authorities_of_all_replicas_are_told_each_once(bundles: list[str], expected: str) -> None:
    assert certificates(bundles) == expected


def test_an_authority_that_has_expired_is_told_for_some_minutes_more() -> None:
    # Made when they are needed: a long run of tests would make the one into the other.
    just, long_ago = authority("old", ends=-4 * MINUTE), authority("old", ends=-6 * MINUTE)
    assert certificates([pem(long_ago, just), pem(OURS)]) == pem(just, OURS)


@pytest.mark.parametrize(
    ("present", "ours", "expected"),
    [
        ("", [], "[]"),
        ("", ["X-Remote-User"], '["X-Remote-User"]'),
        ('["a","b"]', ["b", "c"], '["a","b","c"]'),
        ("what", ["a"], '["a"]'),
        ('{"a":1}', ["a"], '["a"]'),
        ('[1,"b"]', ["a"], '["b","a"]'),
    ],
)
def test_names_of_all_replicas_are_told_once(present: str, ours: list[str], expected: str) -> None:
    assert joined(present, ours) == expected
