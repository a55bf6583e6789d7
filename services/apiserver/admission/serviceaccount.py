"""ServiceAccount: every pod runs as a service account, and finds its token in a volume.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/serviceaccount/admission.go.
"""

from __future__ import annotations

import asyncio
import random

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.registry.strategy import Object, WriteContext

DEFAULT_NAME = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_LIFETIME_S = 3607
"""An hour, and a few seconds that tell these tokens from others."""
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ATTEMPTS_FOR_DEFAULT = 10
"""A new namespace's default account is made by a controller, some time after the namespace."""
ATTEMPT_INTERVAL_S = 0.1
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SECRET_VOLUMES = ("secret", "configMap", "persistentVolumeClaim", "projected")


class ServiceAccount:
    """See the module."""

    name = "ServiceAccount"

    def handles(self, attributes: Attributes) -> bool:
        return attributes.operation == "CREATE" and attributes.is_for("", "pods")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        pod = attributes.obj
        if _is_mirror(pod):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or DEFAULT_NAME
        # The older field says the same; defaulting keeps the two equal.
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._find(ctx, attributes, name)
        automount = spec.get(
            "automountServiceAccountToken", account.get("automountServiceAccountToken", True)
        )
        if automount:
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(one) for one in account["imagePullSecrets"]]

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        pod = attributes.obj
        spec = pod["spec"]
        name = spec.get("serviceAccountName", "")
        if _is_mirror(pod):
            if name:
                raise refused(attributes, "a mirror pod may not reference service accounts")
            for volume in spec.get("volumes", ()):
                for kind in SECRET_VOLUMES:
                    if kind in volume:
                        raise refused(attributes, f"a mirror pod may not reference {kind} volumes")
            return
        if not name:
            raise refused(
                attributes,
                f"no service account specified for pod {attributes.namespace}/{attributes.name}",
            )
        await self._find(ctx, attributes, name)

    async def _find(self, ctx: WriteContext, attributes: Attributes, name: str) -> Object:
        found = ctx.lookup.get("", "serviceaccounts", attributes.namespace, name)
        if found is not None:
            return found
        attempts = ATTEMPTS_FOR_DEFAULT if name == DEFAULT_NAME else 1
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(ATTEMPT_INTERVAL_S)
            found = await ctx.lookup.get_live("", "serviceaccounts", attributes.namespace, name)
            if found is not None:
                return found
        raise refused(
            attributes,
            f"error looking up service account {attributes.namespace}/{name}: serviceaccount"
            f' "{name}" not found',
        )


def _is_mirror(pod: Object) -> bool:
    return MIRROR_ANNOTATION in pod["metadata"].get("annotations", ())


def _mount_token(spec: Object) -> None:
    volumes = spec.get("volumes", [])
    present = [one["name"] for one in volumes if one.get("name", "").startswith(VOLUME_PREFIX)]
    volume = (
        present[0] if present else VOLUME_PREFIX + "".join(random.choices(SUFFIX_ALPHABET, k=5))
    )
    mounted = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field, ()):
            mounts = container.get("volumeMounts", [])
            if any(one.get("mountPath") == MOUNT_PATH for one in mounts):
                continue
            container["volumeMounts"] = [
                *mounts,
                {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH},
            ]
            mounted = True
    if mounted and not present:
        spec["volumes"] = [*volumes, _token_volume(volume)]


def _token_volume(name: str) -> Object:
    namespace = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "expirationSeconds": TOKEN_LIFETIME_S,
                        "path": "token",
                    }
                },
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
            ],
            "defaultMode": 420,
        },
    }
