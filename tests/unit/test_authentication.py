"""Authentication: who asks, by bearer token or without one; the union; the stage."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest

from services.apiserver.authentication import Authenticated, TokenAuthenticator
from services.apiserver.authentication.anonymous import Anonymous
from services.apiserver.authentication.bearer import BearerToken
from services.apiserver.authentication.requestheader import STANDARD, HeaderFilter
from services.apiserver.authentication.tokencache import TokenCache
from services.apiserver.authentication.tokenfile import (
    StaticTokens,
    TokenFileError,
    read_token_file,
)
from services.apiserver.authentication.union import AudienceAgnostic, RequestUnion, TokenUnion
from services.apiserver.authentication.users import ANONYMOUS, grouped
from services.apiserver.errors import Unauthorized
from services.apiserver.http.request import Message, Request
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import AuthenticationStage

HERE = ("https://here",)
ALICE = UserInfo("alice", "1", ("team", "system:authenticated"))
BOB = UserInfo("bob", "2", ("system:authenticated",))


def request(*authorization: bytes, path: str = "/", **headers: bytes) -> Request:
    async def receive() -> Message:
        raise AssertionError("authentication reads no body")

    every = [(b"authorization", value) for value in authorization]
    every += [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {"method": "GET", "path": path, "query_string": b"", "headers": every}
    return Request(scope, receive)


class Bad:
    """An authenticator that knows of every token that it is bad."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> None:
        raise Unauthorized(self._why)


class Counting:
    """Knows one token, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def authenticate_token(
        self, token: str, audiences: tuple[str, ...]
    ) -> Authenticated | None:
        self.asked += 1
        return Authenticated(ALICE, audiences) if token == "abc" else None


def whose(
    tokens: TokenAuthenticator, token: str, audiences: tuple[str, ...] = HERE
) -> Authenticated | None:
    return asyncio.run(tokens.authenticate_token(token, audiences))


def ask(asking: Request, tokens: TokenAuthenticator, anonymous: Anonymous | None) -> UserInfo:
    authenticate = AuthenticationStage(
        BearerToken(tokens, HERE), anonymous, HeaderFilter(b"authorization", [STANDARD])
    )
    return asyncio.run(authenticate(asking))


STATIC = StaticTokens({"abc": ALICE}, HERE)


@pytest.mark.parametrize(
    "header",
    [b"Bearer abc", b"bearer abc", b"BEARER abc ", b" Bearer abc", b"Bearer abc behind it"],
)
def test_a_known_token_is_its_user(header: bytes) -> None:
    assert ask(request(header), STATIC, None) == ALICE


@pytest.mark.parametrize("header", [b"Bearer abd", b"Bearer ABC", b"Bearer \xff\xfe", b"Bearer ?"])
@pytest.mark.parametrize("anonymous", [Anonymous(), None])
def test_a_wrong_token_is_refused_even_where_anybody_may_come(
    header: bytes, anonymous: Anonymous | None
) -> None:
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        ask(request(header), STATIC, anonymous)


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Bearer  abc", b"Basic abc", b"abc"]
)
def test_without_credentials_one_is_anonymous_where_that_is_allowed(header: bytes | None) -> None:
    asking = request() if header is None else request(header)
    assert ask(asking, STATIC, Anonymous()) == ANONYMOUS
    with pytest.raises(Unauthorized):
        ask(asking, STATIC, None)


@pytest.mark.parametrize(("path", "allowed"), [("/livez", True), ("/livez/", False), ("/", False)])
def test_anonymous_requests_may_be_kept_to_some_paths(path: str, allowed: bool) -> None:
    asking, anonymous = request(path=path), Anonymous(["/livez", "/readyz"])
    if allowed:
        assert ask(asking, STATIC, anonymous) == ANONYMOUS
    else:
        with pytest.raises(Unauthorized):
            ask(asking, STATIC, anonymous)


def test_of_two_tokens_the_first_counts() -> None:
    tokens = StaticTokens({"abc": ALICE, "abd": BOB}, HERE)
    assert ask(request(b"Bearer abc", b"Bearer abd"), tokens, None) == ALICE
    with pytest.raises(Unauthorized):
        ask(request(b"Bearer wrong", b"Bearer abd"), tokens, Anonymous())


@pytest.mark.parametrize("header", [b"Bearer abc", b"Bearer wrong", b"Basic abc"])
def test_nothing_behind_sees_credentials_or_the_headers_of_a_front_proxy(header: bytes) -> None:
    asking = request(
        header, header, x_remote_user=b"root", x_remote_extra_a=b"b", x_remotely=b"c", accept=b"d"
    )
    with suppress(Unauthorized):
        ask(asking, STATIC, Anonymous())
    assert asking.headers == {b"x-remotely": b"c", b"accept": b"d"}
    assert asking.scope["headers"] == [(b"x-remotely", b"c"), (b"accept", b"d")]


def test_the_log_of_a_refusal_is_short(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(Unauthorized):
        ask(request(b"Bearer wrong", path="/" + "x" * 100_000), STATIC, None)
    (record,) = caplog.records
    assert len(record.__dict__["path"]) == 500


def test_requests_are_counted_by_what_became_of_them() -> None:
    stage = AuthenticationStage(
        BearerToken(STATIC, HERE), Anonymous(["/livez"]), HeaderFilter(b"authorization", [STANDARD])
    )

    async def ask_all() -> None:
        for asking in (
            *(request(b"Bearer abc") for _ in range(3)),
            *(request(b"Bearer wrong", path="/livez") for _ in range(2)),
            request(),
            request(path="/livez"),
        ):
            with suppress(Unauthorized):
                await stage(asking)

    asyncio.run(ask_all())
    assert stage.attempts == {"success": 4, "failure": 1, "error": 2}


# -- the union -----------------------------------------------------------------------


def test_the_first_who_knows_a_token_decides() -> None:
    first, second = StaticTokens({"abc": ALICE}), StaticTokens({"abc": BOB, "abd": BOB})
    union = TokenUnion((first, second))
    assert [whose(union, token, ()) for token in ("abc", "abd", "abe")] == [
        Authenticated(ALICE),
        Authenticated(BOB),
        None,
    ]


def test_who_finds_a_token_bad_does_not_stop_the_others() -> None:
    assert whose(TokenUnion((Bad("no"), STATIC)), "abc") == Authenticated(ALICE, HERE)


@pytest.mark.parametrize(
    ("reasons", "told"), [(["no"], "no"), (["no", "never"], "[no, never]"), (["no", "no"], "no")]
)
def test_what_all_find_bad_is_told_by_all_reasons(reasons: list[str], told: str) -> None:
    union = TokenUnion([*map(Bad, reasons), STATIC])
    with pytest.raises(Unauthorized) as caught:
        whose(union, "abd")
    assert caught.value.message == told


def test_requests_are_asked_about_in_order_too() -> None:
    bad, good = BearerToken(Bad("no"), HERE), BearerToken(STATIC, HERE)
    found = asyncio.run(RequestUnion((bad, good)).authenticate(request(b"Bearer abc")))
    assert found == Authenticated(ALICE, HERE)
    with pytest.raises(Unauthorized, match=r"\[no, invalid bearer token\]"):
        asyncio.run(RequestUnion((bad, good)).authenticate(request(b"Bearer abd")))
    assert asyncio.run(RequestUnion((bad, good)).authenticate(request())) is None


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        (UserInfo("a", groups=("b",)), ("b", "system:authenticated")),
        (UserInfo("a", groups=("system:authenticated", "b")), ("system:authenticated", "b")),
        (UserInfo("a", groups=("system:unauthenticated",)), ("system:unauthenticated",)),
        (UserInfo("system:anonymous"), ()),
    ],
)
def test_who_is_known_is_in_the_group_of_all_who_are(
    user: UserInfo, groups: tuple[str, ...]
) -> None:
    assert grouped(user).groups == groups


# -- audiences -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokens", [STATIC, AudienceAgnostic(StaticTokens({"abc": ALICE}), HERE)], ids=["own", "other"]
)
@pytest.mark.parametrize(
    ("asked", "good"),
    [(HERE, HERE), ((), ()), (("other",), None), (("other", *HERE), HERE)],
)
def test_tokens_that_know_no_audiences_are_good_for_those_of_this_server(
    tokens: TokenAuthenticator, asked: tuple[str, ...], good: tuple[str, ...] | None
) -> None:
    found = whose(tokens, "abc", asked)
    if good is None:
        assert found is None
    else:
        assert found is not None
        assert (found.user, found.audiences) == (ALICE, good if asked else found.audiences)


# -- the cache -----------------------------------------------------------------------


def test_a_good_token_is_remembered_for_ten_seconds() -> None:
    now, asked = [100.0], Counting()
    cache = TokenCache(asked, clock=lambda: now[0])
    for moment, times in ((100.0, 1), (109.9, 1), (110.0, 2), (119.9, 2)):
        now[0] = moment
        assert whose(cache, "abc") == Authenticated(ALICE, HERE)
        assert asked.asked == times


def test_a_wrong_token_is_asked_about_again() -> None:
    asked = Counting()
    cache = TokenCache(asked)
    assert [whose(cache, "abd"), whose(cache, "abd")] == [None, None]
    assert asked.asked == 2


def test_what_is_remembered_holds_for_the_audiences_that_were_asked() -> None:
    asked = Counting()
    cache = TokenCache(asked)
    for audiences in (HERE, ("other",)):
        assert whose(cache, "abc", audiences) == Authenticated(ALICE, audiences)
    assert asked.asked == 2


def test_answers_for_very_many_audiences_are_not_remembered() -> None:
    cache = TokenCache(Counting())
    assert whose(cache, "abc", ("x" * 1025,)) is not None
    assert repr(cache) == "TokenCache(tokens=0)"


def test_only_so_many_tokens_are_remembered_and_none_can_be_read() -> None:
    class All:
        async def authenticate_token(
            self, token: str, audiences: tuple[str, ...]
        ) -> Authenticated | None:
            return Authenticated(ALICE)

    cache = TokenCache(All(), maximum=3)
    for number in range(10):
        whose(cache, f"token-{number}")
    assert repr(cache) == "TokenCache(tokens=3)"
    assert "token-9" not in repr(cache._known)


# -- the token file ------------------------------------------------------------------


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "tokens.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_token_file_has_a_user_a_line(tmp_path: Path) -> None:
    text = '# who may\n\nabc,alice,1\nabd, bob, 2, "a,b"\nabe,carol,3,c\nabf,dan,4,""\n'
    assert read_token_file(write(tmp_path, text)) == {
        "abc": UserInfo("alice", "1"),
        "abd": UserInfo("bob", "2", ("a", "b")),
        "abe": UserInfo("carol", "3", ("c",)),
        "abf": UserInfo("dan", "4", ("",)),
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
