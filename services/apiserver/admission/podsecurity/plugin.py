"""PodSecurity: refuses pods that violate their namespace's enforced level, warns of others.

Source: kube-apiserver v1.36.2, pod-security-admission/admission/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.podsecurity import baseline, restricted
from services.apiserver.admission.podsecurity.levels import PREFIX, Level, LevelVersion, read_policy
from services.apiserver.admission.podsecurity.violation import CheckedPod, Violation
from services.apiserver.admission.refusal import refused
from services.apiserver.errors import Invalid
from services.apiserver.registry.strategy import Object, WriteContext

PodCheck = Callable[[CheckedPod], Violation | None]

CHECKS: Mapping[Level, tuple[PodCheck, ...]] = {
    "privileged": (),
    "baseline": (
        baseline.app_armor_profile,
        baseline.capabilities,
        baseline.host_namespaces,
        baseline.host_path_volumes,
        baseline.host_ports,
        baseline.probe_hosts,
        baseline.privileged,
        baseline.proc_mount,
        baseline.se_linux_options,
        baseline.seccomp_profile,
        baseline.sysctls,
        baseline.windows_host_process,
    ),
    "restricted": (
        baseline.app_armor_profile,
        baseline.host_namespaces,
        baseline.host_ports,
        baseline.probe_hosts,
        baseline.privileged,
        baseline.proc_mount,
        baseline.se_linux_options,
        baseline.sysctls,
        baseline.windows_host_process,
        restricted.allow_privilege_escalation,
        restricted.capabilities,
        restricted.restricted_volumes,
        restricted.run_as_non_root,
        restricted.run_as_user,
        restricted.seccomp_profile,
    ),
}
"""In the order in which violations are told."""
SINCE: Mapping[PodCheck, int] = {
    baseline.probe_hosts: 34,
    restricted.allow_privilege_escalation: 8,
    restricted.run_as_user: 23,
    restricted.seccomp_profile: 19,
}
"""The minor version that brought a check."""
TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
"""Where kinds that make pods keep their pod template."""
CHECKED_SUBRESOURCES = frozenset(("", "ephemeralcontainers", "resize"))
MAX_PODS_CHECKED = 3000
CONTAINER_FIELDS = ("containers", "initContainers", "ephemeralContainers")


class PodSecurity:
    """See the module."""

    name = "PodSecurity"

    def handles(self, attributes: Attributes) -> bool:
        if attributes.operation not in ("CREATE", "UPDATE"):
            return False
        resource = (attributes.resource.group, attributes.resource.name)
        if resource == ("", "pods"):
            return attributes.subresource in CHECKED_SUBRESOURCES
        if attributes.subresource:
            return False
        return resource == ("", "namespaces") or resource in TEMPLATES

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        if attributes.resource.name == "namespaces":
            self._check_namespace(ctx, attributes)
            return
        is_pod = attributes.resource.name == "pods"
        if (
            is_pod
            and attributes.old is not None
            and not _changes_containers(attributes.obj["spec"], attributes.old["spec"])
        ):
            return
        namespace = ctx.lookup.get("", "namespaces", "", attributes.namespace)
        if namespace is None:
            return
        policy, causes = read_policy(namespace["metadata"].get("labels", {}))
        pod = attributes.obj if is_pod else _template(attributes)
        if pod is None:
            return
        if causes:
            texts = ", ".join(cause.message for cause in causes)
            ctx.audit.annotate(f"{PREFIX}error", f"Failed to parse policy: {texts}")
        if ctx.audit.enabled:
            found = _told(policy.audit, pod)
            if found:
                ctx.audit.annotate(
                    f"{PREFIX}audit-violations",
                    f'would violate PodSecurity "{policy.audit}": {found}',
                )
        if is_pod:
            ctx.audit.annotate(f"{PREFIX}enforce-policy", str(policy.enforce))
            found = _told(policy.enforce, pod)
            if found:
                raise refused(attributes, f'violates PodSecurity "{policy.enforce}": {found}')
        found = _told(policy.warn, pod)
        if found:
            ctx.warnings.append(f'would violate PodSecurity "{policy.warn}": {found}')

    def _check_namespace(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        policy, causes = read_policy(attributes.obj["metadata"].get("labels", {}))
        old_labels = (attributes.old or {"metadata": {}})["metadata"].get("labels", {})
        before, old_causes = read_policy(old_labels)
        if causes and causes != old_causes:
            texts = ", ".join(cause.message for cause in causes)
            raise Invalid(
                f'Namespace "{attributes.name}" is invalid: {texts}',
                details={"name": attributes.name, "kind": "Namespace"},
                causes=causes,
            )
        if attributes.old is None or policy.enforce == before.enforce:
            return
        relaxed = (
            policy.enforce.version == before.enforce.version
            and policy.enforce.rank <= before.enforce.rank
        )
        if policy.enforce.level != "privileged" and not relaxed:
            self._warn_of_present_pods(ctx, attributes.name, policy.enforce)

    def _warn_of_present_pods(self, ctx: WriteContext, namespace: str, level: LevelVersion) -> None:
        pods: dict[str, list[str]] = {}
        for pod in ctx.lookup.list("", "pods", namespace)[:MAX_PODS_CHECKED]:
            reasons = [violation.reason for violation in _violations(level, pod)]
            if reasons:
                pods.setdefault(", ".join(reasons), []).append(pod["metadata"]["name"])
        if not pods:
            return
        ctx.warnings.append(
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level'
            f' "{level}"'
        )
        for text, names in pods.items():
            others = ""
            if len(names) > 1:
                word = "pod" if len(names) == 2 else "pods"
                others = f" (and {len(names) - 1} other {word})"
            ctx.warnings.append(f"{min(names)}{others}: {text}")


def _template(attributes: Attributes) -> Object | None:
    """Return the pod template of an object that makes pods."""
    found: Object | None = attributes.obj
    for name in TEMPLATES[attributes.resource.group, attributes.resource.name]:
        found = None if found is None else found.get(name)
    return found


def _violations(level: LevelVersion, pod: Object) -> list[Violation]:
    checked = CheckedPod(
        pod.get("metadata", {}).get("annotations", {}), pod.get("spec", {}), level.minor
    )
    return [
        violation
        for check in CHECKS[level.level]
        if SINCE.get(check, 0) <= level.minor and (violation := check(checked)) is not None
    ]


def _told(level: LevelVersion, pod: Object) -> str:
    return ", ".join(map(str, _violations(level, pod)))


def _changes_containers(spec: Object, before: Object) -> bool:
    """Whether an update adds containers or changes an image: what the checks look at."""
    for field in CONTAINER_FIELDS:
        new, old = spec.get(field, ()), before.get(field, ())
        if len(new) != len(old):
            return True
        if any(one.get("image") != other.get("image") for one, other in zip(new, old, strict=True)):
            return True
    return False
