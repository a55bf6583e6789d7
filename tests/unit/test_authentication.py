"""Authentication: who asks, by bearer token, and the file the tokens are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.apiserver.errors import Unauthorized
from services.apiserver.request import Message, Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import (
    ANONYMOUS,
    StaticTokens,
    TokenFileError,
    authenticate_by,
    read_token_file,
)

ALICE = UserInfo("alice", "1", ("team", "system:authenticated"))


def request(*authorization: bytes) -> Request:
    async def receive() -> Message:
        raise AssertionError("authentication reads no body")

    headers = [(b"authorization", value) for value in authorization]
    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": headers}
    return Request(scope, receive)


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER   abc "])
def test_a_known_token_is_its_user(header: bytes) -> None:
    authenticate = authenticate_by((StaticTokens({"abc": ALICE}),), anonymous=False)
    assert authenticate(request(header)) == ALICE


@pytest.mark.parametrize(
    "header", [b"Bearer abd", b"Bearer abc abc", b"Bearer ABC", b"Bearer \xff\xfe", b"Bearer ?"]
)
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_wrong_token_is_refused_even_where_anybody_may_come(
    header: bytes, anonymous: bool
) -> None:
    tokens = StaticTokens({"abc": ALICE})
    authenticate = authenticate_by((tokens,), anonymous=anonymous)
    with pytest.raises(Unauthorized):
        authenticate(request(header))


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"abc"])
def test_without_credentials_one_is_anonymous_where_that_is_allowed(header: bytes | None) -> None:
    tokens = StaticTokens({"abc": ALICE})
    asking = request() if header is None else request(header)
    assert authenticate_by((tokens,), anonymous=True)(asking) == ANONYMOUS
    with pytest.raises(Unauthorized):
        authenticate_by((tokens,), anonymous=False)(asking)


def test_the_first_who_knows_the_user_is_asked_last() -> None:
    first, second = StaticTokens({"abc": ALICE}), StaticTokens({"abc": ANONYMOUS})
    assert authenticate_by((first, second), anonymous=False)(request(b"Bearer abc")) == ALICE


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "tokens.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_token_file_has_a_user_a_line(tmp_path: Path) -> None:
    text = '# who may\n\nabc,alice,1\nabd, bob, 2, "a,b"\nabe,carol,3,c\nabf,dan,4,""\n'
    users = read_token_file(write(tmp_path, text))
    everybody = "system:authenticated"
    assert users == {
        "abc": UserInfo("alice", "1", (everybody,)),
        "abd": UserInfo("bob", "2", ("a", "b", everybody)),
        "abe": UserInfo("carol", "3", ("c", everybody)),
        "abf": UserInfo("dan", "4", ("", everybody)),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("abc,alice,1\nabd,bob\n", ":2: a line needs token,user,uid; got 2"),
        (",alice,1\n", ":1: the token is empty"),
        (b"\xff\xfe", "can't decode"),
    ],
)
def test_a_bad_token_file_is_told_by_its_line(text: str | bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(TokenFileError) as caught:
        read_token_file(write(tmp_path, text))
    assert why in str(caught.value)


def test_a_token_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="No such file"):
        read_token_file(tmp_path / "tokens.csv")
