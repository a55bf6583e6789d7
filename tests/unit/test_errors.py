"""Errors become the Status objects, and field errors the causes, that kube-apiserver answers."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver import errors
from services.apiserver.errors import ApiError, Cause, to_status
from services.apiserver.validation import field


def test_a_status_tells_message_reason_and_code() -> None:
    assert to_status(errors.BadRequest("unable to parse")) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "unable to parse",
        "reason": "BadRequest",
        "code": 400,
    }


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (errors.BadRequest, 400, "BadRequest"),
        (errors.Unauthorized, 401, "Unauthorized"),
        (errors.Forbidden, 403, "Forbidden"),
        (errors.NotFound, 404, "NotFound"),
        (errors.MethodNotSupported, 405, "MethodNotAllowed"),
        (errors.NotAcceptable, 406, "NotAcceptable"),
        (errors.AlreadyExists, 409, "AlreadyExists"),
        (errors.Conflict, 409, "Conflict"),
        (errors.Expired, 410, "Expired"),
        (errors.RequestTooLarge, 413, "RequestEntityTooLarge"),
        (errors.UnsupportedMediaType, 415, "UnsupportedMediaType"),
        (errors.Invalid, 422, "Invalid"),
        (errors.TooManyRequests, 429, "TooManyRequests"),
        (errors.InternalError, 500, "InternalError"),
        (errors.ServiceUnavailable, 503, "ServiceUnavailable"),
        (errors.Timeout, 504, "Timeout"),
    ],
)
def test_each_error_has_the_code_and_reason_of_the_api(
    kind: type[ApiError], code: int, reason: str
) -> None:
    status = to_status(kind("no"))
    assert (status["code"], status["reason"]) == (code, reason)


def test_an_error_without_reason_leaves_it_out() -> None:
    status = to_status(ApiError("storage said no"))
    assert "reason" not in status
    assert status["code"] == 500


def test_a_webhooks_own_code_and_reason_replace_those_of_the_class() -> None:
    status = to_status(errors.Forbidden("no", code=418, reason="Teapot"))
    assert (status["code"], status["reason"]) == (418, "Teapot")


@pytest.mark.parametrize(
    ("details", "printed"),
    [
        (None, "<absent>"),
        ({}, {}),
        ({"name": "a", "kind": "pods"}, {"name": "a", "kind": "pods"}),
    ],
)
def test_empty_details_are_printed_and_absent_ones_are_not(
    details: dict[str, Any] | None, printed: Any
) -> None:
    status = to_status(errors.NotFound("no", details=details))
    assert status.get("details", "<absent>") == printed


def test_causes_and_retry_seconds_are_part_of_the_details() -> None:
    details = {"name": "a", "kind": "pods"}
    causes = [Cause("FieldValueInvalid", "bad", "spec.x"), Cause("DisruptionBudget", "later")]
    error = errors.TooManyRequests("no", details=details, causes=causes, retry_after_s=10)
    assert to_status(error)["details"] == {
        "name": "a",
        "kind": "pods",
        "causes": [
            {"reason": "FieldValueInvalid", "message": "bad", "field": "spec.x"},
            {"reason": "DisruptionBudget", "message": "later"},
        ],
        "retryAfterSeconds": 10,
    }
    assert details == {"name": "a", "kind": "pods"}


def test_an_error_reads_as_its_message() -> None:
    assert str(errors.Conflict("changed meanwhile")) == "changed meanwhile"


def test_paths_are_built_from_fields_items_and_keys() -> None:
    ports = field.child("spec", "ports")
    assert field.child("", "metadata", "name") == "metadata.name"
    assert field.child(field.index(ports, 0), "port") == "spec.ports[0].port"
    assert field.key("metadata.labels", "a/b") == "metadata.labels[a/b]"


@pytest.mark.parametrize(
    ("cause", "reason", "message"),
    [
        (field.required("a", ""), "FieldValueRequired", "a: Required value"),
        (field.required("a", "or b"), "FieldValueRequired", "a: Required value: or b"),
        (field.invalid("a", 5, "no"), "FieldValueInvalid", "a: Invalid value: 5: no"),
        (field.invalid("a", 'x"y', "no"), "FieldValueInvalid", 'a: Invalid value: "x\\"y": no'),
        (field.invalid("a", None, "no"), "FieldValueInvalid", "a: Invalid value: null: no"),
        (field.invalid("a", True, "no"), "FieldValueInvalid", "a: Invalid value: true: no"),
        (
            field.invalid("a", {"b": [1, "c"]}, "no"),
            "FieldValueInvalid",
            'a: Invalid value: {"b":[1,"c"]}: no',
        ),
        (field.type_invalid("a", 5, "no"), "FieldValueTypeInvalid", "a: Invalid value: 5: no"),
        (
            field.not_supported("a", "x", ["b", "c"]),
            "FieldValueNotSupported",
            'a: Unsupported value: "x": supported values: "b", "c"',
        ),
        (
            field.not_supported("a", "x", []),
            "FieldValueNotSupported",
            'a: Unsupported value: "x"',
        ),
        (field.duplicate("a", "x"), "FieldValueDuplicate", 'a: Duplicate value: "x"'),
        (field.forbidden("a", "no"), "FieldValueForbidden", "a: Forbidden: no"),
        (field.not_found("a", "x"), "FieldValueNotFound", 'a: Not found: "x"'),
        (
            field.too_long("a", 63),
            "FieldValueTooLong",
            "a: Too long: may not be more than 63 bytes",
        ),
        (
            field.too_many("a", 9, 8),
            "FieldValueTooMany",
            "a: Too many: 9: must have at most 8 items",
        ),
    ],
)
def test_a_field_error_reads_as_kube_apiserver_writes_it(
    cause: Cause, reason: str, message: str
) -> None:
    assert cause == Cause(reason, message, "a")
