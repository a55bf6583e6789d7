"""PodTopologyLabels: a pod on a node carries the node's zone and region.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/podtopologylabels/admission.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.registry.strategy import WriteContext

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels:
    """Works on new pods that name a node, and on bindings, whose labels become the pod's."""

    name = "PodTopologyLabels"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and (
            attributes.is_for("", "pods")
            or attributes.is_for("", "pods", "binding")
            or attributes.is_for("", "bindings")
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        if attributes.is_for("", "pods"):
            node_name = attributes.obj["spec"].get("nodeName", "")
        else:
            target = attributes.obj.get("target", {})
            node_name = target.get("name", "") if target.get("kind") in ("Node", "") else ""
        if not node_name:
            return
        node = ctx.lookup.get("", "nodes", "", node_name)
        if node is None:
            return
        labels = node["metadata"].get("labels", {})
        copied = {name: labels[name] for name in LABELS if name in labels}
        if copied:
            attributes.obj["metadata"].setdefault("labels", {}).update(copied)
