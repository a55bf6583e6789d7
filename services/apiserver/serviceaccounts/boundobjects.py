"""The objects that a token is good for: its account, and the pod, Secret or node it is bound to.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/claims.go (Validate), legacy.go,
pkg/controller/serviceaccount/tokengetter.go.
"""

from __future__ import annotations

import base64
import hmac
import math
from dataclasses import dataclass, field

from services.apiserver.errors import Unauthorized
from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Object
from services.apiserver.serviceaccounts.claims import LEEWAY_S, Claims, Reference
from services.apiserver.serviceaccounts.legacyuse import LegacyUse, end_of_day
from services.apiserver.values.time import parse_time
from shared.storage import Revision

INVALIDATED = "service account token has been invalidated"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"


@dataclass(slots=True)
class Proof:
    """The states in which a token's objects were found good; while they are, nothing needs to
    be looked at again."""

    seen: list[tuple[ResourceStore, bytes, Revision]] = field(default_factory=list)
    lasting: bool = True
    """No object is about to go: then time alone would end the proof."""
    until: float = math.inf
    """Seconds since the epoch."""

    def holds(self, now: float) -> bool:
        if now >= self.until:
            return False
        for store, key, revision in self.seen:
            present = store.cache.get(key)
            if present is None or present.revision != revision:
                return False
        return True


class BoundObjects:
    """Looks at them in the watch cache. What it does not have, or has in a state that speaks
    against the token, is looked at in storage: the token may be newer than the cache."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._legacy_use = LegacyUse(registry)

    async def check(self, claims: Claims, now: float) -> Proof:
        """Compare what the claims name with what is there.

        Raises:
            Unauthorized: something is gone, or is another of the same name.
        """
        proof = Proof()
        space, account = claims.namespace, claims.account
        found = await self._find(proof, "serviceaccounts", space, account)
        if found is None:
            raise Unauthorized(f'serviceaccounts "{account.name}" not found')
        if _uid(found) != account.uid:
            raise Unauthorized(
                f"service account UID ({_uid(found)}) does not match claim ({account.uid})"
            )
        if _is_gone(found, now):
            raise Unauthorized(f"service account {space}/{account.name} has been deleted")
        if claims.secret is not None:
            await self._bound(proof, "secret", space, claims.secret, now)
        if claims.pod is not None:
            # The pod's node is told, not checked: the pod does not outlive it for long.
            await self._bound(proof, "pod", space, claims.pod, now)
        elif claims.node is not None:
            await self._bound(proof, "node", "", claims.node, now)
        return proof

    async def check_legacy(self, claims: Claims, token: str, now: float) -> Proof:
        """The same for a token that lies in a Secret.

        Raises:
            Unauthorized: the Secret is gone or holds another token, or the account is gone.
        """
        proof = Proof()
        space, account = claims.namespace, claims.account
        assert claims.secret is not None
        secret = await self._find(proof, "secrets", space, claims.secret, token=token)
        if secret is None or "deletionTimestamp" in secret["metadata"]:
            raise Unauthorized("Token has been invalidated")
        if not _holds(secret, token):
            raise Unauthorized("Token does not match server's copy")
        found = await self._find(proof, "serviceaccounts", space, account)
        if found is None:
            raise Unauthorized(f'serviceaccounts "{account.name}" not found')
        if "deletionTimestamp" in found["metadata"]:
            raise Unauthorized(f"ServiceAccount {space}/{account.name} has been deleted")
        if _uid(found) != account.uid:
            raise Unauthorized(
                f"ServiceAccount UID ({_uid(found)}) does not match claim ({account.uid})"
            )
        proof.until = end_of_day(now)
        await self._legacy_use.note(secret, now)
        if secret["metadata"].get("labels", {}).get(INVALID_SINCE):
            raise Unauthorized(
                f"the token in secret {space}/{claims.secret.name} for service account "
                f"{space}/{account.name} has been marked invalid. Use tokens from the TokenRequest "
                "API or manually created secret-based tokens, or remove the "
                f"'{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            )
        return proof

    async def _bound(
        self, proof: Proof, kind: str, namespace: str, reference: Reference, now: float
    ) -> None:
        found = await self._find(proof, f"{kind}s", namespace, reference)
        if found is None or _is_gone(found, now):
            raise Unauthorized(INVALIDATED)
        if _uid(found) != reference.uid:
            shown = kind.capitalize() if kind == "secret" else kind
            raise Unauthorized(
                f"{shown} UID ({_uid(found)}) does not match service account {kind} ref claim "
                f"({reference.uid})"
            )

    async def _find(
        self,
        proof: Proof,
        resource: str,
        namespace: str,
        reference: Reference,
        *,
        token: str = "",
    ) -> Object | None:
        store = self._registry.stored("", resource)
        assert store is not None, resource
        key = store.key(namespace, reference.name)
        cached = store.cache.get(key)
        if cached is not None:
            obj = store.decode(cached.body)
            if _speaks_for(obj, reference, token):
                proof.seen.append((store, key, cached.revision))
                return obj
        live = await store.live(key)
        if live is None:
            return None
        obj = store.decode(live.body)
        proof.seen.append((store, key, live.revision))
        if "deletionTimestamp" in obj["metadata"]:
            proof.lasting = False
        return obj


def _speaks_for(obj: Object, reference: Reference, token: str) -> bool:
    """Whether a cached state is enough to let a token pass."""
    if "deletionTimestamp" in obj["metadata"]:
        return False
    if token:
        return _holds(obj, token)
    return _uid(obj) == reference.uid


def _holds(secret: Object, token: str) -> bool:
    stored = base64.b64decode(secret.get("data", {}).get("token", ""))
    return hmac.compare_digest(stored, token.encode())


def _is_gone(obj: Object, now: float) -> bool:
    deleted = obj["metadata"].get("deletionTimestamp")
    return deleted is not None and parse_time(deleted).timestamp() < now - LEEWAY_S


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))
