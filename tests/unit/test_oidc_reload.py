"""A changed file of issuers takes effect while the server runs, if it is good and they answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml

from services.apiserver.authentication.oidc import JwtAuthenticators, WatchedFile, load, reload
from services.apiserver.configreloads import hash_label
from services.apiserver.errors import Unauthorized
from tests.oidcissuer import AUDIENCE, OidcIssuer, oidc_issuer, rsa_key

KEY = rsa_key("k")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "POLL_INTERVAL_S", 0.02)
    monkeypatch.setattr(reload, "LIMIT_READY_S", 0.3)


def write(path: Path, *issuers: OidcIssuer, prefix: str = "", **fields: object) -> None:
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": one.url,
                    "audiences": [AUDIENCE],
                    "certificateAuthority": one.ca,
                },
                "claimMappings": {"username": {"claim": "sub", "prefix": prefix}},
            }
            for one in issuers
        ],
        **fields,
    }
    path.write_text(yaml.safe_dump(document))


async def name_of(authenticators: JwtAuthenticators, token: str) -> str | None:
    try:
        found = await authenticators.authenticate_token(token, ())
    except Unauthorized as error:
        return error.message
    return None if found is None else found.user.name


def counted(authenticators: JwtAuthenticators) -> dict[str, float]:
    """How often the file was loaded anew, by status."""
    assert authenticators.reloads is not None
    counts = next(authenticators.reloads.families(""))
    return {one.labels["status"]: one.value for one in counts.samples}


async def until(attempt: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await attempt():  # noqa: ASYNC110 - what we wait for tells nobody
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[JwtAuthenticators]:
    configuration = load(path, disallowed_issuers=())
    file = WatchedFile(path, (), configuration.anonymous)
    authenticators = JwtAuthenticators(configuration.jwt, file=file)
    task = asyncio.create_task(authenticators.run())
    try:
        yield authenticators
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_changed_file_takes_effect_and_former_issuers_are_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "authentication.yaml"
        async with oidc_issuer(tmp_path, KEY) as one, oidc_issuer(tmp_path, KEY) as other:
            write(path, one)
            async with following(path) as authenticators:
                first, second = one.token(), other.token()

                async def is_named(token: str, name: str | None) -> bool:
                    return await name_of(authenticators, token) == name

                await until(lambda: is_named(first, "jane"))
                assert await name_of(authenticators, second) is None
                write(path, one, other, prefix="new:")
                await until(lambda: is_named(second, "new:jane"))
                assert await name_of(authenticators, first) == "new:jane"
                write(path, other, prefix="new:")
                await until(lambda: is_named(first, None))
                assert await name_of(authenticators, second) == "new:jane"
                write(path)
                await until(lambda: is_named(second, None))
                assert counted(authenticators) == {"success": 3}
                verified, fetched, key_sets = authenticators.metrics.families("")
                assert {one.labels["result"] for one in verified.samples} == {"success", "failure"}
                assert {one.labels["jwt_issuer_hash"] for one in fetched.samples} == {
                    hash_label(one.url),
                    hash_label(other.url),
                }
                assert not key_sets.samples

    asyncio.run(scenario())


def test_a_wrong_file_leaves_the_former_issuers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        path = tmp_path / "authentication.yaml"
        async with oidc_issuer(tmp_path, KEY) as one, oidc_issuer(tmp_path, KEY) as down:
            down.failing = True
            write(path, one)
            async with following(path) as authenticators:
                token = one.token()

                async def is_named(name: str) -> bool:
                    return await name_of(authenticators, token) == name

                async def is_logged(text: str) -> bool:
                    return text in caplog.text

                await until(lambda: is_named("jane"))
                for text, why in (
                    ("{", "no YAML"),
                    ("", "expected one AuthenticationConfiguration"),
                ):
                    path.write_text(text)
                    await until(lambda why=why: is_logged(why))
                write(path, one, prefix="x:", anonymous={"enabled": True})
                await until(lambda: is_logged("anonymous: Forbidden"))
                write(path, one, one)
                await until(lambda: is_logged("Duplicate value"))
                write(path, one, down, prefix="x:")
                await until(lambda: is_logged("not all issuers answer"))
                assert await name_of(authenticators, token) == "jane"
                path.unlink()
                await asyncio.sleep(0.1)
                assert await name_of(authenticators, token) == "jane"
                down.failing = False
                write(path, one, down, prefix="x:")
                await until(lambda: is_named("x:jane"))
                counts = counted(authenticators)
                assert counts.pop("failure") >= 5
                assert counts == {"success": 1}

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())


def test_an_authority_may_have_comments_of_any_language(tmp_path: Path) -> None:
    """TLS takes none but ASCII; the error once ended the server that read the file again."""

    async def scenario() -> None:
        path = tmp_path / "authentication.yaml"
        async with oidc_issuer(tmp_path, KEY) as one:
            write(path, one)
            async with following(path) as authenticators:
                token = one.token()

                async def is_named(name: str) -> bool:
                    return await name_of(authenticators, token) == name

                await until(lambda: is_named("jane"))
                one.ca = f"# Aussteller für Köln\n{one.ca}"
                write(path, one, prefix="new:")
                await until(lambda: is_named("new:jane"))

    asyncio.run(scenario())
