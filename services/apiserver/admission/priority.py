"""Priority: a pod's priority comes from its PriorityClass, and there is one default class.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/priority/admission.go,
pkg/registry/scheduling/priorityclass/storage/storage.go (system classes).
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.errors import Forbidden
from services.apiserver.registry.strategy import Object, WriteContext

GROUP = "scheduling.k8s.io"
CLASSES = "priorityclasses"
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
PREEMPT = "PreemptLowerPriority"


class Priority:
    """See the module."""

    name = "Priority"

    def handles(self, attributes: Attributes) -> bool:
        if attributes.operation == "DELETE":
            return attributes.is_for(GROUP, CLASSES)
        return attributes.operation != "CONNECT" and (
            attributes.is_for("", "pods") or attributes.is_for(GROUP, CLASSES)
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        if attributes.obj is None or attributes.resource.name != "pods":
            return
        spec = attributes.obj["spec"]
        if attributes.operation == "UPDATE":
            assert attributes.old is not None
            before = attributes.old["spec"]
            for field in ("priority", "preemptionPolicy"):
                if field not in spec and field in before:
                    spec[field] = before[field]
            return
        class_name = spec.get("priorityClassName", "")
        if class_name:
            found = await _find(ctx, class_name)
            if found is None:
                raise refused(attributes, f"no PriorityClass with name {class_name} was found")
        else:
            found = _default(ctx)
            if found is not None:
                spec["priorityClassName"] = found["metadata"]["name"]
        priority = 0 if found is None else found.get("value", 0)
        policy = PREEMPT if found is None else found.get("preemptionPolicy")
        if spec.get("priority", priority) != priority:
            raise refused(
                attributes,
                f"the integer value of priority ({spec['priority']}) must not be provided in pod"
                f" spec; priority admission controller computed {priority} from the given"
                " PriorityClass name",
            )
        spec["priority"] = priority
        if policy is None:
            return
        if spec.get("preemptionPolicy", policy) != policy:
            raise refused(
                attributes,
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be"
                f" provided in pod spec; priority admission controller computed {policy} from the"
                " given PriorityClass name",
            )
        spec["preemptionPolicy"] = policy

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        if attributes.resource.name != CLASSES:
            return
        if attributes.operation == "DELETE":
            if attributes.name in SYSTEM_CLASSES:
                raise Forbidden(
                    f'{CLASSES}.{GROUP} "{attributes.name}" is forbidden: this is a system priority'
                    " class and cannot be deleted",
                    details={"name": attributes.name, "group": GROUP, "kind": CLASSES},
                )
            return
        assert attributes.obj is not None
        if not attributes.obj.get("globalDefault"):
            return
        present = _default(ctx)
        if present is None:
            return
        name = present["metadata"]["name"]
        if attributes.operation == "CREATE" or name != attributes.name:
            raise refused(
                attributes,
                f"PriorityClass {name} is already marked as default. Only one default can exist",
            )


async def _find(ctx: WriteContext, name: str) -> Object | None:
    found = ctx.lookup.get(GROUP, CLASSES, "", name)
    if found is None:
        # It may have been made a moment ago, by way of another replica.
        found = await ctx.lookup.get_live(GROUP, CLASSES, "", name)
    return found


def _default(ctx: WriteContext) -> Object | None:
    """Return the default class; of several, that with the lowest value."""
    defaults = [one for one in ctx.lookup.list(GROUP, CLASSES) if one.get("globalDefault")]
    return min(defaults, key=lambda one: int(one.get("value", 0)), default=None)
