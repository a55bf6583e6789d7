"""The errors of the API: each knows its HTTP code, reason and details; `to_status` writes them.

Source: Kubernetes API conventions, "Response Status Kind"; kube-apiserver v1.36.2,
apimachinery/pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of a Status's details.causes. `field` is a path like spec.ports[0].port."""

    reason: str
    message: str
    field: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return the cause as a Status prints it: without the path in front of its message."""
        reason = {"reason": self.reason} if self.reason else {}
        if self.field is None:
            return {**reason, "message": self.message}
        message = self.message.removeprefix(f"{self.field}: ")
        return {**reason, "message": message, "field": self.field}


class ApiError(Exception):
    """An answer other than success.

    `reason` "" leaves the reason out. `details` None leaves the details out; {} is printed.
    `retry_after_s` also becomes details.retryAfterSeconds and the Retry-After header.
    """

    code = 500
    reason = ""

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        causes: Sequence[Cause] = (),
        retry_after_s: int | None = None,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if reason is not None:
            self.reason = reason
        self.details = details
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s
        self.list_meta: dict[str, Any] = {}
        """The Status's own metadata; a continue token to go on with, for an expired one."""


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotAuthorized(Forbidden):
    """The authorizers allow the request to nobody like this user."""


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotSupported(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    code, reason = 410, "Expired"


class RequestTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


def to_status(error: ApiError) -> dict[str, Any]:
    """Return the Status object that tells a client of `error`."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": error.list_meta,
        "status": "Failure",
        "message": error.message,
    }
    if error.reason:
        status["reason"] = error.reason
    details = error.details
    if error.causes or error.retry_after_s is not None:
        details = dict(details or {})
        if error.causes:
            details["causes"] = [cause.as_dict() for cause in error.causes]
        if error.retry_after_s is not None:
            details["retryAfterSeconds"] = error.retry_after_s
    if details is not None:
        status["details"] = details
    status["code"] = error.code
    return status
