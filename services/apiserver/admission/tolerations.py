"""DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or unreachable.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/defaulttolerationseconds/admission.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.registry.strategy import WriteContext

DEFAULT_SECONDS = 300


class DefaultTolerationSeconds:
    """See the module."""

    name = "DefaultTolerationSeconds"

    def __init__(
        self,
        *,
        not_ready_s: int = DEFAULT_SECONDS,
        unreachable_s: int = DEFAULT_SECONDS,
    ) -> None:
        self._seconds = {
            "node.kubernetes.io/not-ready": not_ready_s,
            "node.kubernetes.io/unreachable": unreachable_s,
        }

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation in ("CREATE", "UPDATE") and attributes.is_for("", "pods")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        tolerated = {
            toleration.get("key", "")
            for toleration in spec.get("tolerations", ())
            if toleration.get("effect", "") in ("", "NoExecute")
        }
        if "" in tolerated:
            return
        added = [
            {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }
            for key, seconds in self._seconds.items()
            if key not in tolerated
        ]
        if added:
            spec["tolerations"] = [*spec.get("tolerations", ()), *added]
