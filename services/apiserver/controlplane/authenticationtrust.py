"""Keeps the ConfigMap by which aggregated API servers learn whom this one trusts.

What others wrote into it stays beside what this server knows: replicas with different files
add to it. Every replica does this; who comes first writes.
Source: kube-apiserver v1.36.2, pkg/controlplane/controller/clusterauthenticationtrust.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Iterable, Mapping

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.apiserver.authentication.authorities import Authorities
from services.apiserver.errors import AlreadyExists, ApiError, NotFound
from services.apiserver.options.authentication import AuthenticationOptions
from services.apiserver.registry.served import Registry
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now
from shared.storage import StorageError

log = logging.getLogger("kubefan.apiserver.authentication")

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"
USER = UserInfo("system:apiserver", groups=("system:masters",))
CLIENT_CA, PROXY_CA = "client-ca-file", "requestheader-client-ca-file"
LISTS = {
    "requestheader-username-headers": "requestheader_username_headers",
    "requestheader-uid-headers": "requestheader_uid_headers",
    "requestheader-group-headers": "requestheader_group_headers",
    "requestheader-extra-headers-prefix": "requestheader_extra_headers_prefix",
    "requestheader-allowed-names": "requestheader_allowed_names",
}
"""Fields of AuthenticationOptions by the key that shows them."""

LOOK_AGAIN_S = 60.0
"""Certificates expire without an event."""
RETRY_S = 1.0
EXPIRED_FOR = datetime.timedelta(minutes=5)
"""How long an expired certificate stays: clocks differ."""


class ClusterAuthenticationTrust:
    """Follows the ConfigMap in the watch cache."""

    def __init__(
        self,
        registry: Registry,
        lookup: Lookup,
        options: AuthenticationOptions,
        *,
        clients: Authorities | None,
        proxies: Authorities | None,
    ) -> None:
        store = registry.stored("", "configmaps")
        assert store is not None
        self._store = store
        self._lookup = lookup
        self._lists = {key: getattr(options, name) for key, name in LISTS.items()}
        self._clients = clients
        self._proxies = proxies
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Write what authorities there are now; they have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled."""
        if self._clients is None and self._proxies is None:
            return
        store, changed = self._store, self._changed
        key = store.key(NAMESPACE, NAME)
        while True:
            with store.cache.watch(after=None, scope=key, on_ready=changed.set) as watcher:
                while watcher.ended is None:
                    while watcher.pending:
                        watcher.drain()
                    changed.clear()
                    try:
                        await self._sync(key)
                    except (StorageError, ApiError) as error:
                        log.warning("whom to trust is not told", extra={"why": str(error)})
                        await asyncio.sleep(RETRY_S)
                        continue
                    try:
                        async with asyncio.timeout(LOOK_AGAIN_S):
                            await changed.wait()
                    except TimeoutError:
                        pass

    async def _sync(self, key: bytes) -> None:
        cached = self._store.cache.get(key)
        present = None if cached is None else self._store.decode(cached.body)
        if present is None:
            await self._create()
        elif self._with_data(present) != present:
            try:
                await self._store.modify(self._context("update"), NAME, self._with_data)
            except NotFound:
                return  # its deletion is on its way here

    async def _create(self) -> None:
        store, ctx = self._store, self._context("create")
        obj = self._with_data(
            {
                "kind": "ConfigMap",
                "apiVersion": "v1",
                "metadata": {"name": NAME, "namespace": NAMESPACE},
            }
        )
        store.strategy.default(obj)
        store.fill_system_fields(ctx, obj)
        try:
            await store.create(ctx, obj)
        except AlreadyExists:
            return  # another replica was faster

    def _context(self, verb: str) -> WriteContext:
        info = RequestInfo(True, "", verb, "", "", "v1", NAMESPACE, "configmaps", name=NAME)
        return WriteContext(info, USER, now(), self._lookup)

    def _with_data(self, obj: Object) -> Object:
        """Return the ConfigMap as it should be."""
        present: Mapping[str, str] = obj.get("data") or {}
        data = {}
        clients = certificates([present.get(CLIENT_CA, ""), _pem(self._clients)])
        if clients:
            data[CLIENT_CA] = clients
        proxies = certificates([present.get(PROXY_CA, ""), _pem(self._proxies)])
        if proxies:
            data[PROXY_CA] = proxies
            for key, ours in self._lists.items():
                data[key] = joined(present.get(key, ""), ours)
        return {**obj, "data": data}


def certificates(bundles: Iterable[str]) -> str:
    """Return the certificates of several PEM texts, each once, without those long expired."""
    since = datetime.datetime.now(datetime.UTC) - EXPIRED_FOR
    found: dict[bytes, None] = {}
    for bundle in bundles:
        try:
            every = x509.load_pem_x509_certificates(bundle.encode()) if bundle else []
        except ValueError as error:
            # Somebody wrote into the ConfigMap what is none: it is written over.
            log.warning("not a certificate", extra={"why": str(error)})
            continue
        for one in every:
            if one.not_valid_after_utc > since:
                found[one.public_bytes(Encoding.PEM)] = None
    return b"".join(found).decode()


def _pem(authorities: Authorities | None) -> str:
    return "" if authorities is None else authorities.pem


def joined(present: str, ours: Iterable[str]) -> str:
    """Return a JSON list of the present items and ours, each once."""
    try:
        before = orjson.loads(present) if present else []
    except orjson.JSONDecodeError:
        before = []
    items = [one for one in before if isinstance(one, str)] if isinstance(before, list) else []
    return orjson.dumps(list(dict.fromkeys([*items, *ours]))).decode()
