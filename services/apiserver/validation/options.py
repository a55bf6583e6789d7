"""Request options: what the query (or the body of a DELETE) asks of a request, validated.

Queries are mappings of a name to all its values in order; the first value counts. A value
that does not parse is a BadRequest, one that breaks a rule an Invalid about the options kind.
Source: kube-apiserver v1.36.2, apimachinery/pkg/apis/meta/v1/validation/validation.go,
apimachinery/pkg/apis/meta/internalversion/validation/validation.go,
apimachinery/pkg/runtime/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.apiserver.errors import ApiError, BadRequest, Cause, Invalid
from services.apiserver.validation.field import forbidden, invalid, not_supported, required
from services.apiserver.validation.metadata import validate_field_manager

Query = Mapping[str, Sequence[str]]

PROPAGATION_POLICIES = ("Foreground", "Background", "Orphan")
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """CreateOptions, UpdateOptions or PatchOptions, as `kind` says.

    `field_validation` is "", Ignore, Warn or Strict. `force` is None where it was not sent.
    """

    kind: str
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    force: bool | None = None

    def as_object(self) -> dict[str, Any]:
        """Return the options as admission reviews show them."""
        out: dict[str, Any] = {"kind": self.kind, "apiVersion": "meta.k8s.io/v1"}
        if self.dry_run:
            out["dryRun"] = ["All"]
        if self.force is not None:
            out["force"] = self.force
        if self.field_manager:
            out["fieldManager"] = self.field_manager
        if self.field_validation:
            out["fieldValidation"] = self.field_validation
        return out


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE asks for. `grace_period_s` is None where the kind decides.

    `propagation_policy` is "" where nothing was said; `orphan_dependents` is its older form.
    """

    dry_run: bool = False
    grace_period_s: int | None = None
    propagation_policy: str = ""
    orphan_dependents: bool | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run_values: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return the options as admission reviews show them."""
        out: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
        if self.grace_period_s is not None:
            out["gracePeriodSeconds"] = self.grace_period_s
        preconditions = {}
        if self.uid is not None:
            preconditions["uid"] = self.uid
        if self.resource_version is not None:
            preconditions["resourceVersion"] = self.resource_version
        if preconditions:
            out["preconditions"] = preconditions
        if self.orphan_dependents is not None:
            out["orphanDependents"] = self.orphan_dependents
        if self.propagation_policy:
            out["propagationPolicy"] = self.propagation_policy
        if self.dry_run_values:
            out["dryRun"] = list(self.dry_run_values)
        return out


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a LIST or WATCH asks for.

    `resource_version` is "" or a decimal number, `limit` 0 or less means all, selectors and the
    continue token are as sent. `send_initial_events` and `timeout_s` are None where not sent.
    """

    watch: bool = False
    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    limit: int = 0
    continue_token: str = ""
    timeout_s: int | None = None
    allow_watch_bookmarks: bool = False
    send_initial_events: bool | None = None


def parse_create_options(query: Query) -> WriteOptions:
    return _write_options("CreateOptions", query)


def parse_update_options(query: Query) -> WriteOptions:
    return _write_options("UpdateOptions", query)


def parse_patch_options(query: Query, *, apply: bool) -> WriteOptions:
    """`apply` is server-side apply, where a fieldManager is required and force allowed."""
    force = _boolean(query, "force")
    found: list[Cause] = []
    if not apply:
        if force is not None:
            found.append(forbidden("force", "may not be specified for non-apply patch"))
    elif not _first(query, "fieldManager"):
        found.append(required("fieldManager", "is required for apply patch"))
    return _write_options("PatchOptions", query, force=force, found=found)


def _write_options(
    kind: str, query: Query, *, force: bool | None = None, found: Sequence[Cause] = ()
) -> WriteOptions:
    if not query:
        if found:
            raise _invalid(kind, found)
        return WriteOptions(kind)
    manager = _first(query, "fieldManager")
    validation = _first(query, "fieldValidation")
    dry_run = query.get("dryRun", ())
    causes = [*found, *validate_field_manager(manager, "fieldManager"), *_check_dry_run(dry_run)]
    if validation not in ("", "Ignore", "Warn", "Strict"):
        causes.append(
            not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn"))
        )
    if causes:
        raise _invalid(kind, causes)
    return WriteOptions(kind, bool(dry_run), manager, validation, force)


def parse_delete_options(query: Query, body: Mapping[str, Any] | None = None) -> DeleteOptions:
    """Return the options of a DELETE; a body (decoded DeleteOptions) replaces the query."""
    if body is not None:
        preconditions = body.get("preconditions") or {}
        options = DeleteOptions(
            dry_run=bool(body.get("dryRun")),
            grace_period_s=body.get("gracePeriodSeconds"),
            propagation_policy=body.get("propagationPolicy") or "",
            orphan_dependents=body.get("orphanDependents"),
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
            dry_run_values=tuple(body.get("dryRun") or ()),
        )
        policy_sent = body.get("propagationPolicy") is not None
    elif query:
        dry_run = tuple(query.get("dryRun", ()))
        options = DeleteOptions(
            dry_run=bool(dry_run),
            grace_period_s=_integer(query, "gracePeriodSeconds"),
            propagation_policy=_first(query, "propagationPolicy"),
            orphan_dependents=_boolean(query, "orphanDependents"),
            uid=_first(query, "uid") or None,
            dry_run_values=dry_run,
        )
        policy_sent = bool(query.get("propagationPolicy"))
    else:
        return DeleteOptions()
    causes: list[Cause] = []
    policy = options.propagation_policy
    if policy_sent:
        if options.orphan_dependents is not None:
            causes.append(
                invalid(
                    "propagationPolicy",
                    policy,
                    "orphanDependents and deletionPropagation cannot be both set",
                )
            )
        if policy not in PROPAGATION_POLICIES:
            causes.append(
                not_supported("propagationPolicy", policy, (*PROPAGATION_POLICIES, "nil"))
            )
    causes += _check_dry_run(options.dry_run_values)
    if causes:
        raise _invalid("DeleteOptions", causes)
    return options


def parse_list_options(query: Query, *, watch: bool) -> ListOptions:
    """Return the options of a LIST, a WATCH (`watch`, or a deprecated /watch/ path) or a
    deletion of a collection (a LIST).

    Raises:
        BadRequest: a number or the resourceVersion of a list does not parse, or a continue
            token comes with a resourceVersion.
        Invalid: the options exclude each other.
        ApiError: 500 without reason, for a watch's resourceVersion that is no number.
    """
    if not query:
        return ListOptions(watch=watch)
    options = ListOptions(
        watch=watch,
        label_selector=_first(query, "labelSelector"),
        field_selector=_first(query, "fieldSelector"),
        resource_version=_first(query, "resourceVersion"),
        resource_version_match=_first(query, "resourceVersionMatch"),
        limit=_integer(query, "limit") or 0,
        continue_token=_first(query, "continue"),
        timeout_s=_integer(query, "timeoutSeconds"),
        allow_watch_bookmarks=bool(_boolean(query, "allowWatchBookmarks")),
        send_initial_events=_boolean(query, "sendInitialEvents"),
    )
    causes = _check_watch(options) if watch else _check_list(options)
    if causes:
        raise _invalid("ListOptions", causes)
    version = options.resource_version
    if version and not _is_revision(version):
        message = f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}"'
        if watch:
            raise ApiError(message)
        raise BadRequest(message)
    if options.continue_token and version not in ("", "0") and not watch:
        raise BadRequest("specifying resource version is not allowed when using continue")
    return options


def parse_get_resource_version(query: Query) -> str:
    """Return the resourceVersion of a GET, the one list option it knows.

    Raises:
        ApiError: 500 without reason when it is no number.
    """
    version = _first(query, "resourceVersion")
    if version and not _is_revision(version):
        raise ApiError(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}"')
    return version


def _check_list(options: ListOptions) -> list[Cause]:
    path = "resourceVersionMatch"
    match = options.resource_version_match
    causes: list[Cause] = []
    if match:
        if not options.resource_version:
            causes.append(
                forbidden(path, f"{path} is forbidden unless resourceVersion is provided")
            )
        if options.continue_token:
            causes.append(forbidden(path, f"{path} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            causes.append(not_supported(path, match, ("Exact", "NotOlderThan", "")))
        if match == "Exact" and options.resource_version == "0":
            causes.append(forbidden(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial_events is not None:
        causes.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _check_watch(options: ListOptions) -> list[Cause]:
    path = "resourceVersionMatch"
    match = options.resource_version_match
    causes: list[Cause] = []
    if match:
        if options.send_initial_events is None:
            causes.append(
                forbidden(
                    path, f"{path} is forbidden for watch unless sendInitialEvents is provided"
                )
            )
        if match != "NotOlderThan":
            causes.append(not_supported(path, match, ("NotOlderThan",)))
        if options.continue_token:
            causes.append(forbidden(path, f"{path} is forbidden when continue is provided"))
    if options.send_initial_events is not None and match != "NotOlderThan":
        causes.append(
            forbidden(
                "sendInitialEvents",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        )
    return causes


def _check_dry_run(values: Sequence[str]) -> list[Cause]:
    if all(value == "All" for value in values):
        return []
    return [not_supported("dryRun", list(values), ("All",))]


def _invalid(kind: str, causes: Sequence[Cause]) -> Invalid:
    texts = [cause.message for cause in causes]
    shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Invalid(
        f'{kind}.meta.k8s.io "" is invalid: {shown}',
        details={"group": "meta.k8s.io", "kind": kind},
        causes=causes,
    )


def _is_revision(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= UINT64_MAX


def _first(query: Query, name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def _boolean(query: Query, name: str) -> bool | None:
    """Only "0" and "false" (in any case) are false; a name without a value is true."""
    values = query.get(name)
    return values[0].lower() not in ("0", "false") if values else None


def _integer(query: Query, name: str) -> int | None:
    values = query.get(name)
    if not values:
        return None
    text = values[0]
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text) if len(text) <= 20 else INT64_MAX + 1
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number
