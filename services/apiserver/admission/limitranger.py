"""LimitRanger: default requests and limits of containers, and their bounds.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.kinds.podspec.resources import total_of_containers
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.values.quantity import parse

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, str]
NOTHING: Amounts = {}


class LimitRanger:
    """Defaults are filled in while objects are changed, bounds are checked at the end."""

    name = "LimitRanger"

    def handles(self, attributes: Attributes) -> bool:
        if attributes.is_for("", "pods"):
            return attributes.operation == "CREATE"
        if attributes.is_for("", "persistentvolumeclaims"):
            return attributes.operation in ("CREATE", "UPDATE")
        return attributes.operation == "UPDATE" and attributes.is_for("", "pods", "resize")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        if attributes.resource.name != "pods" or attributes.operation != "CREATE":
            return
        assert attributes.obj is not None
        for limit_range in ctx.lookup.list("", "limitranges", attributes.namespace):
            _fill_in(attributes.obj, limit_range)

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        if "deletionTimestamp" in attributes.obj["metadata"]:
            return
        check = _pod_faults if attributes.resource.name == "pods" else _claim_faults
        for limit_range in ctx.lookup.list("", "limitranges", attributes.namespace):
            faults = list(
                dict.fromkeys(
                    fault
                    for limit in limit_range["spec"].get("limits") or ()
                    for fault in check(attributes.obj, limit)
                )
            )
            if faults:
                shown = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
                raise refused(attributes, shown)


def _fill_in(pod: Object, limit_range: Object) -> None:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for limit in limit_range["spec"].get("limits") or ():
        if limit.get("type") == "Container":
            limits.update(limit.get("default", {}))
            requests.update(limit.get("defaultRequest", {}))
    if not limits and not requests:
        return
    notes: list[str] = []
    for field, word in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(field, ()):
            resources = container.setdefault("resources", {})
            for kind, defaults in (("requests", requests), ("limits", limits)):
                missing = sorted(defaults.keys() - resources.get(kind, NOTHING).keys())
                if missing:
                    filled = resources.setdefault(kind, {})
                    filled.update((name, defaults[name]) for name in missing)
                    notes.append(f"{', '.join(missing)} {kind[:-1]} for {word} {container['name']}")
    if notes:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(notes)}"


def _pod_faults(pod: Object, limit: Object) -> Iterator[str]:
    kind = limit.get("type")
    spec = pod["spec"]
    if kind == "Container":
        for field in ("containers", "initContainers"):
            for container in spec.get(field, ()):
                resources = container.get("resources", {})
                yield from _faults(
                    limit,
                    resources.get("requests", NOTHING),
                    resources.get("limits", NOTHING),
                )
    elif kind == "Pod":
        own = spec.get("resources", {})
        yield from _faults(
            limit,
            {**total_of_containers(spec, "requests"), **own.get("requests", NOTHING)},
            {**total_of_containers(spec, "limits"), **own.get("limits", NOTHING)},
        )


def _faults(limit: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = limit["type"]
    for name, bound in limit.get("min", NOTHING).items():
        yield from _below(kind, name, bound, requests, limits)
    for name, bound in limit.get("max", NOTHING).items():
        text = f"maximum {name} usage per {kind} is {bound}"
        if name not in limits:
            yield f"{text}.  No limit is specified"
            continue
        if parse(limits[name]) > parse(bound):
            yield f"{text}, but limit is {limits[name]}"
        elif name in requests and parse(requests[name]) > parse(bound):
            yield f"{text}, but request is {requests[name]}"
    for name, bound in limit.get("maxLimitRequestRatio", NOTHING).items():
        text = f"{name} max limit to request ratio per {kind} is {bound}"
        request = parse(requests.get(name, "0"))
        most = parse(limits.get(name, "0"))
        if request.is_zero:
            yield f"{text}, but no request is specified or request is 0"
        elif most.is_zero:
            yield f"{text}, but no limit is specified or limit is 0"
        else:
            ratio = most.milli_value() / request.milli_value()
            if ratio * 1000 > parse(bound).milli_value():
                yield f"{text}, but provided ratio is {ratio:f}"


def _below(kind: str, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    text = f"minimum {name} usage per {kind} is {bound}"
    if name not in requests:
        yield f"{text}.  No request is specified"
    elif parse(requests[name]) < parse(bound):
        yield f"{text}, but request is {requests[name]}"
    elif name in limits and parse(limits[name]) < parse(bound):
        yield f"{text}, but limit is {limits[name]}"


def _claim_faults(claim: Object, limit: Object) -> Iterator[str]:
    kind = limit.get("type", "")
    if kind != "PersistentVolumeClaim":
        return
    requests = claim["spec"].get("resources", {}).get("requests", NOTHING)
    for name, bound in limit.get("min", NOTHING).items():
        yield from _below(kind, name, bound, requests, NOTHING)
    for name, bound in limit.get("max", NOTHING).items():
        text = f"maximum {name} usage per {kind} is {bound}"
        if name not in requests:
            yield f"{text}.  No request is specified"
        elif parse(requests[name]) > parse(bound):
            yield f"{text}, but request is {requests[name]}"
