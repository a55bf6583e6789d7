"""Storage errors and broken rules → API errors, worded with the resource and the name.

Source: kube-apiserver v1.36.2, apiserver/pkg/storage/errors/storage.go (Interpret*) and
apimachinery/pkg/api/errors (New*).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from services.apiserver.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Conflict,
    Expired,
    InternalError,
    Invalid,
    NotFound,
    ServiceUnavailable,
    Timeout,
)
from shared.objects.wire import SEALED
from shared.resources import Resource
from shared.storage import (
    Compacted,
    FutureRevision,
    KeyValue,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
)

OPTIMISTIC_LOCK = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def details_of(resource: Resource, name: str, *, kind: str | None = None) -> dict[str, Any]:
    """Return a Status's details: name, group (none for core) and the plural as kind."""
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    details["kind"] = kind or resource.name
    return details


def not_found(resource: Resource, name: str) -> NotFound:
    return NotFound(
        f'{resource.group_resource} "{name}" not found', details=details_of(resource, name)
    )


def already_exists(resource: Resource, obj: dict[str, Any], current: KeyValue) -> AlreadyExists:
    name = obj["metadata"]["name"]
    message = f'{resource.group_resource} "{name}" already exists'
    if is_being_deleted(current):
        message = f"object is being deleted: {message}"
    return AlreadyExists(message, details=details_of(resource, name))


def is_being_deleted(current: KeyValue) -> bool:
    if current.value.startswith(SEALED):
        return False  # it could not be decrypted
    return "deletionTimestamp" in orjson.loads(current.value).get("metadata", {})


def modified(resource: Resource, name: str) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {OPTIMISTIC_LOCK}',
        details=details_of(resource, name),
    )


def uid_conflict(resource: Resource, name: str, wanted: str, found: str) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": Precondition '
        f"failed: UID in precondition: {wanted}, UID in object meta: {found}",
        details=details_of(resource, name),
    )


def invalid(
    resource: Resource,
    name: str,
    causes: Sequence[Cause],
    *,
    kind: str | None = None,
    group: str | None = None,
) -> Invalid:
    """Return the 422 of field errors; `kind` and `group` are those of the stored object (an
    event of events.k8s.io is one of the core group) unless given."""
    kind = kind or resource.kind
    if group is None:
        group = resource.storage.group if resource.storage else resource.group
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    messages = [cause.message for cause in causes]
    # A message that stands for several causes is shown once.
    unique = list(dict.fromkeys(messages))
    text = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    return Invalid(
        f'{qualified} "{name}" is invalid: {text}',
        details=details,
        causes=causes,
    )


def interpret(error: StorageError) -> ApiError:
    """Return the API's word for a storage error that no handler turned into something better."""
    match error:
        case Compacted():
            return Expired(
                "The resourceVersion for the provided watch is too old.",
            )
        case FutureRevision():
            return too_large_resource_version(error.revision, error.current)
        case StorageUnavailable():
            return ServiceUnavailable(
                f"the storage did not answer: {error}", details={}, retry_after_s=1
            )
        case UnreadableValue():
            return unreadable(str(error))
    raise error  # a kind nobody thought of is a bug: 500, logged with its trace


def unreadable(why: str) -> InternalError:
    """Return the 500 about something that can't be decrypted, as Go's NewInternalError."""
    return InternalError(f"Internal error occurred: {why}", causes=[Cause("", why)])


def too_large_resource_version(wanted: int, current: int) -> Timeout:
    """Return the 504 of a read that asks for a state this server has not reached."""
    return Timeout(
        f"Too large resource version: {wanted}, current: {current}",
        details={},
        causes=[Cause("ResourceVersionTooLarge", "Too large resource version")],
        retry_after_s=1,
    )
