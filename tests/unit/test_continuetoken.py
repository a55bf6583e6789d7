"""Continue tokens: made for the next page, refused if they are anything else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from services.apiserver.errors import BadRequest
from services.apiserver.read.continuetoken import ContinueToken, decode, encode

PREFIX = b"/registry/pods/ns/"


def token(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def of(**fields: Any) -> str:
    return token({"v": "meta.k8s.io/v1", "rv": 5, "start": "/a\x00", **fields})


@pytest.mark.parametrize("name", [b"a", b"a.b-c", b"x" * 253])
@pytest.mark.parametrize("revision", [1, 5, 2**62, -1])
def test_a_page_begins_right_behind_the_last_object_of_the_one_before(
    name: bytes, revision: int
) -> None:
    made = encode(PREFIX, PREFIX + name, revision)
    assert "=" not in made
    assert decode(made, PREFIX) == ContinueToken(PREFIX + name + b"\x00", revision)


def test_the_form_is_kube_apiservers() -> None:
    made = encode(b"/registry/pods/", b"/registry/pods/ns/a", 7)
    raw = base64.urlsafe_b64decode(made + "=" * (-len(made) % 4))
    assert raw == b'{"v":"meta.k8s.io/v1","rv":7,"start":"/ns/a\\u0000"}'
    assert decode(made, b"/registry/pods/").start == b"/registry/pods/ns/a\x00"


def test_padding_and_a_missing_slash_are_accepted() -> None:
    padded = of(start="a\x00")
    padded += "=" * (-len(padded) % 4)
    assert decode(padded, PREFIX).start == PREFIX + b"a\x00"


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "!!!!",
        "é",
        token(b""),
        token(b"{"),
        token([]),
        token(None),
        token(b"[" * 50_000),
        token({}),
        of(v="meta1.k8s.io/v1"),
        of(v=1),
        of(rv=0),
        of(rv="5"),
        of(rv=1.5),
        of(rv=True),
        of(rv=None),
        of(start=""),
        of(start=5),
        of(start=None),
        of(start="\ud800"),
        of(start=".."),
        of(start="/../x"),
        of(start="/a/../../secrets/kube-system/x"),
        of(start="/a/./b"),
        of(start="//a"),
        of(start="a//b"),
        of(start="/../../../registry/secrets/kube-system/x\x00"),
    ],
    ids=lambda bad: bad[:30],
)
def test_whatever_else_is_refused(bad: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(bad, PREFIX)
    assert caught.value.message.startswith("continue key is not valid: ")


@pytest.mark.parametrize("start", ["/", "a", "/a", "/a\x00", "/x/y", "/..a", "/ä"])
def test_what_is_accepted_lies_below_the_prefix(start: str) -> None:
    assert decode(of(start=start), PREFIX).start.startswith(PREFIX)
