"""What is counted of authorization: decisions by authorizer, webhooks' calls and conditions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from services.apiserver.authorization import (
    AlwaysAllow,
    Decision,
    MastersMay,
    NamedAuthorizer,
    UserRules,
    decide,
)
from services.apiserver.authorization.metrics import AuthorizationMetrics
from services.apiserver.authorization.webhook import WebhookAuthorizer, WebhookSettings
from services.apiserver.cel import compile_expression
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.webhooks.reviewclient import Outcome, ReviewClient, ReviewError
from shared.kubeconfig import ClusterAccess
from tests.unit.rbac_world import ALICE, asks

GET = asks("get", "pods", name="p")
MASTER = UserInfo("admin", groups=("system:masters",))


class Says:
    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return self._decision

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        return UserRules()


def samples(metrics: AuthorizationMetrics) -> dict[tuple[str, ...], float]:
    """Every sample's value by the rest of its name and its labels' values."""
    return {
        (one.name.removeprefix("apiserver_authorization_"), *one.labels.values()): one.value
        for family in metrics.families()
        for one in family.samples
    }


def test_decisions_are_counted_for_the_authorizer_that_makes_them() -> None:
    metrics = AuthorizationMetrics()
    nobody, node, rbac = Decision(False), Decision(False, denied=True), Decision(True)

    def chain(*decisions: Decision) -> list[MastersMay | NamedAuthorizer]:
        names = (("Node", "node"), ("RBAC", "rbac"))
        named = [
            NamedAuthorizer(Says(decision), metrics.decided(*name))
            for name, decision in zip(names, decisions, strict=True)
        ]
        return [MastersMay(), *named]

    async def run() -> None:
        for decisions in ((nobody, rbac), (nobody, rbac), (node, rbac), (nobody, nobody)):
            await decide(chain(*decisions), ALICE, GET)
        await decide(chain(nobody, rbac), MASTER, GET)

    asyncio.run(run())
    assert samples(metrics) == {
        ("decisions_total", "RBAC", "rbac", "allowed"): 2,
        ("decisions_total", "Node", "node", "denied"): 1,
    }


def test_decisions_of_before_a_reload_stay_counted() -> None:
    metrics = AuthorizationMetrics()
    for _ in range(2):
        authorizer = NamedAuthorizer(AlwaysAllow(), metrics.decided("AlwaysAllow", "all"))
        asyncio.run(decide([authorizer], ALICE, GET))
    assert samples(metrics)["decisions_total", "AlwaysAllow", "all", "allowed"] == 2


class Remote:
    def __init__(self, outcome: Outcome = "success") -> None:
        self.outcome = outcome

    async def review(self, review: dict[str, Any]) -> dict[str, Any]:
        if self.outcome != "success":
            raise ReviewError("gone", outcome=self.outcome)
        return {"allowed": True}

    async def aclose(self) -> None: ...


def asked(outcome: Outcome = "success", **settings: Any) -> dict[tuple[str, ...], float]:
    metrics = AuthorizationMetrics()
    webhook = WebhookAuthorizer(
        Remote(outcome), WebhookSettings(**settings), metrics.webhook("hook")
    )
    asyncio.run(webhook.authorize(ALICE, GET))
    return samples(metrics)


def test_a_question_without_an_answer_that_the_next_is_asked_is_counted() -> None:
    name = "webhook_evaluations_fail_open_total"
    assert asked("timeout")[name, "hook", "timeout"] == 1
    assert asked("error")[name, "hook", "error"] == 1
    assert asked("success") == asked("error", denies_on_error=True) == {}


@pytest.mark.parametrize(
    ("expressions", "errors", "exclusions"),
    [
        ((), None, None),
        (("true",), 0, 0),
        (("false",), 0, 1),
        (("request.nonResourceAttributes.path == '/'", "true"), 1, 0),
        (("request.nonResourceAttributes.path == '/'", "false"), 1, 1),
    ],
)
def test_match_conditions_are_counted(
    expressions: Sequence[str], errors: int | None, exclusions: int | None
) -> None:
    found = asked(conditions=tuple(compile_expression(one, ("request",)) for one in expressions))
    key, prefix = ("Webhook", "hook"), "match_condition_"
    if errors is None:
        assert found == {}
        return
    assert found[f"{prefix}evaluation_seconds_count", *key] == 1
    assert found.get((f"{prefix}evaluation_errors_total", *key), 0) == errors
    assert found.get((f"{prefix}exclusions_total", *key), 0) == exclusions


GOOD = orjson.dumps({"kind": "SubjectAccessReview", "apiVersion": "v", "status": {"allowed": True}})


def test_every_call_is_counted_with_what_became_of_it() -> None:
    """Two that fail before the third one succeeds, one that is too late, one given up."""

    async def run() -> AuthorizationMetrics:
        metrics = AuthorizationMetrics()
        answers: list[bytes | None] = [b"500", b"504", b"200", None, None]

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            status = answers.pop(0)
            if status is None:
                await reader.read()
            else:
                head = b"HTTP/1.1 %b x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                writer.write(head % (status, len(GOOD)) + GOOD)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        access = ClusterAccess(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        review = {"kind": "SubjectAccessReview", "apiVersion": "v"}
        called = metrics.webhook("hook").called
        client = ReviewClient(access, timeout_s=0.2, backoff_s=0.001, observe=called)
        await client.review(review)
        with pytest.raises(ReviewError):
            await client.review(review)
        given_up = asyncio.create_task(client.review(review))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await client.aclose()
        server.close()
        return metrics

    found = samples(asyncio.run(run()))
    results = {"success": 1, "error": 1, "timeout": 2, "canceled": 1}
    for result, count in results.items():
        assert found["webhook_evaluations_total", "hook", result] == count
        assert found["webhook_duration_seconds_count", "hook", result] == count
    assert found["webhook_duration_seconds_bucket", "hook", "timeout", "0.1"] == 1
