"""Webhook token authentication against a real HTTPS server: what is asked, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from services.apiserver.authentication.authenticator import Authenticated
from services.apiserver.authentication.webhook import WebhookTokenAuthenticator
from services.apiserver.authentication.webhookcache import WebhookCache
from services.apiserver.errors import Unauthorized
from services.apiserver.requestinfo import UserInfo
from shared import kubeconfig
from shared.certificates import Subject, issued
from tests.oidcissuer import server_certificate, serving

USER = {"username": "jane", "uid": "7", "groups": ["g"], "extra": {"b": ["2"], "a": ["1", "0"]}}
JANE = UserInfo("jane", "7", ("g",), (("a", ("1", "0")), ("b", ("2",))))


@dataclass(slots=True)
class Webhook:
    """Answers as the test says; keeps what it was asked."""

    status: Any = field(default_factory=lambda: {"authenticated": True, "user": USER})
    answer: dict[str, Any] = field(default_factory=dict)
    """Fields of the review that are not as they must."""
    failures: list[web.Response] = field(default_factory=list)
    """Answers to the next requests in place of a review."""
    hold: asyncio.Event | None = None
    reviews: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bearers: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        self.reviews.append(review)
        self.paths.append(request.path)
        self.bearers.append(request.headers.get("Authorization", ""))
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            return self.failures.pop(0)
        about = {"kind": "TokenReview", "apiVersion": review["apiVersion"]}
        return web.json_response({**about, "status": self.status, **self.answer}, status=201)


Try = Callable[[Webhook, WebhookTokenAuthenticator], Awaitable[None]]


def with_webhook(
    directory: Path,
    attempt: Try,
    *,
    version: str = "v1",
    user: dict[str, Any] | None = None,
    mutual: bool = False,
    trusted: bool = True,
) -> None:
    async def scenario() -> None:
        hook = Webhook()
        signer, _ = server_certificate(directory)
        ca = signer.certificate if mutual else None
        async with serving(directory, hook.handle, client_ca=ca) as url:
            cluster: dict[str, Any] = {"server": f"{url}/review"}
            if trusted:
                cluster["certificate-authority"] = str(signer.certificate)
            config = {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user or {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
            path = directory / "webhook.kubeconfig"
            path.write_text(yaml.safe_dump(config))
            authenticator = WebhookTokenAuthenticator(
                kubeconfig.load(path), version=version, api_audiences=("api",), backoff_s=0.005
            )
            try:
                await attempt(hook, authenticator)
            finally:
                await authenticator.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_webhook_is_asked_with_a_review_and_names_the_user(
    tmp_path: Path, version: str
) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        found = await authenticator.authenticate_token("t", ())
        assert found == Authenticated(JANE)
        assert hook.reviews == [
            {
                "kind": "TokenReview",
                "apiVersion": f"authentication.k8s.io/{version}",
                "metadata": {},
                "spec": {"token": "t"},
                "status": {"user": {}},
            }
        ]
        assert hook.paths == ["/review"]

    with_webhook(tmp_path, attempt, version=version)


@pytest.mark.parametrize(
    ("asked", "answered", "granted"),
    [
        (("a", "b"), ["b", "c"], ("b",)),
        (("a", "b"), ["c"], None),
        # Without a word about audiences, a token is good for this server's.
        (("a", "api"), None, ("api",)),
        (("a",), None, None),
        ((), ["c"], ()),
    ],
)
def test_a_token_is_good_for_the_audiences_that_were_asked_for_and_granted(
    tmp_path: Path,
    asked: tuple[str, ...],
    answered: list[str] | None,
    granted: tuple[str, ...] | None,
) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        if answered is not None:
            hook.status["audiences"] = answered
        found = await authenticator.authenticate_token("t", asked)
        assert found == (None if granted is None else Authenticated(JANE, granted))
        assert hook.reviews[0]["spec"].get("audiences", []) == list(asked)

    with_webhook(tmp_path, attempt)


def test_a_token_that_the_webhook_does_not_know_is_left_to_others(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.status = {"authenticated": False, "user": USER}
        assert await authenticator.authenticate_token("t", ()) is None

    with_webhook(tmp_path, attempt)


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        ({"authenticated": False, "error": "expired yesterday"}, {}, "expired yesterday"),
        ({"authenticated": True, "user": {"username": 7}}, {}, "no good user"),
        ({"authenticated": True, "user": {"username": "a", "groups": [None]}}, {}, "no good user"),
        ({"authenticated": True, "user": ["a"]}, {}, "no good user"),
        ({"authenticated": True, "user": {"groups": "admins"}}, {}, "no good user"),
        ({"authenticated": True, "user": {"extra": {"a": "b"}}}, {}, "no good user"),
        ({"authenticated": True, "user": {"extra": ["a"]}}, {}, "no good user"),
        ({"authenticated": True, "audiences": "api-of-others"}, {}, "no good audiences"),
        ("yes", {}, "no TokenReview"),
        ({}, {"kind": "Status"}, "no TokenReview"),
        ({}, {"apiVersion": "authentication.k8s.io/v2"}, "no TokenReview"),
    ],
)
def test_an_answer_that_is_not_good_gets_nobody_in(
    tmp_path: Path, status: Any, answer: dict[str, Any], why: str
) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.status, hook.answer = status, answer
        with pytest.raises(Unauthorized, match=why):
            await authenticator.authenticate_token("t", ())

    with_webhook(tmp_path, attempt)


@pytest.mark.parametrize("authenticated", ["true", 1, "false", None, ["x"]])
def test_only_true_means_authenticated(tmp_path: Path, authenticated: object) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.status = {"authenticated": authenticated, "user": USER}
        assert await authenticator.authenticate_token("t", ()) is None

    with_webhook(tmp_path, attempt)


@pytest.mark.parametrize(
    ("status", "headers", "requests"),
    [
        (500, {}, 5),
        (429, {}, 5),
        (504, {}, 5),
        (503, {"Retry-After": "1"}, 5),
        (503, {}, 1),
        (403, {}, 1),
        (302, {"Location": "https://127.0.0.1:1/"}, 1),
    ],
)
def test_a_failure_that_may_pass_is_tried_five_times_and_then_gets_nobody_in(
    tmp_path: Path, status: int, headers: dict[str, str], requests: int
) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.failures = [web.Response(status=status, headers=headers) for _ in range(9)]
        with pytest.raises(Unauthorized, match=f"status {status}"):
            await authenticator.authenticate_token("t", ())
        assert len(hook.reviews) == requests

    with_webhook(tmp_path, attempt)


def test_a_failure_that_passes_does_no_harm(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.failures = [web.Response(status=500), web.Response(status=429)]
        assert await authenticator.authenticate_token("t", ()) == Authenticated(JANE)

    with_webhook(tmp_path, attempt)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b" " * (3 * 2**20 + 1)])
def test_an_answer_that_is_no_review_gets_nobody_in(tmp_path: Path, body: bytes) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        hook.failures = [web.Response(body=body)]
        with pytest.raises(Unauthorized, match="the webhook's answer"):
            await authenticator.authenticate_token("t", ())

    with_webhook(tmp_path, attempt)


def test_a_webhook_that_is_not_there_gets_nobody_in() -> None:
    async def scenario() -> None:
        access = kubeconfig.ClusterAccess("https://127.0.0.1:1")
        authenticator = WebhookTokenAuthenticator(access, version="v1", backoff_s=0.005)
        with pytest.raises(Unauthorized, match="Cannot connect"):
            await authenticator.authenticate_token("t", ())
        await authenticator.aclose()

    asyncio.run(scenario())


def test_a_webhook_whose_certificate_nobody_signed_is_not_believed(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        with pytest.raises(Unauthorized, match="CERTIFICATE_VERIFY_FAILED"):
            await authenticator.authenticate_token("t", ())
        assert not hook.reviews

    with_webhook(tmp_path, attempt, trusted=False)


def test_we_show_who_we_are_by_certificate_or_token(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        assert await authenticator.authenticate_token("t", ()) is not None
        assert hook.bearers == ["Bearer renewed"]

    signer, _ = server_certificate(tmp_path)
    subject = Subject(common_name="apiserver", server=False, client=True)
    pair = issued(tmp_path, "client", subject, signer)
    (tmp_path / "token").write_text("renewed\n")
    user = {
        "client-certificate": str(pair.certificate),
        "client-key": str(pair.key),
        "tokenFile": str(tmp_path / "token"),
    }
    with_webhook(tmp_path, attempt, user=user, mutual=True)


# -- the cache ---------------------------------------------------------------------------


def test_answers_are_kept_for_a_while_errors_are_not(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        now = [100.0]
        cache = WebhookCache(authenticator, ttl_s=120, now=lambda: now[0])
        for _ in range(3):
            assert await cache.authenticate_token("t", ()) == Authenticated(JANE)
        hook.status = {"authenticated": False}
        for _ in range(3):
            assert await cache.authenticate_token("unknown", ()) is None
        assert len(hook.reviews) == 2, "one for each token"
        hook.status = {"authenticated": False, "error": "bad"}
        for _ in range(2):
            with pytest.raises(Unauthorized):
                await cache.authenticate_token("bad", ())
        assert len(hook.reviews) == 4
        await cache.authenticate_token("t", ())
        assert len(hook.reviews) == 4
        now[0] += 120
        with pytest.raises(Unauthorized):
            await cache.authenticate_token("t", ())

    with_webhook(tmp_path, attempt)


def test_an_answer_is_kept_for_its_audiences_alone(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        cache = WebhookCache(authenticator, ttl_s=120)
        hook.status["audiences"] = ["a"]
        assert await cache.authenticate_token("t", ("a",)) == Authenticated(JANE, ("a",))
        assert await cache.authenticate_token("t", ("b",)) is None
        assert await cache.authenticate_token("t", ("a", "b")) == Authenticated(JANE, ("a",))

    with_webhook(tmp_path, attempt)


def test_no_token_passes_for_another_with_other_audiences(tmp_path: Path) -> None:
    """Reviews bring tokens and audiences of any characters."""

    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        cache = WebhookCache(authenticator, ttl_s=120)
        for token, audiences in (
            ("t", ("a", "b")),
            ("t", ("a\0b",)),
            ("b\0\0t", ("a", "")),
            ("\0b\0\0t", ("a",)),
            ("t", ("a", "", "b")),
        ):
            await cache.authenticate_token(token, audiences)
        assert len(hook.reviews) == len(cache) == 5

    with_webhook(tmp_path, attempt)


def test_those_who_ask_at_once_share_one_question(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        cache = WebhookCache(authenticator, ttl_s=0)
        hook.hold = asyncio.Event()
        asking = [asyncio.create_task(cache.authenticate_token("t", ())) for _ in range(9)]
        await asyncio.sleep(0.05)
        hook.hold.set()
        assert await asyncio.gather(*asking) == [Authenticated(JANE)] * 9
        assert len(hook.reviews) == 1
        assert len(cache) == 0, "a time of 0 keeps nothing"

    with_webhook(tmp_path, attempt)


def test_the_one_who_asks_may_go_away_and_the_others_get_their_answer(tmp_path: Path) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        cache = WebhookCache(authenticator, ttl_s=120)
        hook.hold = asyncio.Event()
        asking = [asyncio.create_task(cache.authenticate_token("t", ())) for _ in range(4)]
        await asyncio.sleep(0.05)
        asking[0].cancel()
        asking[2].cancel()
        await asyncio.sleep(0.05)
        hook.hold.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in results] == [
            True,
            False,
            True,
            False,
        ]
        assert results[1] == results[3] == Authenticated(JANE)

    with_webhook(tmp_path, attempt)


def test_the_cache_is_bounded_and_knows_no_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(hook: Webhook, authenticator: WebhookTokenAuthenticator) -> None:
        monkeypatch.setattr("services.apiserver.authentication.webhookcache.LIMIT_ENTRIES", 3)
        cache = WebhookCache(authenticator, ttl_s=120)
        for number in range(9):
            await cache.authenticate_token(f"secret-{number}", ())
        assert len(cache) == 3
        assert "secret" not in repr(vars(cache))

    with_webhook(tmp_path, attempt)
