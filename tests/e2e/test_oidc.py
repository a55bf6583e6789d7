"""A real API server that believes a real issuer of tokens, and a real webhook."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import yaml
from aiohttp import web

from tests.e2e.system import KUBEFAN, Server, apiserver
from tests.oidcissuer import AUDIENCE, OidcIssuer, oidc_issuer, rsa_key, server_certificate, serving

KEY = rsa_key("k")
REVIEWS = "/apis/authentication.k8s.io/v1"


@asynccontextmanager
async def server(data_dir: Path, *flags: str) -> AsyncIterator[Server]:
    with ExitStack() as stack:
        running = apiserver(data_dir, "--authorization-mode=RBAC", *flags)
        yield await asyncio.to_thread(stack.enter_context, running)
        await asyncio.to_thread(stack.close)


async def post(target: Server, token: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{target.url}{path}", json=body, headers=headers, ssl=False) as answer,
    ):
        return answer.status, orjson.loads(await answer.read())


async def whoami(target: Server, token: str) -> dict[str, Any] | int:
    """Return the user that a token is of, or the status of the refusal."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer = await post(target, token, f"{REVIEWS}/selfsubjectreviews", body)
    user: dict[str, Any] | int = answer["status"]["userInfo"] if status == 201 else status
    return user


async def known(target: Server, token: str) -> dict[str, Any]:
    """Return the user, after the server has found the issuer."""
    deadline = time.monotonic() + 20
    while isinstance(user := await whoami(target, token), int):
        assert time.monotonic() < deadline, user
        await asyncio.sleep(0.1)
    return user


async def token_review(target: Server, token: str, **spec: Any) -> dict[str, Any]:
    admin = yaml.safe_load(target.kubeconfig.read_text())["users"][0]["user"]["token"]
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, **spec},
    }
    status, answer = await post(target, admin, f"{REVIEWS}/tokenreviews", body)
    assert status == 201, answer
    found: dict[str, Any] = answer["status"]
    return found


def ca_file(directory: Path) -> Path:
    signer, _ = server_certificate(directory)
    return signer.certificate


def test_tokens_of_the_issuer_of_the_flags_get_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            oidc_issuer(tmp_path, KEY) as issuer,
            server(
                tmp_path / "data",
                f"--oidc-issuer-url={issuer.url}",
                f"--oidc-client-id={AUDIENCE}",
                f"--oidc-ca-file={ca_file(tmp_path)}",
                "--oidc-groups-claim=groups",
                "--oidc-groups-prefix=oidc:",
                "--oidc-required-claim=team=blue",
            ) as target,
        ):
            good = issuer.token(groups=["dev"], team="blue", jti="1")
            assert await known(target, good) == {
                "username": f"{issuer.url}#jane",
                "groups": ["oidc:dev", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
            }
            for bad in (
                issuer.token(team="red"),
                issuer.token(team="blue", aud="other"),
                issuer.token(team="blue", exp=int(time.time()) - 5),
                issuer.token(rsa_key("k"), team="blue"),
            ):
                assert await whoami(target, bad) == 401
            review = await token_review(target, good)
            assert review["authenticated"] is True
            assert review["user"]["username"] == f"{issuer.url}#jane"
            refused = await token_review(target, issuer.token(team="blue", aud="other"))
            assert refused.get("authenticated", False) is False
            assert "expected audience" in refused["error"]
            elsewhere = await token_review(target, good, audiences=["elsewhere"])
            assert elsewhere.get("authenticated", False) is False

    asyncio.run(scenario())


def test_an_issuer_that_comes_later_is_believed_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, KEY, failing=True) as issuer:
            flags = (
                f"--oidc-issuer-url={issuer.url}",
                f"--oidc-client-id={AUDIENCE}",
                f"--oidc-ca-file={ca_file(tmp_path)}",
            )
            async with server(tmp_path / "data", *flags) as target:
                assert await whoami(target, issuer.token()) == 401
                issuer.failing = False
                assert (await known(target, issuer.token()))["username"] == f"{issuer.url}#jane"

    asyncio.run(scenario())


def configuration(issuer: OidcIssuer, prefix: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [
                {
                    "issuer": {
                        "url": issuer.url,
                        "audiences": [AUDIENCE, "other"],
                        "audienceMatchPolicy": "MatchAny",
                        "certificateAuthority": issuer.ca,
                    },
                    "claimMappings": {
                        "username": {"expression": f"'{prefix}' + claims.sub"},
                        "groups": {"expression": "claims.roles.map(r, 'role:' + r)"},
                        "uid": {"claim": "sub"},
                        "extra": [
                            {
                                "key": "example.org/team",
                                "valueExpression": "claims.?team.orValue('')",
                            }
                        ],
                    },
                    "userValidationRules": [
                        {
                            "expression": "!user.groups.exists(g, g.startsWith('role:system:'))",
                            "message": "system roles are reserved",
                        }
                    ],
                }
            ],
        }
    )


def test_the_file_of_issuers_maps_users_and_is_followed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with oidc_issuer(tmp_path, KEY) as issuer:
            path = tmp_path / "authentication.yaml"
            path.write_text(configuration(issuer, "a:"))
            async with server(tmp_path / "data", f"--authentication-config={path}") as target:
                good = issuer.token(aud=["other"], roles=["dev"], team="blue")
                assert await known(target, good) == {
                    "username": "a:jane",
                    "uid": "jane",
                    "groups": ["role:dev", "system:authenticated"],
                    "extra": {"example.org/team": ["blue"]},
                }
                bad = await token_review(target, issuer.token(roles=["system:x"]))
                assert "system roles are reserved" in bad["error"]
                path.write_text(configuration(issuer, "b:"))
                deadline = time.monotonic() + 20
                while (await whoami(target, issuer.token(roles=[])))["username"] != "b:jane":  # type: ignore[index]
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.3)

    asyncio.run(scenario())


def test_the_webhook_says_whose_a_token_is(tmp_path: Path) -> None:
    reviews: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        reviews.append(review)
        status: dict[str, Any] = {"authenticated": False}
        if review["spec"]["token"] == "jane":
            extra = {"example.org/a": ["1"]}
            user = {"username": "jane", "uid": "7", "groups": ["g"], "extra": extra}
            status = {"authenticated": True, "user": user}
        elif review["spec"]["token"] == "broken":
            return web.Response(status=400)
        return web.json_response({**review, "status": status})

    async def scenario() -> None:
        async with serving(tmp_path, handle) as url:
            config = {
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": url,
                            "certificate-authority": str(ca_file(tmp_path)),
                        },
                    }
                ],
                "contexts": [{"name": "x", "context": {"cluster": "c"}}],
                "current-context": "x",
            }
            path = tmp_path / "webhook.kubeconfig"
            path.write_text(yaml.safe_dump(config))
            async with server(
                tmp_path / "data",
                f"--authentication-token-webhook-config-file={path}",
                "--authentication-token-webhook-version=v1",
                "--api-audiences=api",
            ) as target:
                for _ in range(3):
                    assert await whoami(target, "jane") == {
                        "username": "jane",
                        "uid": "7",
                        "groups": ["g", "system:authenticated"],
                        "extra": {"example.org/a": ["1"]},
                    }
                assert len(reviews) == 1, "the answer is kept"
                assert reviews[0]["spec"] == {"token": "jane", "audiences": ["api"]}
                assert await whoami(target, "unknown") == 401
                assert await whoami(target, "broken") == 401
                review = await token_review(target, "jane", audiences=["api", "other"])
                assert review["audiences"] == ["api"]
            assert "jane" not in (tmp_path / "data" / "apiserver.log").read_text()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("flags", "file", "told"),
    [
        (["--oidc-issuer-url=https://a"], "", "must be specified together"),
        (["--oidc-issuer-url=http://a", "--oidc-client-id=b"], "", "URL scheme must be https"),
        (
            ["--oidc-issuer-url=https://a", "--oidc-client-id=b", "--authentication-config=FILE"],
            "{}",
            "mutually exclusive",
        ),
        (["--authentication-config=FILE"], "kind: Pod", "AuthenticationConfiguration"),
        (["--authentication-token-webhook-config-file=FILE"], "a: b", "context"),
    ],
)
def test_a_server_that_is_told_nonsense_does_not_start(
    tmp_path: Path, flags: list[str], file: str, told: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(file)
    flags = [flag.replace("FILE", str(path)) for flag in flags]
    command = [*KUBEFAN, "apiserver", f"--data-dir={tmp_path}", "--secure-port=0", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
