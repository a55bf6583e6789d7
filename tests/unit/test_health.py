"""/healthz, /livez and /readyz, as probes and people read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from services.apiserver.health import HealthChecks, always


async def broken() -> str | None:
    return "password wrong at 10.0.0.1"


def answer(
    checks: HealthChecks, query: Mapping[str, Sequence[str]] | None = None
) -> tuple[int, str]:
    response = asyncio.run(checks.answer(query or {}))
    return response.status, response.body.decode()


GOOD = HealthChecks("livez", {"ping": always, "log": always})
BAD = HealthChecks("readyz", {"ping": always, "etcd": broken})


def test_all_well_is_ok() -> None:
    assert answer(GOOD) == (200, "ok")


def test_verbose_tells_each_check() -> None:
    assert answer(GOOD, {"verbose": [""]}) == (200, "[+]ping ok\n[+]log ok\nlivez check passed\n")


def test_a_failing_check_fails_the_whole_and_keeps_its_reason() -> None:
    """Anybody may ask; the reason is for the log."""
    assert answer(BAD) == (
        500,
        "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n",
    )


def test_an_excluded_check_does_not_count() -> None:
    assert answer(BAD, {"exclude": ["etcd"]}) == (200, "ok")
    assert answer(BAD, {"exclude": ["etcd"], "verbose": [""]})[1] == (
        "[+]ping ok\n[+]etcd excluded: ok\nreadyz check passed\n"
    )


def test_an_exclusion_that_matches_nothing_is_warned_of() -> None:
    text = answer(GOOD, {"exclude": ["nothing", "at all"], "verbose": [""]})[1]
    warning = 'warn: some health checks cannot be excluded: no matches for "at all","nothing"\n'
    assert warning in text


def test_one_check_can_be_asked_for() -> None:
    async def one(checks: HealthChecks, name: str) -> int | None:
        response = await checks.answer_one(name)
        return None if response is None else response.status

    assert asyncio.run(one(BAD, "ping")) == 200
    assert asyncio.run(one(BAD, "etcd")) == 500
    assert asyncio.run(one(BAD, "nothing")) is None
    assert BAD.names == ("ping", "etcd")
