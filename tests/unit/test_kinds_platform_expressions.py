"""Expressions of policies, webhooks and device classes that make no sense are refused."""

from __future__ import annotations

import pytest

from services.apiserver.kinds.platform.expressions import (
    BOOL,
    DEVICE,
    STRING,
    admission_variables,
    check,
)

ALLOWED = [
    "object.spec.replicas <= params.maxReplicas",
    "!has(object.metadata.labels) || object.metadata.labels.all(k, k.startsWith('x'))",
    "request.userInfo.groups.exists(g, g == 'system:masters')",
    "request.kind.group == 'apps' && request.operation in ['CREATE', 'UPDATE']",
    "namespaceObject.metadata.labels.?env.orValue('') == 'prod'",
    "authorizer.group('').resource('pods').namespace(request.namespace).check('get').allowed()",
    "authorizer.requestResource.check('update').allowed()",
    "oldObject == null || object.spec == oldObject.spec",
    "object.spec.containers.map(c, c.image).exists_one(i, i.contains(':'))",
    "object.metadata.name.matches('^[a-z]+$')",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_what_policies_ask_in_practice_is_allowed(text: str) -> None:
    assert check(text, "expression", admission_variables(params=True), BOOL) == []


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("1 + 1", "must evaluate to bool"),
        ("'text'", "must evaluate to bool"),
        ("nope == 1", "compilation failed: undeclared reference to 'nope'"),
        ("params.x == 1", "compilation failed: undeclared reference to 'params'"),
        ("request.nope == ''", "compilation failed: undefined field 'nope'"),
        ("object.(", "compilation failed"),
        ("object.x.foo()", "compilation failed: undeclared reference to 'foo'"),
    ],
)
def test_what_can_not_be_answered_with_yes_or_no_is_refused(text: str, detail: str) -> None:
    (cause,) = check(text, "expression", admission_variables(), BOOL)
    assert detail in cause.message


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("'name ' + object.metadata.name", True),
        ("string(object.spec.replicas)", True),
        ("has(object.spec) ? 'a' : object.metadata.name", True),
        ("object.metadata.name", False),
        ("object.metadata.labels['a']", False),
        ("1", False),
    ],
)
def test_what_is_shown_is_a_string_for_certain(text: str, good: bool) -> None:
    assert (check(text, "valueExpression", admission_variables(), STRING) == []) == good


def test_a_message_does_not_ask_the_authorizer() -> None:
    text = "authorizer.path('/healthz').check('get').reason()"
    assert check(text, "messageExpression", admission_variables(), STRING) == []
    without = admission_variables(authorizer=False)
    assert len(check(text, "messageExpression", without, STRING)) == 1


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("device.driver == 'gpu.example.com'", True),
        ("device.attributes['gpu.example.com'].model == 'x'", True),
        ("device.capacity['a'].memory.compareTo(quantity('1Gi')) >= 0", True),
        ("device.nope == 1", False),
        ("device.driver", False),
    ],
)
def test_a_selector_of_devices_sees_a_device(text: str, good: bool) -> None:
    assert (check(text, "expression", DEVICE, BOOL) == []) == good
