"""ServiceAccount: every pod runs as a service account, and finds its token in a volume.

Source: kube-apiserver v1.36.2, plugin/pkg/admission/serviceaccount/admission.go.
"""

from __future__ import annotations

import asyncio
import random

from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.refusal import refused
from services.apiserver.admission.secretreferences import secret_names
from services.apiserver.registry.strategy import Object, WriteContext

DEFAULT_NAME = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_LIFETIME_S = 3607
"""An hour, and a few seconds that tell these tokens from others."""
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
TRUE = ("1", "t", "T", "true", "TRUE", "True")
ATTEMPTS_FOR_DEFAULT = 10
"""A new namespace's default account is made by a controller, some time after the namespace."""
ATTEMPT_INTERVALS_S = (0.1, 0.2)
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class ServiceAccount:
    """See the module."""

    name = "ServiceAccount"

    def handles(self, attributes: Attributes) -> bool:
        if attributes.operation == "CREATE":
            return attributes.is_for("", "pods")
        return attributes.operation == "UPDATE" and attributes.is_for(
            "", "pods", "ephemeralcontainers"
        )

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        pod = attributes.obj
        if attributes.operation == "UPDATE":
            return
        if _is_mirror(pod):
            # The kubelet would delete a mirror pod that differs from what it mirrors.
            check_mirror_pod(attributes, pod)
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
        check_references(attributes, pod, account)

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        assert attributes.obj is not None
        pod = attributes.obj
        if attributes.operation == "CREATE" and _is_mirror(pod):
            check_mirror_pod(attributes, pod)
            return
        name = pod["spec"].get("serviceAccountName", "")
        if not name:
            raise refused(
                attributes,
                f"no service account specified for pod {attributes.namespace}/{attributes.name}",
            )
        account = await self._find(ctx, attributes, name)
        if attributes.operation == "CREATE":
            check_references(attributes, pod, account)
        elif enforces(account):
            # The other containers run already.
            _check_containers(attributes, pod, account, "ephemeralContainers")

    async def _find(self, ctx: WriteContext, attributes: Attributes, name: str) -> Object:
        found = ctx.lookup.get("", "serviceaccounts", attributes.namespace, name)
        if found is not None:
            return found
        attempts = ATTEMPTS_FOR_DEFAULT if name == DEFAULT_NAME else 1
        interval_s = random.uniform(*ATTEMPT_INTERVALS_S)
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(interval_s)
            found = await ctx.lookup.get_live("", "serviceaccounts", attributes.namespace, name)
            if found is not None:
                return found
        raise refused(
            attributes,
            f"error looking up service account {attributes.namespace}/{name}: serviceaccount"
            f' "{name}" not found',
        )


def check_mirror_pod(attributes: Attributes, pod: Object) -> None:
    """A mirror pod shows what a node runs of itself: it gets nothing of the cluster's.

    Raises:
        Forbidden: it names an account or a Secret, or wants a token.
    """
    spec = pod["spec"]
    if spec.get("serviceAccountName"):
        raise refused(attributes, "a mirror pod may not reference service accounts")
    if any(secret_names(pod)):
        raise refused(attributes, "a mirror pod may not reference secrets")
    for volume in spec.get("volumes", ()):
        for source in volume.get("projected", {}).get("sources", ()):
            if "serviceAccountToken" in source:
                raise refused(
                    attributes, "a mirror pod may not use ServiceAccountToken volume projections"
                )


def enforces(account: Object) -> bool:
    """Whether an account's pods may name only the Secrets that the account names."""
    return account["metadata"].get("annotations", {}).get(ENFORCE_ANNOTATION) in TRUE


def check_references(attributes: Attributes, pod: Object, account: Object) -> None:
    """Compare the Secrets that a pod names with those of an account that enforces it.

    Volumes of other kinds than secret are not looked at, as in kube-apiserver.

    Raises:
        Forbidden: the account does not name one.
    """
    if not enforces(account):
        return
    account_name = account["metadata"]["name"]
    mountable = {one.get("name") for one in account.get("secrets", ())}
    for volume in pod["spec"].get("volumes", ()):
        name = volume["secret"].get("secretName", "") if "secret" in volume else None
        if name is not None and name not in mountable:
            raise refused(
                attributes,
                f'volume with secret.secretName="{name}" is not allowed because service account '
                f"{account_name} does not reference that secret",
            )
    for field in ("initContainers", "containers"):
        _check_containers(attributes, pod, account, field)
    pullable = {one.get("name") for one in account.get("imagePullSecrets", ())}
    for number, one in enumerate(pod["spec"].get("imagePullSecrets", ())):
        if one.get("name") not in pullable:
            raise refused(
                attributes,
                f'imagePullSecrets[{number}].name="{one.get("name", "")}" is not allowed because '
                f"service account {account_name} does not reference that imagePullSecret",
            )


def _check_containers(attributes: Attributes, pod: Object, account: Object, field: str) -> None:
    kind = {"initContainers": "init container", "ephemeralContainers": "ephemeral container"}
    mountable = {one.get("name") for one in account.get("secrets", ())}
    for container in pod["spec"].get(field, ()):
        named = [
            (f"envVar {one['name']}", one["valueFrom"]["secretKeyRef"].get("name", ""))
            for one in container.get("env", ())
            if "secretKeyRef" in one.get("valueFrom", ())
        ]
        named += [
            ("envFrom", one["secretRef"].get("name", ""))
            for one in container.get("envFrom", ())
            if "secretRef" in one
        ]
        for where, name in named:
            if name not in mountable:
                raise refused(
                    attributes,
                    f"{kind.get(field, 'container')} {container['name']} with {where} referencing "
                    f'secret.secretName="{name}" is not allowed because service account '
                    f"{account['metadata']['name']} does not reference that secret",
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
