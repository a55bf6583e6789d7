"""PodSecurity: levels from labels, and the words for each violation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.apiserver.admission.podsecurity import PodSecurity
from services.apiserver.admission.podsecurity.levels import PREFIX, read_policy
from services.apiserver.errors import ApiError
from services.apiserver.registry.strategy import Object, WriteContext
from tests.unit.kindtools import context, shown
from tests.unit.test_admission_plugins import PODS, attributes


def namespace(**labels: str) -> Object:
    return {
        "metadata": {
            "name": "ns",
            "labels": {PREFIX + name.replace("_", "-"): value for name, value in labels.items()},
        }
    }


def ask(
    obj: Object,
    *,
    resource: tuple[str, str] = PODS,
    old: Object | None = None,
    subresource: str = "",
    pods: list[Object] | None = None,
    **labels: str,
) -> WriteContext:
    asked = attributes(
        resource,
        obj,
        old=old,
        operation="CREATE" if old is None else "UPDATE",
        subresource=subresource,
        name="ns" if resource == NAMESPACES else "a",
    )
    plugin = PodSecurity()
    assert plugin.handles(asked)
    ctx = context({("", "namespaces"): [namespace(**labels)], PODS: pods or []})
    asyncio.run(plugin.validate(ctx, asked))
    return ctx


NAMESPACES = ("", "namespaces")
HARDENED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(container: Object | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec},
    }


def secured(**context: Any) -> Object:
    return {"securityContext": context}


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (pod(hostNetwork=True), "host namespaces (hostNetwork=true)"),
        (
            pod(
                {
                    "ports": [{"containerPort": 80, "hostPort": 80}],
                    **secured(seccompProfile={"type": "Unconfined"}),
                },
                hostPID=True,
                volumes=[{"name": "h", "hostPath": {"path": "/etc"}}],
                securityContext={
                    "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
                    "seLinuxOptions": {"user": "x"},
                },
            ),
            'host namespaces (hostPID=true), hostPath volumes (volume "h"), hostPort (container "c"'
            " uses hostPort 80), seLinuxOptions (pod set forbidden securityContext.seLinuxOptions:"
            ' user may not be set), seccompProfile (container "c" must not set'
            ' securityContext.seccompProfile.type to "Unconfined"), forbidden sysctls'
            " (kernel.msgmax)",
        ),
        (
            pod(secured(privileged=True)),
            'privileged (container "c" must not set securityContext.privileged=true)',
        ),
        (
            pod(secured(capabilities={"add": ["SYS_ADMIN", "CHOWN", "NET_ADMIN"]})),
            'non-default capabilities (container "c" must not include "NET_ADMIN", "SYS_ADMIN" in'
            " securityContext.capabilities.add)",
        ),
        (
            pod(secured(procMount="Unmasked")),
            'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            pod(secured(windowsOptions={"hostProcess": True})),
            'hostProcess (container "c" must not set'
            " securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            pod({"livenessProbe": {"httpGet": {"host": "h", "port": 1}}}),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "h")',
        ),
    ],
)
def test_baseline_tells_every_violation_in_order(obj: Object, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(obj, enforce="baseline")
    assert caught.value.message == (
        f'pods "a" is forbidden: violates PodSecurity "baseline:latest": {told}'
    )


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (
            pod(),
            'allowPrivilegeEscalation != false (container "c" must set'
            " securityContext.allowPrivilegeEscalation=false), unrestricted capabilities"
            ' (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot !='
            ' true (pod or container "c" must set securityContext.runAsNonRoot=true),'
            ' seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to'
            ' "RuntimeDefault" or "Localhost")',
        ),
        (
            pod(secured(**HARDENED), volumes=[{"name": "v", "nfs": {}}]),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (
            pod(secured(**{**HARDENED, "runAsUser": 0})),
            'runAsUser=0 (container "c" must not set runAsUser=0)',
        ),
        (
            pod(secured(**{**HARDENED, "runAsNonRoot": False})),
            'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
        ),
    ],
)
def test_restricted_tells_what_is_missing(obj: Object, told: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(obj, enforce="restricted")
    assert caught.value.message.endswith(told)


def test_a_hardened_pod_passes_the_restricted_level() -> None:
    assert ask(pod(secured(**HARDENED)), enforce="restricted", warn="restricted").warnings == []


def test_a_pod_that_only_the_warned_level_refuses_is_warned_of() -> None:
    ctx = ask(pod(), enforce="baseline", warn="restricted")
    assert len(ctx.warnings) == 1
    assert ctx.warnings[0].startswith('would violate PodSecurity "restricted:latest": allow')


def test_what_makes_pods_is_only_warned_of() -> None:
    deployment = {"metadata": {"name": "d"}, "spec": {"template": pod(hostNetwork=True)}}
    labels = {"enforce": "baseline", "warn": "baseline"}
    ctx = ask(deployment, resource=("apps", "deployments"), **labels)
    assert ctx.warnings == [
        'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    ]


def test_an_update_is_checked_when_it_changes_an_image_or_adds_a_container() -> None:
    old = pod(hostNetwork=True)
    labelled = pod(hostNetwork=True)
    labelled["metadata"]["labels"] = {"a": "b"}
    ask(labelled, old=old, enforce="baseline")
    other_image = pod({"image": "j"}, hostNetwork=True)
    debugged = pod(hostNetwork=True, ephemeralContainers=[{"name": "e"}])
    for obj, subresource in ((other_image, ""), (debugged, "ephemeralcontainers")):
        with pytest.raises(ApiError, match="violates PodSecurity"):
            ask(obj, old=old, subresource=subresource, enforce="baseline")


def test_labels_that_name_no_level_or_version_are_invalid() -> None:
    labels = namespace(enforce="strict", warn_version="1.2", audit_version="v9")["metadata"]
    policy, causes = read_policy(labels["labels"])
    assert str(policy.enforce) == "restricted:latest"
    assert shown(causes) == [
        f"Invalid metadata.labels[{PREFIX}{name}]"
        for name in ("enforce", "audit-version", "warn-version")
    ]


def test_a_namespace_with_bad_labels_is_invalid_unless_it_had_them() -> None:
    bad = namespace(enforce="strict")
    with pytest.raises(ApiError) as caught:
        ask(bad, resource=NAMESPACES)
    assert caught.value.code == 422
    ask(bad, resource=NAMESPACES, old=bad)


def test_raising_the_enforced_level_warns_of_pods_that_violate_it() -> None:
    pods = [pod(hostNetwork=True) for _ in range(3)]
    for obj, name in zip(pods, "bca", strict=True):
        obj["metadata"]["name"] = name
    ctx = ask(
        namespace(enforce="baseline"), resource=NAMESPACES, old=namespace(), pods=[*pods, pod()]
    )
    assert ctx.warnings == [
        'existing pods in namespace "ns" violate the new PodSecurity enforce level'
        ' "baseline:latest"',
        "a (and 2 other pods): host namespaces",
    ]


def test_lowering_the_level_warns_of_nothing() -> None:
    ctx = ask(
        namespace(enforce="baseline"),
        resource=NAMESPACES,
        old=namespace(enforce="restricted"),
        pods=[pod(hostNetwork=True)],
    )
    assert ctx.warnings == []


@pytest.mark.parametrize(
    ("version", "refused"), [("v1.26", True), ("v1.27", False), ("latest", False), ("v1.99", False)]
)
def test_an_older_version_of_the_standard_allows_fewer_sysctls(version: str, refused: bool) -> None:
    name = "net.ipv4.ip_local_reserved_ports"
    obj = pod(securityContext={"sysctls": [{"name": name, "value": "1"}]})
    if refused:
        with pytest.raises(ApiError, match="forbidden sysctls"):
            ask(obj, enforce="baseline", enforce_version=version)
    else:
        ask(obj, enforce="baseline", enforce_version=version)


def test_windows_pods_need_no_linux_hardening_since_v1_25() -> None:
    obj = pod(secured(runAsNonRoot=True), os={"name": "windows"})
    ask(obj, enforce="restricted")
    with pytest.raises(ApiError, match="unrestricted capabilities"):
        ask(obj, enforce="restricted", enforce_version="v1.24")
