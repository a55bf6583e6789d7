"""What is remembered of texts that clients choose has an end: of long ones, nothing is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.apiserver.audit import eventtext
from services.apiserver.http.request import Request, parse_query
from services.apiserver.kinds import cronschedule
from services.apiserver.kinds.podspec import defaults, resources
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.validation import names

LONG = "x" * 100_000


async def receive() -> Any:
    raise NotImplementedError


def asked(query: str) -> Any:
    scope = {"method": "GET", "path": "/", "query_string": query.encode(), "headers": []}
    return Request(scope, receive).query


def reference(resource: str) -> bytes:
    info = RequestInfo(True, "", "get", namespace="ns", resource=resource, name="n")
    return eventtext.ref_json(info, {})


def agent(text: str) -> bytes:
    return eventtext.who(None, None, "", "127.0.0.1", None, None, text.encode())


@pytest.mark.parametrize(
    ("ask", "cached"),
    [
        (asked, parse_query),
        (agent, eventtext._who),
        (reference, eventtext._ref_ends),
        (names.is_qualified_name, names._is_qualified_name),
        (names.is_label_value, names._is_label_value),
        (resources.is_extended, resources._is_extended),
        (defaults.pull_policy, defaults._pull_policy),
        (cronschedule.is_time_zone, cronschedule._is_time_zone),
    ],
)
def test_a_long_text_is_not_remembered(ask: Callable[[str], Any], cached: Any) -> None:
    cached.cache_clear()
    answer = ask(LONG)
    assert cached.cache_info().currsize == 0
    assert answer == ask(LONG)
    ask("short")
    assert cached.cache_info().currsize == 1
