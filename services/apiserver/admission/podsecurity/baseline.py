"""The checks of the baseline level: no known way to more privileges.

Every check takes a pod's annotations and spec. Versions of the standard before the latest
differ in details that are not modelled.
Source: kube-apiserver v1.36.2, pod-security-admission/policy/check_*.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.admission.podsecurity.violation import (
    Violation,
    containers,
    named_containers,
    plural,
    quoted,
    security_context,
    setters,
)
from services.apiserver.registry.strategy import Object

Annotations = Mapping[str, str]

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
SELINUX_TYPES = frozenset(
    ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
)
SECCOMP_TYPES = frozenset(("RuntimeDefault", "Localhost"))
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)


def app_armor_profile(annotations: Annotations, spec: Object) -> Violation | None:
    def is_unconfined(of: Object) -> bool:
        profile = security_context(of).get("appArmorProfile") or {}
        return bool(profile.get("type") == "Unconfined")

    found = [
        f'{name}="{value}"'
        for name, value in sorted(annotations.items())
        if name.startswith(APPARMOR_ANNOTATION)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    ]
    bad = [one["name"] for one in containers(spec) if is_unconfined(one)]
    if is_unconfined(spec) or bad:
        found.append(
            f"{setters(is_unconfined(spec), bad)} must not set AppArmor profile type to"
            ' "Unconfined"'
        )
    if not found:
        return None
    reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", found)
    return Violation(reason, ", ".join(found))


def capabilities(annotations: Annotations, spec: Object) -> Violation | None:
    bad: list[str] = []
    added: set[str] = set()
    for container in containers(spec):
        wanted = security_context(container).get("capabilities") or {}
        forbidden = set(wanted.get("add") or ()) - CAPABILITIES
        if forbidden:
            bad.append(container["name"])
            added |= forbidden
    if not bad:
        return None
    return Violation(
        "non-default capabilities",
        f"{named_containers(bad)} must not include {quoted(sorted(added))} in"
        " securityContext.capabilities.add",
    )


def host_namespaces(annotations: Annotations, spec: Object) -> Violation | None:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def host_path_volumes(annotations: Annotations, spec: Object) -> Violation | None:
    names = [one["name"] for one in spec.get("volumes") or () if "hostPath" in one]
    if not names:
        return None
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', names)} {quoted(names)}")


def host_ports(annotations: Annotations, spec: Object) -> Violation | None:
    bad: list[str] = []
    ports: set[str] = set()
    for container in containers(spec):
        used = {str(one["hostPort"]) for one in container.get("ports") or () if one.get("hostPort")}
        if used:
            bad.append(container["name"])
            ports |= used
    if not bad:
        return None
    return Violation(
        "hostPort",
        f"{named_containers(bad)} {plural('uses', 'use', bad)}"
        f" {plural('hostPort', 'hostPorts', ports)} {', '.join(sorted(ports))}",
    )


def probe_hosts(annotations: Annotations, spec: Object) -> Violation | None:
    bad: list[str] = []
    hosts: set[str] = set()
    for container in containers(spec):
        handlers = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
        lifecycle = container.get("lifecycle") or {}
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        used = {
            action["host"]
            for handler in handlers
            for action in ((handler or {}).get("httpGet"), (handler or {}).get("tcpSocket"))
            if action and action.get("host")
        }
        if used:
            bad.append(container["name"])
            hosts |= used
    if not bad:
        return None
    return Violation(
        "probe or lifecycle host",
        f"{named_containers(bad)} {plural('uses', 'use', bad)} probe or lifecycle"
        f" {plural('host', 'hosts', hosts)} {quoted(sorted(hosts))}",
    )


def privileged(annotations: Annotations, spec: Object) -> Violation | None:
    bad = [one["name"] for one in containers(spec) if security_context(one).get("privileged")]
    if not bad:
        return None
    return Violation(
        "privileged", f"{named_containers(bad)} must not set securityContext.privileged=true"
    )


def proc_mount(annotations: Annotations, spec: Object) -> Violation | None:
    bad: list[str] = []
    used: set[str] = set()
    for container in containers(spec):
        kind = security_context(container).get("procMount")
        if kind not in (None, "Default"):
            bad.append(container["name"])
            used.add(kind)
    if not bad:
        return None
    return Violation(
        "procMount",
        f"{named_containers(bad)} must not set securityContext.procMount to {quoted(sorted(used))}",
    )


def se_linux_options(annotations: Annotations, spec: Object) -> Violation | None:
    types: set[str] = set()
    fields: set[str] = set()

    def is_bad(of: Object) -> bool:
        options = security_context(of).get("seLinuxOptions") or {}
        wrong = {field for field in ("user", "role") if options.get(field)}
        fields.update(wrong)
        kind = options.get("type", "")
        if kind not in SELINUX_TYPES:
            types.add(kind)
        return bool(wrong) or kind not in SELINUX_TYPES

    pod_does = is_bad(spec)
    bad = [one["name"] for one in containers(spec) if is_bad(one)]
    if not pod_does and not bad:
        return None
    found = [f"{plural('type', 'types', types)} {quoted(sorted(types))}"] if types else []
    found += [f"{field} may not be set" for field in ("user", "role") if field in fields]
    return Violation(
        "seLinuxOptions",
        f"{setters(pod_does, bad)} set forbidden securityContext.seLinuxOptions:"
        f" {'; '.join(found)}",
    )


def seccomp_profile(annotations: Annotations, spec: Object) -> Violation | None:
    used: set[str] = set()

    def is_bad(of: Object) -> bool:
        profile = security_context(of).get("seccompProfile")
        if profile is None or profile.get("type") in SECCOMP_TYPES:
            return False
        used.add(profile.get("type", ""))
        return True

    pod_does = is_bad(spec)
    bad = [one["name"] for one in containers(spec) if is_bad(one)]
    if not pod_does and not bad:
        return None
    return Violation(
        "seccompProfile",
        f"{setters(pod_does, bad)} must not set securityContext.seccompProfile.type to"
        f" {quoted(sorted(used))}",
    )


def sysctls(annotations: Annotations, spec: Object) -> Violation | None:
    used = security_context(spec).get("sysctls") or ()
    bad = [one["name"] for one in used if one["name"] not in SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def windows_host_process(annotations: Annotations, spec: Object) -> Violation | None:
    def is_bad(of: Object) -> bool:
        options = security_context(of).get("windowsOptions") or {}
        return bool(options.get("hostProcess"))

    bad = [one["name"] for one in containers(spec) if is_bad(one)]
    if not is_bad(spec) and not bad:
        return None
    return Violation(
        "hostProcess",
        f"{setters(is_bad(spec), bad)} must not set"
        " securityContext.windowsOptions.hostProcess=true",
    )
