"""Security contexts of pods and containers, and what they exclude.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import paths
from services.apiserver.validation import field, names

Object = dict[str, Any]

_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS = ("Default", "Unmasked")
_CHANGE_POLICIES = ("Always", "OnRootMismatch")
_GROUP_POLICIES = ("Merge", "Strict")
_SELINUX_POLICIES = ("MountOption", "Recursive")
_MAX_ID = 2**31 - 1
_MAX_PATH = 4095
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_sysctl_name = re.compile(rf"({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}").fullmatch
_SYSCTL_MAX = 253
_IPC_PREFIXES = ("kernel.msg", "kernel.shm", "fs.mqueue.")
_GMSA_MAX = 64 * 1024
_netbios_name = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_DNS_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_dns_domain = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*").fullmatch
_bad_user_characters = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search
_dots_and_spaces = re.compile(r"[. ]+").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f]").search


def containers_of(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    """Yield every container with its path: init, regular, ephemeral."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield container, f"{path}.{kind}[{number}]"


def validate_container(context: Object, path: str, host_users: bool) -> Iterator[Cause]:
    """Check a container's securityContext."""
    yield from _id_field(context, "runAsUser", path)
    yield from _id_field(context, "runAsGroup", path)
    mount = context.get("procMount")
    if mount is not None:
        if mount not in _PROC_MOUNTS:
            yield field.not_supported(f"{path}.procMount", mount, _PROC_MOUNTS)
        if host_users and mount == "Unmasked":
            yield field.invalid(
                f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"
            )
    if "seccompProfile" in context:
        yield from _seccomp(context["seccompProfile"], f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield field.invalid(
                path,
                context,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            )
        for capability in context.get("capabilities", {}).get("add", ()):
            if capability == "CAP_SYS_ADMIN":
                yield field.invalid(
                    path,
                    context,
                    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add`"
                    " CAP_SYS_ADMIN",
                )
    if "windowsOptions" in context:
        yield from _windows_options(context["windowsOptions"], f"{path}.windowsOptions")
    if "appArmorProfile" in context:
        yield from validate_app_armor(context["appArmorProfile"], f"{path}.appArmorProfile")


def validate_pod(spec: Object, path: str) -> Iterator[Cause]:
    """Check spec.securityContext; `path` is its own path."""
    context = spec.get("securityContext", {})
    if not context and not spec.get("shareProcessNamespace"):
        return
    yield from _id_field(context, "fsGroup", path)
    yield from _id_field(context, "runAsUser", path)
    yield from _id_field(context, "runAsGroup", path)
    for number, group in enumerate(context.get("supplementalGroups", ())):
        yield from validate_id(group, f"{path}.supplementalGroups[{number}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield field.invalid(
            f"{path}.shareProcessNamespace",
            True,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        )
    if "sysctls" in context:
        yield from _sysctls(context["sysctls"], spec, f"{path}.sysctls")
    yield from _one_of(context, "fsGroupChangePolicy", _CHANGE_POLICIES, path)
    if "seccompProfile" in context:
        yield from _seccomp(context["seccompProfile"], f"{path}.seccompProfile")
    if "windowsOptions" in context:
        yield from _windows_options(context["windowsOptions"], f"{path}.windowsOptions")
    if "appArmorProfile" in context:
        yield from validate_app_armor(context["appArmorProfile"], f"{path}.appArmorProfile")
    yield from _one_of(context, "supplementalGroupsPolicy", _GROUP_POLICIES, path)
    yield from _one_of(context, "seLinuxChangePolicy", _SELINUX_POLICIES, path)


def _one_of(context: Object, name: str, supported: tuple[str, ...], path: str) -> Iterator[Cause]:
    value = context.get(name)
    if value is not None and value not in supported:
        yield field.not_supported(f"{path}.{name}", value, supported)


def _id_field(context: Object, name: str, path: str) -> Iterator[Cause]:
    if name in context:
        yield from validate_id(context[name], f"{path}.{name}")


def validate_id(number: int, path: str) -> Iterator[Cause]:
    if not 0 <= number <= _MAX_ID:
        yield field.invalid(path, number, names.inclusive_range(0, _MAX_ID))


def _seccomp(profile: Object, path: str) -> Iterator[Cause]:
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        yield field.required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in _PROFILE_TYPES:
        yield field.not_supported(f"{path}.type", kind, _PROFILE_TYPES)
    at = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            yield field.required(at, "must be set when seccomp type is Localhost")
        else:
            yield from paths.descending(local, at)
    elif local is not None:
        yield field.invalid(at, profile, "can only be set when seccomp type is Localhost")


def validate_app_armor(profile: Object, path: str) -> Iterator[Cause]:
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            yield field.required(at, "must be set when AppArmor type is Localhost")
            return
        if local.strip() != local:
            yield field.invalid(at, local, "must not be padded with whitespace")
        elif not local:
            yield field.required(at, "must be set when AppArmor type is Localhost")
        if names.longer_than(local, _MAX_PATH):
            yield field.too_long(at, _MAX_PATH)
    elif kind in _PROFILE_TYPES:
        if local is not None:
            yield field.invalid(at, local, "can only be set when AppArmor type is Localhost")
    elif not kind:
        yield field.required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        yield field.not_supported(f"{path}.type", kind, _PROFILE_TYPES)


def _sysctls(sysctls: list[Object], spec: Object, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for number, sysctl in enumerate(sysctls):
        at = f"{path}[{number}].name"
        name = sysctl.get("name", "")
        if not name:
            yield field.required(at)
        elif len(name) > _SYSCTL_MAX or not _sysctl_name(name):
            yield field.invalid(
                at,
                name,
                f"must have at most {_SYSCTL_MAX} characters and match regex"
                rf" ^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$",
            )
        elif name in seen:
            yield field.duplicate(at, name)
        namespace = _sysctl_namespace(name)
        if spec.get("hostNetwork") and namespace == "net":
            yield field.invalid(at, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and namespace == "ipc":
            yield field.invalid(at, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _sysctl_namespace(name: str) -> str | None:
    """Return the namespace of the kernel that a sysctl belongs to, written with . or /."""
    first = next((character for character in name if character in "./"), "")
    if first == "/":
        name = name.translate(str.maketrans("/.", "./"))
    if name == "kernel.sem" or name.startswith(_IPC_PREFIXES):
        return "ipc"
    return "net" if name.startswith("net.") else None


def _windows_options(options: Object, path: str) -> Iterator[Cause]:
    credential = options.get("gmsaCredentialSpecName")
    if credential is not None:
        for message in names.dns1123_subdomain(credential):
            yield field.invalid(f"{path}.gmsaCredentialSpecName", credential, message)
    contents = options.get("gmsaCredentialSpec")
    if contents is not None:
        at = f"{path}.gmsaCredentialSpec"
        if not contents:
            yield field.invalid(at, contents, "gmsaCredentialSpec cannot be an empty string")
        elif names.longer_than(contents, _GMSA_MAX):
            yield field.invalid(at, "", "gmsaCredentialSpec size must be under 64 KiB")
    user = options.get("runAsUserName")
    if user is not None:
        for message in _windows_user(user):
            yield field.invalid(f"{path}.runAsUserName", user, message)


def _windows_user(name: str) -> Iterator[str]:
    if not name:
        yield "runAsUserName cannot be an empty string"
        return
    if _control(name):
        yield "runAsUserName cannot contain control characters"
        return
    parts = name.split("\\")
    if len(parts) > 2:
        yield "runAsUserName cannot contain more than one backslash"
        return
    user = parts[-1]
    if len(parts) == 2:
        domain = parts[0]
        if len(domain) >= 256:
            yield "runAsUserName's Domain length must be under 256"
        if not _netbios_name(domain) and not _dns_domain(domain):
            yield "runAsUserName's Domain doesn't match the NetBios nor the DNS format"
    if not user:
        yield "runAsUserName's User cannot be empty"
    elif len(user) > 104:
        yield "runAsUserName's User length must not be longer than 104"
    if _dots_and_spaces(user):
        yield "runAsUserName's User cannot contain only periods or spaces"
    if _bad_user_characters(user):
        yield "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def validate_host_process(spec: Object, path: str) -> Iterator[Cause]:
    """Check windowsOptions.hostProcess: all containers or none, and then with hostNetwork."""
    of_pod = _host_process(spec)
    total = with_it = 0
    for container, at in containers_of(spec, path):
        total += 1
        own = _host_process(container)
        if of_pod is not None and own is not None and own != of_pod:
            yield field.invalid(
                f"{at}.securityContext.windowsOptions.hostProcess",
                own,
                f"pod hostProcess value must be identical if both are specified, was {of_pod}",
            )
        with_it += bool(of_pod if own is None else own)
    if with_it == 0:
        return
    if with_it != total:
        yield field.invalid(
            path,
            "",
            "If pod contains any hostProcess containers then all containers must be HostProcess"
            " containers",
        )
    if not spec.get("hostNetwork"):
        yield field.invalid(
            f"{path}.hostNetwork",
            False,
            "hostNetwork must be true if pod contains any hostProcess containers",
        )


def _host_process(holder: Object) -> bool | None:
    options = holder.get("securityContext", {}).get("windowsOptions", {})
    value: bool | None = options.get("hostProcess")
    return value


def validate_host_users(spec: Object, path: str) -> Iterator[Cause]:
    """Check what a pod with its own user namespace may not share with the host."""
    if spec.get("hostUsers") is not False:
        return
    for name, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"),
                        ("hostIPC", "HostIPC")):  # fmt: skip
        if spec.get(name):
            yield field.forbidden(f"{path}.{shown}", "when `hostUsers` is false")
    for container, at in containers_of(spec, path):
        if "volumeDevices" in container:
            yield field.forbidden(f"{at}.volumeDevices", "when `hostUsers` is false")


_LINUX_ONLY_OF_POD = (
    ("securityContext", "appArmorProfile"),
    ("securityContext", "seLinuxOptions"),
    ("", "hostUsers"),
    ("", "hostPID"),
    ("", "hostIPC"),
    ("securityContext", "seccompProfile"),
    ("securityContext", "fsGroup"),
    ("securityContext", "fsGroupChangePolicy"),
    ("securityContext", "sysctls"),
    ("", "shareProcessNamespace"),
    ("securityContext", "runAsUser"),
    ("securityContext", "runAsGroup"),
    ("securityContext", "supplementalGroups"),
    ("securityContext", "supplementalGroupsPolicy"),
    ("securityContext", "seLinuxChangePolicy"),
)
_LINUX_ONLY_OF_CONTAINER = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)
_WINDOWS = "cannot be set for a windows pod"
_LINUX = "windows options cannot be set for a linux pod"


def validate_os(spec: Object, path: str) -> Iterator[Cause]:
    """Check spec.os and that only options of that system are set."""
    name = spec["os"].get("name", "")
    if not name:
        yield field.required(f"{path}.os.name", "cannot be empty")
    elif name == "linux":
        if "windowsOptions" in spec.get("securityContext", {}):
            yield field.forbidden(f"{path}.securityContext.windowsOptions", _LINUX)
        for container, at in containers_of(spec, path):
            if "windowsOptions" in container.get("securityContext", {}):
                yield field.forbidden(f"{at}.securityContext.windowsOptions", _LINUX)
    elif name == "windows":
        for parent, option in _LINUX_ONLY_OF_POD:
            holder = spec.get(parent, {}) if parent else spec
            if option in holder:
                yield field.forbidden(field.child(path, *filter(None, (parent, option))), _WINDOWS)
        for container, at in containers_of(spec, path):
            for option in _LINUX_ONLY_OF_CONTAINER:
                if option in container.get("securityContext", {}):
                    yield field.forbidden(f"{at}.securityContext.{option}", _WINDOWS)
    else:
        yield field.not_supported(f"{path}.os", name, ("linux", "windows"))
