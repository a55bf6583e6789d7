"""Cells that several kinds share.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go and the String
methods it calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.apiserver.printers.duration import since
from services.apiserver.printers.printer import Object
from shared.selectors import SelectorError, label_selector_from_object


def part(obj: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Return the object at `path`, {} where a step is absent or null."""
    here: Any = obj
    for step in path:
        here = here.get(step) or {}
    found: dict[str, Any] = here
    return found


def items(obj: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list in a field, [] where it is absent or null."""
    found: list[Any] = obj.get(name) or []
    return found


def name(obj: Object) -> str:
    found: str = part(obj, "metadata").get("name", "")
    return found


def age(obj: Object, now: float) -> str:
    return since(part(obj, "metadata").get("creationTimestamp"), now)


def terminating(obj: Object) -> bool:
    return bool(part(obj, "metadata").get("deletionTimestamp"))


def containers_and_images(pod_spec: Mapping[str, Any]) -> list[str]:
    """Return the two cells Containers and Images."""
    containers = items(pod_spec, "containers")
    return [
        ",".join(one.get("name", "") for one in containers),
        ",".join(one.get("image", "") for one in containers),
    ]


def label_set(labels: Mapping[str, str] | None) -> str:
    """Return `a=b,c=d`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def label_selector(selector: Mapping[str, Any] | None) -> str:
    """Return a LabelSelector in its string form."""
    try:
        return str(label_selector_from_object(selector)) or "<none>"
    except SelectorError:
        return "<error>"


def first_three(texts: Sequence[str], empty: str) -> str:
    """Return `a,b,c + 2 more...`."""
    if len(texts) > 3:
        return f"{','.join(texts[:3])} + {len(texts) - 3} more..."
    return ",".join(texts) or empty


def load_balancer_addresses(status: Mapping[str, Any]) -> str:
    """Return the addresses of a status's load balancer, sorted, each once."""
    ingress = items(part(status, "loadBalancer"), "ingress")
    return ",".join(sorted({one.get("ip") or one.get("hostname") or "" for one in ingress} - {""}))


def truth(value: bool | None) -> str:
    return "<unset>" if value is None else str(value)


def condition_status(conditions: Sequence[Mapping[str, Any]], kind: str) -> str | None:
    """Return the status of the first condition of a type, None if there is none."""
    for condition in conditions:
        if condition.get("type") == kind:
            status: str = condition.get("status", "")
            return status
    return None
