"""Storage errors become API errors, worded with the resource and the name."""

from __future__ import annotations

import pytest

from services.apiserver.errors import Cause, to_status
from services.apiserver.registry import interpret
from shared.resources import Resource, builtin_table
from shared.storage import (
    Compacted,
    FutureRevision,
    KeyExists,
    KeyValue,
    Revision,
    StorageError,
    StorageUnavailable,
)


def resource(group: str, version: str, name: str) -> Resource:
    found = builtin_table().get(group, version, name)
    assert found is not None
    return found


PODS = resource("", "v1", "pods")
DEPLOYMENTS = resource("apps", "v1", "deployments")


def test_what_is_missing_is_named_with_its_group() -> None:
    status = to_status(interpret.not_found(DEPLOYMENTS, "a"))
    assert status["message"] == 'deployments.apps "a" not found'
    assert status["details"] == {"name": "a", "group": "apps", "kind": "deployments"}


def test_the_core_group_has_no_name() -> None:
    status = to_status(interpret.not_found(PODS, "a"))
    assert status["message"] == 'pods "a" not found'
    assert status["details"] == {"name": "a", "kind": "pods"}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b'{"metadata":{}}', 'pods "a" already exists'),
        (b"{}", 'pods "a" already exists'),
        (
            b'{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}',
            'object is being deleted: pods "a" already exists',
        ),
    ],
)
def test_a_taken_name_says_whether_it_is_being_given_back(stored: bytes, message: str) -> None:
    current = KeyValue(b"/registry/pods/ns/a", stored, Revision(5))
    error = interpret.already_exists(PODS, {"metadata": {"name": "a"}}, current)
    assert (error.code, error.reason, error.message) == (409, "AlreadyExists", message)


def test_a_lost_race_says_what_to_do() -> None:
    error = interpret.modified(DEPLOYMENTS, "a")
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == (
        'Operation cannot be fulfilled on deployments.apps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_field_errors_are_told_by_kind_and_each_is_a_cause() -> None:
    causes = [
        Cause("FieldValueRequired", "spec.a: Required value", "spec.a"),
        Cause("FieldValueInvalid", "spec.b: Invalid value: 5: no", "spec.b"),
        Cause("FieldValueInvalid", "spec.b: Invalid value: 5: no", "spec.b"),
    ]
    error = interpret.invalid(DEPLOYMENTS, "a", causes)
    assert error.message == (
        'Deployment.apps "a" is invalid: [spec.a: Required value, spec.b: Invalid value: 5: no]'
    )
    details = to_status(error)["details"]
    assert {key: details[key] for key in ("name", "group", "kind")} == {
        "name": "a",
        "group": "apps",
        "kind": "Deployment",
    }
    # A message that stands for several is told once, its causes are all there.
    assert len(details["causes"]) == 3
    assert interpret.invalid(PODS, "", causes[:1]).message == (
        'Pod "" is invalid: spec.a: Required value'
    )


@pytest.mark.parametrize(
    ("error", "code", "reason", "retry"),
    [
        (Compacted(Revision(5), Revision(9)), 410, "Expired", None),
        (FutureRevision(Revision(9), Revision(5)), 504, "Timeout", 1),
        (StorageUnavailable("away"), 503, "ServiceUnavailable", 1),
    ],
)
def test_an_error_of_the_storage_has_its_code(
    error: StorageError, code: int, reason: str, retry: int | None
) -> None:
    told = interpret.interpret(error)
    assert (told.code, told.reason, told.retry_after_s) == (code, reason, retry)


def test_a_state_that_is_not_reached_yet_says_so_in_a_cause() -> None:
    status = to_status(interpret.too_large_resource_version(9, 5))
    assert status["message"] == "Too large resource version: 9, current: 5"
    assert status["details"] == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }


def test_an_error_that_a_handler_should_have_caught_is_a_bug() -> None:
    error = KeyExists(KeyValue(b"k", b"v", Revision(5)))
    with pytest.raises(KeyExists):
        interpret.interpret(error)
