"""Bootstrap tokens: Secrets of kube-system that let a new node in."""

from __future__ import annotations

import asyncio
import base64
import datetime
from typing import Any

import pytest

from services.apiserver.authentication.bootstraptoken import BootstrapTokens
from services.apiserver.registry.strategy import Lookup, Object

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ID, SECRET = "abcdef", "0123456789abcdef"
DATA = {"token-id": ID, "token-secret": SECRET, "usage-bootstrap-authentication": "true"}


class Secrets(Lookup):
    """A lookup that knows one Secret."""

    def __init__(self, secret: Object | None) -> None:
        self._secret = secret
        self.asked: list[tuple[str, ...]] = []

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        self.asked.append((group, resource, namespace, name))
        return self._secret

    def exists(self, group: str, resource: str, namespace: str, name: str) -> bool:
        raise NotImplementedError

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        raise NotImplementedError

    async def get_live(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        raise NotImplementedError


def secret(data: dict[str, str], **fields: Any) -> Object:
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    meta = {"name": f"bootstrap-token-{ID}", "namespace": "kube-system"}
    return {"metadata": meta, "type": "bootstrap.kubernetes.io/token", "data": encoded, **fields}


def groups(of: Object | None, token: str = f"{ID}.{SECRET}") -> tuple[str, ...] | None:
    tokens = BootstrapTokens(Secrets(of), lambda: NOW)
    found = asyncio.run(tokens.authenticate_token(token, ()))
    if found is None:
        return None
    assert (found.user.name, found.user.uid, found.user.extra) == (f"system:bootstrap:{ID}", "", ())
    return found.user.groups


def test_a_good_token_is_a_bootstrapper() -> None:
    assert groups(secret(DATA)) == ("system:bootstrappers",)


def test_the_secret_is_that_of_the_id_in_kube_system() -> None:
    secrets = Secrets(None)
    assert asyncio.run(BootstrapTokens(secrets).authenticate_token(f"{ID}.{SECRET}", ())) is None
    assert secrets.asked == [("", "secrets", "kube-system", f"bootstrap-token-{ID}")]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", ("system:bootstrappers",)),
        (
            "system:bootstrappers:b,system:bootstrappers:a:b-1,system:bootstrappers:b",
            ("system:bootstrappers", "system:bootstrappers:a:b-1", "system:bootstrappers:b"),
        ),
        ("system:masters", None),
        ("system:bootstrappers:a,system:masters", None),
        ("system:bootstrappers:", None),
        ("system:bootstrappers:A", None),
        ("system:bootstrappers:a, system:bootstrappers:b", None),
        ("system:bootstrappers:a,", None),
        ("system:bootstrappers:a\n", None),
        ("system:bootstrappers:" + "a" * 256, ("system:bootstrappers:" + "a" * 256,)),
        ("system:bootstrappers:" + "a" * 257, None),
    ],
)
def test_it_may_be_in_groups_of_bootstrappers_alone(
    extra: str, expected: tuple[str, ...] | None
) -> None:
    found = groups(secret({**DATA, "auth-extra-groups": extra}))
    if expected is None:
        assert found is None
    else:
        assert found == tuple(sorted({"system:bootstrappers", *expected}))


@pytest.mark.parametrize(
    ("expiration", "good"),
    [
        ("2026-01-02T03:04:06Z", True),
        ("2026-01-02T03:04:05Z", False),
        ("2026-01-02T03:04:04Z", False),
        ("2026-01-02T04:04:06+01:00", True),
        ("2026-01-02T03:04:06+01:00", False),
        ("2026-01-02T03:04:05.123456789Z", True),
        ("2026-01-03", False),
        ("2026-13-02T03:04:06Z", False),
        ("never", False),
        ("", True),
    ],
)
def test_a_token_ends(expiration: str, good: bool) -> None:
    assert (groups(secret({**DATA, "expiration": expiration})) is not None) is good


@pytest.mark.parametrize(
    "token",
    [
        f"{ID}.{SECRET[:-1]}0",
        f"{ID}.{SECRET}0",
        f"{ID}{SECRET}",
        f"ABCDEF.{SECRET}",
        f"{ID}.{SECRET}\n",
        f" {ID}.{SECRET}",
        "",
    ],
)
def test_other_tokens_are_of_no_interest(token: str) -> None:
    assert groups(secret(DATA), token) is None


@pytest.mark.parametrize(
    "bad",
    [
        secret({**DATA, "token-id": "abcdeg"}),
        secret({**DATA, "token-secret": "0123456789abcdeg"}),
        secret({name: DATA[name] for name in DATA if name != "token-secret"}),
        secret({**DATA, "usage-bootstrap-authentication": "True"}),
        secret({name: DATA[name] for name in DATA if name != "usage-bootstrap-authentication"}),
        secret(DATA, type="Opaque"),
        {**secret(DATA), "data": None},
        {**secret(DATA), "data": DATA},
        secret(DATA, metadata={"name": "a", "deletionTimestamp": "2026-01-02T03:04:05Z"}),
    ],
    ids=[
        "id",
        "secret",
        "no secret",
        "usage",
        "no usage",
        "type",
        "empty",
        "not base64",
        "deleted",
    ],
)
def test_a_secret_that_is_no_token_lets_nobody_in(bad: Object) -> None:
    assert groups(bad) is None
