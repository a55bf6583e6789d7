"""On which day a token out of a Secret was used last: a label on the Secret says it, so that
those that nobody uses can be found and removed.

Source: kube-apiserver v1.36.2, pkg/serviceaccount/legacy.go (patchSecretWithLastUsedDate).
"""

from __future__ import annotations

import logging
import time

from services.apiserver.authorization import MASTERS
from services.apiserver.errors import ApiError
from services.apiserver.registry.lookup import CacheLookup
from services.apiserver.registry.served import Registry
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.values.time import now as time_now
from shared.storage import StorageError

log = logging.getLogger("kubefan.apiserver.serviceaccounts")

LAST_USED = "kubernetes.io/legacy-token-last-used"
DAY_S = 24 * 3600
USER = UserInfo("system:apiserver", groups=(MASTERS,))


class LegacyUse:
    """Writes the label, once a day a Secret."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lookup = CacheLookup(registry)

    async def note(self, secret: Object, now: float) -> None:
        """Note that a Secret's token is in use. A token is no worse where that can't be written."""
        if _is_noted(secret, now):
            return
        meta = secret["metadata"]
        store = self._registry.stored("", "secrets")
        assert store is not None
        try:
            # The cache may not show yet what was noted a moment ago.
            current = await store.live(store.key(meta["namespace"], meta["name"]))
            if current is None or _is_noted(store.decode(current.body), now):
                return
            info = RequestInfo(True, "", "patch", namespace=meta["namespace"], resource="secrets")
            ctx = WriteContext(info, USER, time_now(), self._lookup)
            await store.modify(ctx, meta["name"], lambda present: _noted(present, now))
        except (ApiError, StorageError) as error:
            log.warning(
                "can't note the use of a token",
                extra={"secret": f"{meta['namespace']}/{meta['name']}", "why": str(error)},
            )


def end_of_day(now: float) -> float:
    """Return the moment at which another day begins, in UTC."""
    return (now // DAY_S + 1) * DAY_S


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _is_noted(secret: Object, now: float) -> bool:
    # Another server's clock may have reached tomorrow.
    noted = secret["metadata"].get("labels", {}).get(LAST_USED)
    return noted in (_day(now), _day(now + DAY_S))


def _noted(secret: Object, now: float) -> Object:
    labels = secret["metadata"].get("labels", {})
    secret["metadata"]["labels"] = {**labels, LAST_USED: _day(now)}
    return secret
