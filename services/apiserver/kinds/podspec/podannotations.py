"""Annotations that mean something to pods: mirror pods, deletion cost, seccomp, AppArmor.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths, scheduling, security
from services.apiserver.validation import field

Object = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_integer = re.compile(r"-?(0|[1-9][0-9]*)").fullmatch
_MATCH_TYPE = "type in annotation and field must match"


def validate_pod_annotations(
    annotations: Mapping[str, str], spec: Object, path: str
) -> Iterator[Cause]:
    if MIRROR in annotations and not spec.get("nodeName"):
        yield field.invalid(
            field.key(path, MIRROR),
            annotations[MIRROR],
            "must set spec.nodeName if mirror pod annotation is set",
        )
    if annotations.get(_TOLERATIONS):
        yield from _tolerations(annotations[_TOLERATIONS], path)
    cost = annotations.get(_DELETION_COST)
    if cost is not None and not (_integer(cost) and -(2**31) <= int(cost) < 2**31):
        yield field.invalid(field.key(path, _DELETION_COST), cost, "must be a 32bit integer")
    if SECCOMP_POD in annotations:
        yield from _seccomp(annotations[SECCOMP_POD], field.child(path, SECCOMP_POD))
    for name in sorted(annotations):
        if name.startswith(SECCOMP_CONTAINER):
            yield from _seccomp(annotations[name], field.child(path, name))
    for name in sorted(annotations):
        if name.startswith(APP_ARMOR):
            yield from _app_armor(name, annotations[name], spec, field.key(path, name))


def _tolerations(text: str, path: str) -> Iterator[Cause]:
    try:
        tolerations = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield field.invalid(path, _TOLERATIONS, str(error))
        return
    if isinstance(tolerations, list) and all(isinstance(one, dict) for one in tolerations):
        yield from scheduling.validate_tolerations(tolerations, field.child(path, _TOLERATIONS))
    elif tolerations is not None:
        yield field.invalid(path, _TOLERATIONS, "must be a list of tolerations")


def _seccomp(profile: str, path: str) -> Iterator[Cause]:
    if profile in ("runtime/default", "docker/default", "unconfined"):
        return
    if profile.startswith("localhost/"):
        yield from paths.descending(profile.removeprefix("localhost/"), path)
    else:
        yield field.invalid(path, profile, "must be a valid seccomp profile")


def _app_armor(name: str, profile: str, spec: Object, path: str) -> Iterator[Cause]:
    container = name.removeprefix(APP_ARMOR)
    if all(one.get("name") != container for one, _ in security.containers_of(spec, "")):
        yield field.invalid(path, container, "container not found")
    if profile not in ("", "runtime/default", "unconfined") and not profile.startswith(
        "localhost/"
    ):
        yield field.invalid(path, profile, f'invalid AppArmor profile name: "{profile}"')


def validate_against_fields(
    annotations: Mapping[str, str], spec: Object, path: str
) -> Iterator[Cause]:
    """Check that profiles given both as annotation and as field agree; `path` is the spec's."""
    context = spec.get("securityContext", {})
    if "seccompProfile" in context and SECCOMP_POD in annotations:
        yield from _agree(
            annotations[SECCOMP_POD],
            context["seccompProfile"],
            "seccomp",
            f"{path}.securityContext.seccompProfile",
        )
    for container, at in security.containers_of(spec, path):
        profile = container.get("securityContext", {}).get("seccompProfile")
        name = SECCOMP_CONTAINER + container.get("name", "")
        if profile is not None and name in annotations:
            yield from _agree(
                annotations[name], profile, "seccomp", f"{at}.securityContext.seccompProfile"
            )
    if spec.get("os", {}).get("name") == "windows":
        return
    for container, at in security.containers_of(spec, path):
        profile = container.get("securityContext", {}).get(
            "appArmorProfile", context.get("appArmorProfile")
        )
        name = APP_ARMOR + container.get("name", "")
        if profile is not None and name in annotations:
            yield from _agree(
                annotations[name], profile, "apparmor", f"{at}.securityContext.appArmorProfile"
            )


_DEFAULT_PROFILES = {
    "seccomp": ("runtime/default", "docker/default"),
    "apparmor": ("runtime/default",),
}


def _agree(annotation: str, profile: Object, subject: str, path: str) -> Iterator[Cause]:
    kind = profile.get("type")
    if kind == "Localhost":
        if not annotation.startswith("localhost/"):
            yield field.forbidden(f"{path}.type", f"{subject} {_MATCH_TYPE}")
        elif annotation.removeprefix("localhost/") != profile.get("localhostProfile"):
            yield field.forbidden(
                f"{path}.localhostProfile",
                f"{subject} profile in annotation and field must match",
            )
    elif kind == "RuntimeDefault":
        if annotation not in _DEFAULT_PROFILES[subject]:
            yield field.forbidden(f"{path}.type", f"{subject} {_MATCH_TYPE}")
    elif kind == "Unconfined" and annotation != "unconfined":
        yield field.forbidden(f"{path}.type", f"{subject} {_MATCH_TYPE}")


def validate_annotation_updates(
    new: Mapping[str, str], old: Mapping[str, str], spec: Object, path: str
) -> Iterator[Cause]:
    if new != old:
        for name, value in old.items():
            if new.get(name) == value:
                continue
            if name.startswith(APP_ARMOR):
                yield field.forbidden(
                    field.key(path, name), "may not remove or update AppArmor annotations"
                )
            elif name == MIRROR:
                yield field.forbidden(
                    field.key(path, name), "may not remove or update mirror pod annotation"
                )
        for name in new:
            if name in old:
                continue
            if name.startswith(APP_ARMOR):
                yield field.forbidden(field.key(path, name), "may not add AppArmor annotations")
            elif name == MIRROR:
                yield field.forbidden(field.key(path, name), "may not add mirror pod annotation")
    if new:
        yield from validate_pod_annotations(new, spec, path)
