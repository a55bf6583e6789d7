"""The checks of the baseline level: no known way to more privileges.

Every check takes a pod and returns what is wrong with it. Versions of the standard before
v1.19, when seccomp profiles were annotations, are judged like v1.19.
Source: kube-apiserver v1.36.2, pod-security-admission/policy/check_*.go.
"""

from __future__ import annotations

from services.apiserver.admission.podsecurity.violation import (
    CheckedPod,
    Violation,
    containers,
    named_containers,
    plural,
    quoted,
    security_context,
    setters,
)
from services.apiserver.registry.strategy import Object

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
SELINUX_TYPES = {
    "": 0,
    "container_t": 0,
    "container_init_t": 0,
    "container_kvm_t": 0,
    "container_engine_t": 31,
}
"""The minor version since which each is allowed."""
SECCOMP_TYPES = frozenset(("RuntimeDefault", "Localhost"))
SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.tcp_wmem": 32,
}
"""The minor version since which each is allowed."""
NEVER = 10**9


def app_armor_profile(pod: CheckedPod) -> Violation | None:
    spec = pod.spec

    def is_unconfined(of: Object) -> bool:
        profile = security_context(of).get("appArmorProfile") or {}
        return bool(profile.get("type") == "Unconfined")

    found = [
        f'{name}="{value}"'
        for name, value in sorted(pod.annotations.items())
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


def capabilities(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
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


def host_namespaces(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def host_path_volumes(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    names = [one["name"] for one in spec.get("volumes") or () if "hostPath" in one]
    if not names:
        return None
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', names)} {quoted(names)}")


def host_ports(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
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


def probe_hosts(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
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


def privileged(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    bad = [one["name"] for one in containers(spec) if security_context(one).get("privileged")]
    if not bad:
        return None
    return Violation(
        "privileged", f"{named_containers(bad)} must not set securityContext.privileged=true"
    )


def proc_mount(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
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


def se_linux_options(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    types: set[str] = set()
    fields: set[str] = set()

    def is_bad(of: Object) -> bool:
        options = security_context(of).get("seLinuxOptions") or {}
        wrong = {field for field in ("user", "role") if options.get(field)}
        fields.update(wrong)
        kind = options.get("type", "")
        bad_type = SELINUX_TYPES.get(kind, NEVER) > pod.minor
        if bad_type:
            types.add(kind)
        return bool(wrong) or bad_type

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


def seccomp_profile(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
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


def sysctls(pod: CheckedPod) -> Violation | None:
    spec = pod.spec
    used = security_context(spec).get("sysctls") or ()
    bad = [one["name"] for one in used if SYSCTLS.get(one["name"], NEVER) > pod.minor]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def windows_host_process(pod: CheckedPod) -> Violation | None:
    spec = pod.spec

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
