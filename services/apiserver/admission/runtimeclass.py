"""RuntimeClass: overhead, node selector and tolerations of a pod's runtime class.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/runtimeclass/admission.go,
pkg/util/tolerations/tolerations.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.registry.strategy import Object, WriteContext


class RuntimeClass:
    """See the module."""

    name = "RuntimeClass"

    def handles(self, attributes: Attributes) -> bool:
        return (
            attributes.operation == "CREATE"
            and attributes.is_for("", "pods")
            and attributes.obj is not None
            and not attributes.obj["spec"].keys().isdisjoint(("runtimeClassName", "overhead"))
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        runtime_class = await self._find(ctx, attributes, spec)
        if runtime_class is None:
            return
        overhead = runtime_class.get("overhead", {}).get("podFixed")
        if overhead is not None:
            self._check_overhead(attributes, spec, overhead)
            spec["overhead"] = dict(overhead)
        scheduling = runtime_class.get("scheduling", {})
        if "nodeSelector" in scheduling:
            self._merge_selector(attributes, spec, scheduling["nodeSelector"])
        if scheduling.get("tolerations"):
            spec["tolerations"] = merge_tolerations(
                [*spec.get("tolerations", ()), *scheduling["tolerations"]]
            )

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        runtime_class = await self._find(ctx, attributes, spec)
        overhead = (runtime_class or {}).get("overhead", {}).get("podFixed")
        if overhead is not None:
            self._check_overhead(attributes, spec, overhead)
        elif spec.get("overhead"):
            raise refused(
                attributes,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined"
                " Overhead",
            )

    async def _find(self, ctx: WriteContext, attributes: Attributes, spec: Object) -> Object | None:
        name = spec.get("runtimeClassName")
        if name is None:
            return None
        found = ctx.lookup.get("node.k8s.io", "runtimeclasses", "", name)
        if found is None:
            found = await ctx.lookup.get_live("node.k8s.io", "runtimeclasses", "", name)
        if found is None:
            raise refused(attributes, f'pod rejected: RuntimeClass "{name}" not found')
        return found

    def _check_overhead(
        self, attributes: Attributes, spec: Object, overhead: dict[str, str]
    ) -> None:
        if "overhead" in spec and spec["overhead"] != overhead:
            raise refused(
                attributes,
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            )

    def _merge_selector(
        self, attributes: Attributes, spec: Object, selector: dict[str, str]
    ) -> None:
        own = spec.get("nodeSelector", {})
        for key, value in selector.items():
            if own.get(key, value) != value:
                raise refused(
                    attributes,
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value};"
                    f" pod.spec.nodeSelector[{key}] = {own[key]}",
                )
        spec["nodeSelector"] = {**own, **selector}


def merge_tolerations(tolerations: list[Object]) -> list[Object]:
    """Drop tolerations that another one includes; of equal ones the first stays."""
    merged: list[Object] = []
    for number, one in enumerate(tolerations):
        later = tolerations[number + 1 :]
        if any(_includes(other, one) for other in merged) or any(
            other != one and _includes(other, one) for other in later
        ):
            continue
        merged.append(one)
    return merged


def _includes(larger: Object, smaller: Object) -> bool:
    """Whether everything that `smaller` tolerates, `larger` tolerates too."""
    if larger == smaller:
        return True
    key, operator = larger.get("key", ""), larger.get("operator") or "Equal"
    if smaller.get("key", "") != key and (key or operator != "Exists"):
        return False
    effect = larger.get("effect", "")
    if effect and smaller.get("effect", "") != effect:
        return False
    if effect == "NoExecute" and "tolerationSeconds" in larger:
        seconds = smaller.get("tolerationSeconds")
        if seconds is None or seconds > larger["tolerationSeconds"]:
            return False
    if operator == "Exists":
        return True
    return (smaller.get("operator") or "Equal") == "Equal" and smaller.get("value", "") == (
        larger.get("value", "")
    )
