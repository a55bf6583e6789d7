"""The status of a Job: what a status write may say, and how it may follow on the last one.

Most rules are applied only when a write touches what they are about, so that a status that
a change of the spec has made wrong can be repaired step by step.
Source: kube-apiserver v1.36.2, pkg/registry/batch/job/strategy.go (getStatusValidationOptions),
pkg/apis/batch/validation/validation.go (ValidateJobStatusUpdate).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.jobindexes import IndexesError, count_indexes, overlap
from services.apiserver.kinds.jobspec import INDEXED
from services.apiserver.kinds.podowners import non_negative
from services.apiserver.validation import field

Object = dict[str, Any]

_COUNTERS = ("active", "succeeded", "failed", "ready", "terminating")
_TRACKED = ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet")


def is_true(status: Object, condition: str) -> bool:
    return _has(status, condition, "True")


def validate_status_update(job: Object, old_job: Object) -> Iterator[Cause]:
    spec, status, old = job["spec"], job.get("status", {}), old_job.get("status", {})
    yield from non_negative(status, "status", *_COUNTERS)
    yield from _uncounted(status.get("uncountedTerminatedPods", {}))
    now = {kind: is_true(status, kind) for kind in _TRACKED}
    before = {kind: is_true(old, kind) for kind in _TRACKED}
    changed = {
        name for name in {*status, *old} if (status.get(name) or None) != (old.get(name) or None)
    } | {kind for kind in _TRACKED if now[kind] != before[kind]}
    # null and 0 differ in the optional fields.
    changed |= {name for name in ("ready", "terminating") if status.get(name) != old.get(name)}
    if (now["Complete"] or now["Failed"]) != (before["Complete"] or before["Failed"]):
        changed.add("finished")
    yield from _completion(status, now, changed)
    yield from _finished(spec, status, now, changed)
    yield from _indexes(spec, status, changed)
    if now["Complete"] or now["Failed"]:
        terminating = status.get("terminating") or 0
        if terminating > 0 and changed & {"finished", "terminating"}:
            yield field.invalid(
                "status.terminating", terminating, "terminating>0 is invalid for finished job"
            )
    ready = status.get("ready") or 0
    if ready > status.get("active", 0) and changed & {"ready", "active"}:
        yield field.invalid("status.ready", ready, "cannot set more ready pods than active")
    yield from _success_criteria(spec, now)
    yield from _transitions(spec, status, old, now, before)


def _has(status: Object, condition: str, value: str) -> bool:
    return any(
        one.get("type") == condition and one.get("status") == value
        for one in status.get("conditions") or ()
    )


def _uncounted(uids: Object) -> Iterator[Cause]:
    seen = set()
    for kind in ("succeeded", "failed"):
        for number, uid in enumerate(uids.get(kind) or ()):
            path = f"status.uncountedTerminatedPods.{kind}[{number}]"
            if not uid:
                yield field.invalid(path, uid, "must not be empty")
            elif uid in seen:
                yield field.duplicate(path, uid)
            seen.add(uid)


def _conditions(message: str) -> Cause:
    return field.invalid("status.conditions", "", message)


def _completion(status: Object, now: dict[str, bool], changed: set[str]) -> Iterator[Cause]:
    complete = now["Complete"]
    completion, start = status.get("completionTime"), status.get("startTime")
    if complete and now["Failed"] and changed & {"Complete", "Failed"}:
        yield _conditions("cannot set Complete=True and Failed=true conditions")
    if complete and now["FailureTarget"] and changed & {"Complete", "FailureTarget"}:
        yield _conditions("cannot set Complete=True and FailureTarget=true conditions")
    if changed & {"Complete", "completionTime"}:
        if completion and not complete:
            yield field.invalid(
                "status.completionTime",
                completion,
                "cannot set completionTime when there is no Complete=True condition",
            )
        if complete and not completion:
            yield field.required(
                "status.completionTime", "completionTime is required for Complete jobs"
            )
    if start and completion and completion < start and changed & {"startTime", "completionTime"}:
        yield field.invalid(
            "status.completionTime", completion, "completionTime cannot be set before startTime"
        )
    if now["Failed"] and not now["FailureTarget"] and changed & {"Failed", "failedIndexes"}:
        yield _conditions(
            "cannot set Failed=True condition without the FailureTarget=true condition"
        )
    if complete and not now["SuccessCriteriaMet"] and changed & {"Complete", "SuccessCriteriaMet"}:
        yield _conditions(
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        )


def _finished(
    spec: Object, status: Object, now: dict[str, bool], changed: set[str]
) -> Iterator[Cause]:
    if not (now["Complete"] or now["Failed"]):
        return
    active = status.get("active", 0)
    if active > 0 and changed & {"finished", "active"}:
        yield field.invalid("status.active", active, "active>0 is invalid for finished job")
    never_starts = spec.get("suspend") is True and spec.get("completions") == 0
    if not status.get("startTime") and changed & {"finished", "startTime"} and not never_starts:
        yield field.required("status.startTime", "startTime is required for finished job")
    uncounted = status.get("uncountedTerminatedPods") or {}
    if (uncounted.get("failed") or uncounted.get("succeeded")) and changed & {
        "finished",
        "uncountedTerminatedPods",
    }:
        yield field.invalid(
            "status.uncountedTerminatedPods",
            uncounted,
            "uncountedTerminatedPods needs to be empty for finished job",
        )


def _indexes(spec: Object, status: Object, changed: set[str]) -> Iterator[Cause]:
    completions, per_index = spec.get("completions"), "backoffLimitPerIndex" in spec
    completed, failed = status.get("completedIndexes", ""), status.get("failedIndexes")
    lists = [("completedIndexes", completed)]
    if per_index and failed is not None:
        lists.append(("failedIndexes", failed))
    for name, text in lists:
        if name in changed and completions is not None:
            try:
                count_indexes(text, completions)
            except IndexesError as error:
                yield field.invalid(f"status.{name}", text, f"error parsing {name}: {error}")
    if "completedIndexes" in changed and completed and spec.get("completionMode") != INDEXED:
        yield field.invalid(
            "status.completedIndexes",
            completed,
            "cannot set non-empty completedIndexes when non-indexed completion mode",
        )
    if failed is None:
        return
    if "failedIndexes" in changed and not per_index:
        yield field.invalid(
            "status.failedIndexes",
            failed,
            "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        )
    if changed & {"failedIndexes", "completedIndexes"} and completions is not None:
        common = overlap(completed, failed, completions)
        if common is not None:
            yield field.invalid(
                "status.failedIndexes",
                failed,
                f"failedIndexes and completedIndexes overlap at index: {common}",
            )


def _success_criteria(spec: Object, now: dict[str, bool]) -> Iterator[Cause]:
    met = now["SuccessCriteriaMet"]
    if met and now["Failed"]:
        yield _conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if met and now["FailureTarget"]:
        yield _conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    if "successPolicy" in spec and not met and now["Complete"]:
        yield _conditions(
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        )


def _transitions(
    spec: Object, status: Object, old: Object, now: dict[str, bool], before: dict[str, bool]
) -> Iterator[Cause]:
    for kind in ("Failed", "Complete", "FailureTarget"):
        if before[kind] and not now[kind]:
            yield _conditions(f"cannot disable the terminal {kind}=True condition")
    # The counter of an elastic Job goes down when it is scaled down.
    elastic = spec.get("completionMode") == INDEXED and (
        spec.get("completions") == spec.get("parallelism")
    )
    for name in ("failed", "succeeded"):
        value = status.get(name, 0)
        if value < old.get(name, 0) and not (name == "succeeded" and elastic):
            yield field.invalid(f"status.{name}", value, f"cannot decrease the {name} counter")
    completion, was = status.get("completionTime"), old.get("completionTime")
    if completion and was and completion != was:
        yield field.invalid("status.completionTime", completion, "completionTime cannot be mutated")
    resuming = is_true(old, "Suspended") and _has(status, "Suspended", "False")
    if (
        old.get("startTime")
        and old["startTime"] != status.get("startTime")
        and not spec.get("suspend")
        and not resuming
    ):
        yield field.required("status.startTime", "startTime cannot be removed for unsuspended job")
    if before["SuccessCriteriaMet"] and not now["SuccessCriteriaMet"]:
        yield _conditions("cannot disable the SuccessCriteriaMet=True condition")
    if before["Complete"] and not before["SuccessCriteriaMet"] and now["SuccessCriteriaMet"]:
        yield _conditions(
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        )
