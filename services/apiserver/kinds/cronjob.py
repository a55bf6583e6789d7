"""CronJob.

Source: kube-apiserver v1.36.2, pkg/registry/batch/cronjob/strategy.go,
pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.apiserver.errors import Cause
from services.apiserver.kinds.cronschedule import ScheduleError, check_schedule, is_time_zone
from services.apiserver.kinds.jobspec import (
    default_failure_policy,
    validate_job_spec,
    warnings_for_job_spec,
)
from services.apiserver.kinds.podowners import fill, has_odd_name, name_warning, non_negative
from services.apiserver.kinds.podspec import defaults, prepare
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation import field
from services.apiserver.validation.names import longer_than

MAX_NAME_LENGTH = 52
"""The Jobs of a CronJob get its name with eleven characters more."""
_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")
_DEFAULTS = (("suspend", False), ("successfulJobsHistoryLimit", 3), ("failedJobsHistoryLimit", 1))


class CronJobStrategy(Strategy):
    has_generation = True
    has_status = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("concurrencyPolicy"):
            spec["concurrencyPolicy"] = "Allow"
        fill(spec, _DEFAULTS)
        job = spec.setdefault("jobTemplate", {})
        job.setdefault("metadata", {})
        job_spec = job.setdefault("spec", {})
        default_failure_policy(job_spec)
        defaults.default_template(job_spec.setdefault("template", {}))

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        obj["status"] = {}
        prepare.drop_disabled_fields(_job_spec(obj)["template"]["spec"])

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        prepare.drop_disabled_fields(_job_spec(obj)["template"]["spec"])
        super().prepare_for_update(ctx, obj, old)

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        causes = list(_validate_spec(obj["spec"]))
        name = obj["metadata"].get("name", "")
        if longer_than(name, MAX_NAME_LENGTH):
            causes.append(
                field.invalid(
                    "metadata.name", name, f"must be no more than {MAX_NAME_LENGTH} characters"
                )
            )
        return causes

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["spec"] == old["spec"]:
            return []
        return list(_validate_spec(obj["spec"], old["spec"]))

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = [name_warning(obj)] if has_odd_name(obj) else []
        return [*found, *warnings_for_job_spec(_job_spec(obj), "spec.jobTemplate.spec")]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        found: list[str] = []
        if obj["metadata"].get("generation") != old["metadata"].get("generation"):
            found += warnings_for_job_spec(_job_spec(obj), "spec.jobTemplate.spec")
        if "TZ" in obj["spec"].get("schedule", ""):
            found.append(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see"
                " https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
                " for more details"
            )
        return found


def _job_spec(obj: Object) -> Object:
    spec: Object = obj["spec"]["jobTemplate"]["spec"]
    return spec


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    yield from _schedule(spec, old)
    yield from non_negative(spec, "spec", "startingDeadlineSeconds")
    zone = spec.get("timeZone")
    if zone is not None and (old is None or zone != old.get("timeZone")):
        yield from _time_zone(zone)
    policy = spec["concurrencyPolicy"]
    if policy not in _POLICIES:
        yield field.not_supported("spec.concurrencyPolicy", policy, _POLICIES)
    path, job = "spec.jobTemplate.spec", spec["jobTemplate"]["spec"]
    changed = old is None or job["template"] != old["jobTemplate"]["spec"]["template"]
    yield from validate_job_spec(job, path, with_template=changed)
    if "selector" in job:
        yield field.invalid(
            f"{path}.selector", job["selector"], "`selector` will be auto-generated"
        )
    if job.get("manualSelector"):
        yield field.not_supported(f"{path}.manualSelector", True, ("nil", "false"))
    yield from non_negative(spec, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _schedule(spec: Object, old: Object | None) -> Iterator[Cause]:
    path, schedule = "spec.schedule", spec.get("schedule", "")
    if not schedule:
        yield field.required(path)
        return
    try:
        check_schedule(schedule)
    except ScheduleError as error:
        yield field.invalid(path, schedule, str(error))
    if "TZ" in schedule:
        if old is None or "TZ" not in old.get("schedule", ""):
            yield field.invalid(
                path,
                schedule,
                "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            )
        elif "timeZone" in spec:
            yield field.invalid(
                path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            )


def _time_zone(zone: str) -> Iterator[Cause]:
    path = "spec.timeZone"
    if not zone:
        yield field.invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            yield field.invalid(path, zone, f"unknown time zone {zone}")
            return
    if zone.lower() == "local":
        yield field.invalid(
            path,
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        )
    if not is_time_zone(zone):
        yield field.invalid(path, zone, f"unknown time zone {zone}")
