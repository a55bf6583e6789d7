"""DefaultIngressClass: an Ingress that names no class gets the default one.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/network/defaultingressclass/admission.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.defaultclass import newest_default
from services.apiserver.registry.strategy import WriteContext

GROUP = "networking.k8s.io"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"


class DefaultIngressClass:
    """See the module."""

    name = "DefaultIngressClass"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and attributes.is_for(GROUP, "ingresses")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        annotations = attributes.obj["metadata"].get("annotations", ())
        if "ingressClassName" in spec or CLASS_ANNOTATION in annotations:
            return
        chosen = newest_default(ctx.lookup.list(GROUP, "ingressclasses"), (DEFAULT_ANNOTATION,))
        if chosen is not None:
            spec["ingressClassName"] = chosen
