"""A webhook's questions and answers, the file that configures it, and its reload."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.apiserver.authorization import AlwaysDeny, Decision, NamedAuthorizer, UserRules
from services.apiserver.authorization.configuration import (
    AuthorizerConfiguration,
    ConfigurationError,
    load,
    parse,
)
from services.apiserver.authorization.configured import ConfiguredAuthorizer
from services.apiserver.authorization.webhook import WebhookAuthorizer, WebhookSettings
from services.apiserver.cel import compile_expression
from services.apiserver.configreloads import hash_label
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.requestselectors import QuerySelectors
from services.apiserver.webhooks.reviewclient import ReviewClient, ReviewError
from shared.kubeconfig import ClusterAccess
from tests.unit.rbac_world import ALICE, asks

GET = asks("get", "pods", name="p")


class Remote:
    """The remote service: answers with a status, or fails."""

    def __init__(self, status: dict[str, Any] | str) -> None:
        self.status = status
        self.asked: list[dict[str, Any]] = []

    async def review(self, review: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(review)
        if isinstance(self.status, str):
            raise ReviewError(self.status)
        return self.status

    async def aclose(self) -> None: ...


def asked_with(
    status: dict[str, Any] | str, info: RequestInfo = GET, **settings: Any
) -> tuple[Decision, Remote]:
    remote = Remote(status)
    webhook = WebhookAuthorizer(remote, WebhookSettings(**settings))
    return asyncio.run(webhook.authorize(ALICE, info)), remote


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"allowed": True}, Decision(True)),
        ({"allowed": False, "reason": "why"}, Decision(False, "why")),
        ({"denied": True, "reason": "why"}, Decision(False, "why", denied=True)),
        ({}, Decision(False)),
        ({"allowed": "true"}, Decision(False)),
    ],
)
def test_what_an_answer_means(status: dict[str, Any], expected: Decision) -> None:
    assert asked_with(status)[0] == expected


def test_an_answer_that_allows_and_denies_denies() -> None:
    decision, _ = asked_with({"allowed": True, "denied": True})
    assert (decision.allowed, decision.denied) == (False, True)
    assert decision.error


def test_no_answer_is_no_opinion_or_a_denial_as_configured() -> None:
    assert asked_with("gone")[0] == Decision(False, error="gone")
    denied, _ = asked_with("gone", denies_on_error=True)
    assert denied == Decision(False, denied=True, error="gone")


def test_the_question_has_the_user_the_request_and_its_selectors() -> None:
    info = asks("list", "deployments", group="apps")._replace(
        selectors=QuerySelectors("metadata.name!=a", "b in (d,c),!e,f>1")
    )
    _, remote = asked_with({"allowed": True}, info)
    assert remote.asked == [
        {
            "kind": "SubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {
                "user": "alice",
                "groups": ["developers", "system:authenticated"],
                "resourceAttributes": {
                    "namespace": "ns",
                    "verb": "list",
                    "group": "apps",
                    "version": "v1",
                    "resource": "deployments",
                    "fieldSelector": {
                        "requirements": [
                            {"key": "metadata.name", "operator": "NotIn", "values": ["a"]}
                        ]
                    },
                    "labelSelector": {
                        "requirements": [
                            {"key": "b", "operator": "In", "values": ["c", "d"]},
                            {"key": "e", "operator": "DoesNotExist"},
                        ]
                    },
                },
            },
        }
    ]


def test_the_older_version_has_the_groups_in_group() -> None:
    _, remote = asked_with({}, RequestInfo(False, "/metrics", "get"), version="v1beta1")
    review = remote.asked[0]
    assert review["apiVersion"] == "authorization.k8s.io/v1beta1"
    assert review["spec"]["group"] == ["developers", "system:authenticated"]
    assert review["spec"]["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}


def test_answers_are_kept_for_their_time_and_failures_are_not() -> None:
    async def run() -> list[int]:
        now, remote = 0.0, Remote({"allowed": True})
        webhook = WebhookAuthorizer(remote, WebhookSettings(), now=lambda: now)
        counts = []
        steps: tuple[tuple[float, dict[str, Any] | str], ...] = (
            (0, {"allowed": True}),
            (299, "not asked"),
            (2, {"allowed": False}),
            (29, "not asked"),
            (2, "fails"),
            (0, {"allowed": True}),
        )
        for seconds, status in steps:
            now += seconds
            remote.status = status
            await webhook.authorize(ALICE, GET)
            counts.append(len(remote.asked))
        return counts

    assert asyncio.run(run()) == [1, 1, 2, 2, 3, 4]


def test_long_questions_are_not_kept() -> None:
    async def run() -> int:
        remote = Remote({"allowed": True})
        webhook = WebhookAuthorizer(remote, WebhookSettings())
        for _ in range(2):
            await webhook.authorize(ALICE, RequestInfo(False, "/" + "a" * 10_000, "get"))
        return len(remote.asked)

    assert asyncio.run(run()) == 2


def test_of_a_question_only_the_hash_is_kept() -> None:
    """Selectors are as long as the one who asks wants them."""

    async def run() -> WebhookAuthorizer:
        webhook = WebhookAuthorizer(Remote({"allowed": True}), WebhookSettings())
        selectors = QuerySelectors(label_text="a in (" + "b," * 10_000 + "c)")
        await webhook.authorize(ALICE, asks("list", "pods")._replace(selectors=selectors))
        return webhook

    kept = asyncio.run(run())._kept
    assert [len(key) for key in kept] == [32]


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        (["request.resourceAttributes.namespace == 'ns'"], "asked"),
        (["request.resourceAttributes.namespace == 'other'"], "skipped"),
        (["has(request.resourceAttributes)", "request.user == 'bob'"], "skipped"),
        (["'developers' in request.groups && request.uid == ''"], "asked"),
        (["request.nonResourceAttributes.path == '/a'"], "failed"),
        (["request.nonResourceAttributes.path == '/a'", "false"], "skipped"),
    ],
)
def test_match_conditions_say_whether_to_ask(expressions: list[str], expected: str) -> None:
    programs = tuple(compile_expression(one, ("request",)) for one in expressions)
    decision, remote = asked_with({"allowed": True}, conditions=programs, denies_on_error=True)
    found = "asked" if remote.asked else "failed" if decision.denied else "skipped"
    assert found == expected


def test_a_webhook_lists_no_rules() -> None:
    webhook = WebhookAuthorizer(Remote({}), WebhookSettings())
    found = asyncio.run(webhook.user_rules(ALICE, "ns"))
    told = "webhook authorizer does not support user rule resolution"
    assert found == UserRules((), incomplete=True, error=told)


# -- the client ------------------------------------------------------------------------


def served(*answers: tuple[int, bytes]) -> tuple[dict[str, Any] | str, int]:
    """Return what a client makes of a server's answers, and how many it asked for."""

    async def run() -> tuple[dict[str, Any] | str, int]:
        count = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            await reader.readuntil(b"\r\n\r\n")
            status, body = answers[min(count, len(answers) - 1)]
            count += 1
            head = (
                f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = ReviewClient(
            ClusterAccess(f"http://127.0.0.1:{port}/ask"), timeout_s=5, backoff_s=0.001
        )
        try:
            review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
            return await client.review(review), count
        except ReviewError as error:
            return str(error), count
        finally:
            await client.aclose()
            server.close()

    return asyncio.run(run())


GOOD = orjson.dumps(
    {
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "status": {"allowed": True},
    }
)


def test_a_failing_service_is_asked_again() -> None:
    assert served((500, b""), (429, b""), (201, GOOD)) == ({"allowed": True}, 3)
    told, count = served((500, b""))
    assert isinstance(told, str)
    assert count == 5


@pytest.mark.parametrize(
    "answer",
    [
        (403, GOOD),
        (302, GOOD),
        (200, b"yes"),
        (200, b"[]"),
        (200, b'{"kind": "TokenReview"}'),
        (200, b'{"status": true}'),
    ],
)
def test_another_answer_is_a_failure_at_once(answer: tuple[int, bytes]) -> None:
    told, count = served(answer)
    assert isinstance(told, str)
    assert count == 1


# -- the file --------------------------------------------------------------------------

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}


def webhook(kubeconfig: Path | str = "/none", **changes: Any) -> dict[str, Any]:
    fields = {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "failurePolicy": "NoOpinion",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)},
        **changes,
    }
    kept = {name: value for name, value in fields.items() if value is not None}
    return {"type": "Webhook", "name": "hook", "webhook": kept}


def document(*authorizers: dict[str, Any], **more: Any) -> str:
    return orjson.dumps({**HEAD, "authorizers": authorizers, **more}).decode()


RBAC = {"type": "RBAC", "name": "rbac"}


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.touch()
    hook = webhook(
        file,
        failurePolicy="Deny",
        matchConditionSubjectAccessReviewVersion="v1",
        matchConditions=[{"expression": "request.user == 'a'"}],
        cacheUnauthorizedRequests=False,
    )
    first, second = parse(document(hook, RBAC))
    assert second == AuthorizerConfiguration("RBAC", "rbac")
    assert first.webhook is not None
    assert (first.webhook.timeout_s, first.webhook.kubeconfig) == (3.0, str(file))
    settings = first.webhook.settings
    assert (settings.authorized_ttl_s, settings.unauthorized_ttl_s) == (300.0, 0.0)
    assert settings.denies_on_error
    assert [one.text for one in settings.conditions] == ["request.user == 'a'"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no YAML"),
        ("a: 1\na: 2", "already set"),
        ("kind: Other", "expected kind AuthorizationConfiguration"),
        (document(), "at least one authorization mode"),
        (document(RBAC, more=1), 'unknown field "more"'),
        (document({**RBAC, "webhok": {}}), 'unknown field "authorizers\\[0\\].webhok"'),
        (document({"name": "x"}), r"authorizers\[0\].type: Required"),
        (document({"type": "Magic", "name": "x"}), 'Unsupported value: "Magic"'),
        (document(RBAC, {**RBAC, "name": "b"}), r"authorizers\[1\].type: Duplicate"),
        (document({"type": "RBAC"}), r"authorizers\[0\].name: Required"),
        (document(RBAC, {"type": "Node", "name": "rbac"}), r"authorizers\[1\].name: Duplicate"),
        (document({**RBAC, "name": "A_b"}), r"authorizers\[0\].name: Invalid"),
        (document({**RBAC, "webhook": {}}), "may only be specified when type=Webhook"),
        (document({"type": "Webhook", "name": "w"}), "required when type=Webhook"),
        (document(webhook(timeout=None)), "webhook.timeout: Required"),
        (document(webhook(timeout="31s")), "must be > 0s and <= 30s"),
        (document(webhook(authorizedTTL="-1s")), "authorizedTTL: Invalid"),
        (document(webhook(failurePolicy="Allow")), "failurePolicy: Unsupported"),
        (document(webhook(subjectAccessReviewVersion="v2")), "Version: Unsupported"),
        (document(webhook("relative")), "must be an absolute path"),
        (document(webhook("/does/not/exist")), "must be a regular file"),
        (document(webhook(connectionInfo=None)), "connectionInfo.type: Required"),
        (document(webhook(matchConditions=[{"expression": "true"}])), "required if match"),
        (
            document(
                webhook(
                    matchConditionSubjectAccessReviewVersion="v1",
                    matchConditions=[{"expression": "reqest.user"}],
                )
            ),
            r"matchConditions\[0\].expression: Invalid value.*compilation failed",
        ),
    ],
)
def test_a_mistake_in_the_file_names_its_field(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse(text)


def test_a_running_server_changes_webhooks_only(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(document(RBAC))
    assert load(file, fixed_types={"RBAC"})
    with pytest.raises(ConfigurationError, match="RBAC to"):
        load(file, fixed_types={"RBAC", "Node"})


def test_the_file_is_followed_and_a_bad_one_passed_over(tmp_path: Path) -> None:
    file, built = tmp_path / "config", list[str]()

    def write(text: str) -> None:
        # As tools write: a file of another inode takes the place of the old one.
        (tmp_path / "new").write_text(text)
        os.replace(tmp_path / "new", file)

    async def run() -> None:
        second = asyncio.Event()

        def build(entry: AuthorizerConfiguration) -> NamedAuthorizer:
            built.append(entry.name)
            if entry.name == "second":
                second.set()
            return NamedAuthorizer(AlwaysDeny(), [0, 0])

        configured = ConfiguredAuthorizer(file, build, poll_interval_s=0.01)
        task = asyncio.create_task(configured.run(), name="follow")
        try:
            write("{")
            await asyncio.sleep(0.05)
            assert built == ["rbac"]
            write(document({**RBAC, "name": "second"}))
            async with asyncio.timeout(5):
                await second.wait()
            decision = await configured.authorize(UserInfo("x"), GET)
            assert decision.reason == "Everything is forbidden."
            counts, _, info = configured.reloads.families("")
            found = {one.labels["status"]: one.value for one in counts.samples}
            assert found == {"failure": 1, "success": 1}
            assert info.samples[0].labels["hash"] == hash_label(file.read_bytes())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await configured.aclose()

    write(document(RBAC))
    asyncio.run(run())
    assert built == ["rbac", "second"]
