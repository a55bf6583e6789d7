"""pods/log, exec, attach, portforward, proxy: what can be said of them without a kubelet.

Source: kube-apiserver v1.36.2, pkg/registry/core/pod/strategy.go (LogLocation, streamLocation,
ResourceLocation), apimachinery/pkg/util/{net/port_split.go,proxy/dial.go},
pkg/registry/core/pod/rest/log.go, pkg/apis/core/validation/validation.go
(ValidatePodLogOptions).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.apiserver.errors import BadRequest, Cause, Invalid, NotFound
from services.apiserver.validation import field
from services.apiserver.values.time import TimeError, parse_time

Object = dict[str, Any]
Query = Mapping[str, Sequence[str]]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_INT64_MAX = 2**63 - 1
_NUMBERS = ("sinceSeconds", "tailLines", "limitBytes")


def parse_log_options(query: Query, name: str) -> Object:
    """Return the PodLogOptions of a log request for the pod `name`.

    Raises:
        BadRequest: a value is no number or no time.
        Invalid: an option breaks a rule.
    """
    options: Object = {}
    for option in ("container", "stream"):
        if query.get(option):
            options[option] = query[option][0]
    for option in _NUMBERS:
        if query.get(option):
            options[option] = _integer(query[option][0])
    text = (query.get("sinceTime") or ("",))[0]
    if text not in ("", "null"):
        try:
            parse_time(text)
        except TimeError as error:
            raise BadRequest(str(error)) from error
        options["sinceTime"] = text
    causes = list(_validate(options))
    if causes:
        texts = [cause.message for cause in causes]
        shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        raise Invalid(
            f'PodLogOptions "{name}" is invalid: {shown}',
            details={"name": name, "kind": "PodLogOptions"},
            causes=causes,
        )
    return options


def choose_container(pod: Object, wanted: str) -> str:
    """Return the container that a request is about; `wanted` may be "" if there is only one.

    Raises:
        BadRequest: there is none of that name, or several to choose from.
    """
    name, spec = pod["metadata"]["name"], pod["spec"]
    regular = [one["name"] for one in spec.get("containers") or ()]
    first = [one["name"] for one in spec.get("initContainers") or ()]
    if wanted:
        added = [one["name"] for one in spec.get("ephemeralContainers") or ()]
        if wanted not in (*regular, *first, *added):
            raise BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(regular) == 1:
        return str(regular[0])
    message = f"a container name must be specified for pod {name}"
    if regular:
        message += f", choose one of: [{' '.join(regular)}]"
        if first:
            message += f" or one of the init containers: [{' '.join(first)}]"
    raise BadRequest(message)


def node_of(pod: Object) -> str:
    """Return the pod's node, for exec, attach and portforward.

    Raises:
        BadRequest: it has none.
    """
    node = pod["spec"].get("nodeName", "")
    if not node:
        raise BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")
    return str(node)


def proxied_name(text: str) -> str:
    """Return the pod's name in NAME, NAME:PORT or SCHEME:NAME:PORT.

    Raises:
        BadRequest: it is none of these.
    """
    parts = text.split(":")
    name = parts[0] if len(parts) < 3 else parts[1]
    if len(parts) > 3 or not name or (len(parts) == 3 and parts[0] not in ("", "http", "https")):
        raise BadRequest(f'invalid pod request "{text}"')
    return name


def check_proxied_address(pod: Object) -> None:
    """Refuse what a proxy must not reach: a pod without an address, or with one of this machine.

    Raises:
        BadRequest: the pod has no address that is reached from elsewhere.
    """
    addresses = pod.get("status", {}).get("podIPs") or ()
    try:
        address = ipaddress.ip_address(addresses[0]["ip"] if addresses else "")
    except ValueError:
        raise BadRequest("address not allowed") from None
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or str(address) == "255.255.255.255"
    ):
        raise BadRequest("address not allowed")


def unknown_node(node: str) -> NotFound:
    """Return the answer where a pod's node does not exist; it names the node as a pod."""
    return NotFound(f'pods "{node}" not found', details={"name": node, "kind": "pods"})


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f'strconv.ParseInt: parsing "{text[:64]}": invalid syntax')
    number = int(text)
    if not -_INT64_MAX - 1 <= number <= _INT64_MAX:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def _validate(options: Object) -> Iterator[Cause]:
    if options.get("tailLines", 0) < 0:
        yield field.invalid("tailLines", options["tailLines"], "must be greater than or equal to 0")
    if options.get("limitBytes", 1) < 1:
        yield field.invalid("limitBytes", options["limitBytes"], "must be greater than 0")
    if "sinceSeconds" in options:
        if "sinceTime" in options:
            yield field.forbidden(
                "[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"
            )
        elif options["sinceSeconds"] < 1:
            yield field.invalid("sinceSeconds", options["sinceSeconds"], "must be greater than 0")
    if "stream" in options:
        yield field.forbidden("stream", "may not be specified")
