"""What a path names decides who answers, before anything is looked up."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from services.apiserver.errors import MethodNotSupported, NotFound
from services.apiserver.handlers.dispatch import Dispatch
from services.apiserver.stages.resolve import request_info
from shared.resources import builtin_table
from tests.unit.audit_world import request_of


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/ns/configmaps/a/proxy",
        "/api/v1/namespaces/ns/configmaps/a/proxy/more",
        "/api/v1/namespaces/ns/pods/a/log/more",
        "/api/v1/namespaces/ns/pods/a/nothing",
    ],
)
def test_a_subresource_that_there_is_not_is_not_found(path: str) -> None:
    nobody = cast(Any, None)
    dispatch = Dispatch(builtin_table(), *[nobody] * 7)
    request = request_of(path)
    request.info = request_info("GET", path, {})
    with pytest.raises(NotFound, match="could not find the requested resource"):
        asyncio.run(dispatch(request))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_component_statuses_are_only_read_and_a_refusal_warns_of_nothing(method: str) -> None:
    nobody = cast(Any, None)
    dispatch = Dispatch(builtin_table(), *[nobody] * 7)
    path = "/api/v1/componentstatuses/etcd-0"
    request = request_of(path, method=method)
    request.info = request_info(method, path, {})
    with pytest.raises(MethodNotSupported):
        asyncio.run(dispatch(request))
    assert request.notices == []
