"""The serviceaccount-token-controller: fills Secrets of type kubernetes.io/service-account-token
with a token that does not expire, and removes them with their account.

It makes no such Secret itself: whoever wants one creates it, as since Kubernetes v1.24.
Source: kubernetes v1.36.2, pkg/controller/serviceaccount/tokens_controller.go,
pkg/serviceaccount/legacy.go.
"""

from __future__ import annotations

import base64
import logging
from typing import Any

from services.controllers.client import Conflict, NotFound
from services.controllers.controller import ControllerContext, NotYet, run_workers
from services.controllers.resource import SECRETS, SERVICE_ACCOUNTS, Object, object_key
from services.controllers.workqueue import WorkQueue
from shared.signingkeys import SigningKey

log = logging.getLogger(__name__)

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
ISSUER = "kubernetes/serviceaccount"
CLAIM = "kubernetes.io/serviceaccount/"
WORKERS = 5


class ServiceAccountTokenController:
    """Without a key to sign with, it does nothing."""

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._key = context.token_key
        self._root_ca = context.root_ca
        self._queue = WorkQueue("serviceaccount-token")
        if self._key is None:
            return
        self._secrets = context.informer(SECRETS, field_selector=f"type={TYPE}")
        self._accounts = context.informer(SERVICE_ACCOUNTS)
        self._secrets.add_handler(self._secret_changed)
        self._accounts.add_handler(self._account_changed)

    async def run(self) -> None:
        if self._key is None:
            log.info("no key to sign tokens with: Secrets of service accounts are left as they are")
            return
        await self._secrets.wait_synced()
        await self._accounts.wait_synced()
        await run_workers(self._queue, self._reconcile, workers=WORKERS)

    def _secret_changed(self, *, old: Object | None, new: Object | None) -> None:
        either = new or old
        assert either is not None
        self._queue.add(object_key(either))

    def _account_changed(self, *, old: Object | None, new: Object | None) -> None:
        if new is not None and old is not None:
            return
        either = new or old
        assert either is not None
        for secret in self._secrets.cache.values():
            if _account_of(secret)[:2] == _name_of(either):
                self._queue.add(object_key(secret))

    async def _reconcile(self, key: str) -> None:
        secret = self._secrets.cache.get(key)
        if secret is None:
            await self._forget(*key.split("/"))
            return
        namespace, name, uid = _account_of(secret)
        account = await self._account(namespace, name, uid)
        try:
            if account is None:
                await self._delete(secret)
            else:
                await self._fill(secret, account)
        except NotFound:
            return
        except Conflict as error:
            raise NotYet(f"changed meanwhile: {error}") from error

    async def _account(self, namespace: str, name: str, uid: str) -> Object | None:
        """Return the account of a Secret; nothing is deleted by the word of the cache alone."""
        found = self._accounts.cache.get(f"{namespace}/{name}")
        if found is None or uid not in ("", found["metadata"]["uid"]):
            try:
                found = await self._client.get(
                    SERVICE_ACCOUNTS.path(namespace=namespace, name=name)
                )
            except NotFound:
                return None
        return found if uid in ("", found["metadata"]["uid"]) else None

    async def _delete(self, secret: Object) -> None:
        meta = secret["metadata"]
        await self._client.delete(
            SECRETS.path(namespace=meta["namespace"], name=meta["name"]),
            options={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": {"uid": meta["uid"]},
            },
        )
        log.info("deleted a token without account: %s", object_key(secret))

    async def _fill(self, secret: Object, account: Object) -> None:
        changed = filled(secret, account, self._root_ca, self._key)
        if changed is not None:
            meta = secret["metadata"]
            path = SECRETS.path(namespace=meta["namespace"], name=meta["name"])
            await self._client.update(path, changed)

    async def _forget(self, namespace: str, name: str) -> None:
        """Drop a Secret that is gone from the account that names it."""
        for account in tuple(self._accounts.cache.values()):
            named = account.get("secrets") or ()
            if account["metadata"]["namespace"] != namespace:
                continue
            left = [one for one in named if one.get("name") != name]
            if len(left) == len(named):
                continue
            meta = account["metadata"]
            path = SERVICE_ACCOUNTS.path(namespace=namespace, name=meta["name"])
            try:
                await self._client.update(path, {**account, "secrets": left})
            except NotFound:
                continue
            except Conflict as error:
                raise NotYet(f"changed meanwhile: {error}") from error


def filled(
    secret: Object, account: Object, root_ca: str, key: SigningKey | None
) -> dict[str, Any] | None:
    """Return a Secret with what it lacks of its token's data; None where it lacks nothing."""
    data = dict(secret.get("data") or {})
    meta, of = secret["metadata"], account["metadata"]
    before = dict(data)
    if root_ca:
        data["ca.crt"] = _encoded(root_ca)
    if not data.get("namespace"):
        data["namespace"] = _encoded(meta["namespace"])
    if not data.get("token") and key is not None:
        data["token"] = _encoded(key.sign(token_claims(secret, account)))
    if data == before:
        return None
    annotations = {
        **(meta.get("annotations") or {}),
        ACCOUNT_NAME: of["name"],
        ACCOUNT_UID: of["uid"],
    }
    return {**secret, "metadata": {**meta, "annotations": annotations}, "data": data}


def token_claims(secret: Object, account: Object) -> dict[str, str]:
    """Return what a token that lies in a Secret says; it does not expire."""
    of = account["metadata"]
    return {
        "iss": ISSUER,
        f"{CLAIM}namespace": of["namespace"],
        f"{CLAIM}secret.name": secret["metadata"]["name"],
        f"{CLAIM}service-account.name": of["name"],
        f"{CLAIM}service-account.uid": of["uid"],
        "sub": f"system:serviceaccount:{of['namespace']}:{of['name']}",
    }


def _account_of(secret: Object) -> tuple[str, str, str]:
    annotations = secret["metadata"].get("annotations") or {}
    return (
        secret["metadata"]["namespace"],
        annotations.get(ACCOUNT_NAME, ""),
        annotations.get(ACCOUNT_UID, ""),
    )


def _name_of(account: Object) -> tuple[str, str]:
    return account["metadata"]["namespace"], account["metadata"]["name"]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
