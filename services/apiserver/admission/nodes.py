"""TaintNodesByCondition: a new node takes no pods until it is known to be ready.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/nodetaint/admission.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.registry.strategy import WriteContext

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition:
    """See the module."""

    name = "TaintNodesByCondition"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and attributes.is_for("", "nodes")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj.setdefault("spec", {})
        taints = spec.setdefault("taints", [])
        if not any(
            taint.get("key") == NOT_READY["key"] and taint.get("effect") == NOT_READY["effect"]
            for taint in taints
        ):
            taints.append(dict(NOT_READY))
