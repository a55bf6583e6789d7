"""Small plugins for pods that are off by default: AlwaysPullImages, ExtendedResourceToleration,
LimitPodHardAntiAffinityTopology.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/{alwayspullimages,
extendedresourcetoleration,antiaffinity}.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.kinds.podspec.resources import is_extended
from services.apiserver.registry.strategy import WriteContext

CONTAINER_FIELDS = ("initContainers", "containers", "ephemeralContainers")
HOSTNAME = "kubernetes.io/hostname"


class AlwaysPullImages:
    """No pod uses an image that its node holds for somebody else."""

    name = "AlwaysPullImages"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation in ("CREATE", "UPDATE") and (
            attributes.is_for("", "pods") or attributes.is_for("", "pods", "ephemeralcontainers")
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        if attributes.operation == "UPDATE" and not attributes.subresource:
            return
        for field in CONTAINER_FIELDS:
            for container in attributes.obj["spec"].get(field, ()):
                container["imagePullPolicy"] = "Always"

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        for field in CONTAINER_FIELDS:
            for container in attributes.obj["spec"].get(field, ()):
                if container.get("imagePullPolicy") != "Always":
                    raise refused(
                        attributes,
                        f"spec.{field}[{container['name']}].imagePullPolicy: must be Always",
                    )


class ExtendedResourceToleration:
    """A pod that asks for an extended resource tolerates the taint of the nodes that have it."""

    name = "ExtendedResourceToleration"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation in ("CREATE", "UPDATE") and attributes.is_for("", "pods")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        spec = attributes.obj["spec"]
        wanted = {
            name
            for field in ("initContainers", "containers")
            for container in spec.get(field, ())
            for name in container.get("resources", {}).get("requests", ())
            if is_extended(name)
        }
        present = spec.get("tolerations", [])
        added = [
            toleration
            for name in sorted(wanted)
            if (toleration := {"key": name, "operator": "Exists"}) not in present
        ]
        if added:
            spec["tolerations"] = [*present, *added]


class LimitPodHardAntiAffinityTopology:
    """Required anti-affinity is about single nodes only."""

    name = "LimitPodHardAntiAffinityTopology"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation in ("CREATE", "UPDATE") and attributes.is_for("", "pods")

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        affinity = attributes.obj["spec"].get("affinity", {}).get("podAntiAffinity", {})
        for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ()):
            key = term.get("topologyKey", "")
            if key != HOSTNAME:
                raise refused(
                    attributes,
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey"
                    f" {key} but only key {HOSTNAME} is allowed",
                )
