"""Webhook: a remote service decides, asked with a SubjectAccessReview.

Source: kube-apiserver v1.36.2, apiserver/plugin/pkg/authorizer/webhook/webhook.go and
apiserver/pkg/authorization/cel.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from services.apiserver.authorization.accessreview import (
    access_review,
    access_review_spec,
    condition_variable,
)
from services.apiserver.authorization.authorizer import NO_OPINION, Decision, UserRules
from services.apiserver.authorization.metrics import WebhookMetrics
from services.apiserver.cel import Budget, CelError, Program
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.webhooks.reviewclient import ReviewError

log = logging.getLogger("kubefan.apiserver")

LIMIT_ENTRIES = 8192
LIMIT_ATTRIBUTE_CHARACTERS = 10_000
"""Answers to longer questions are not kept: whoever asks chooses their length."""


class AsksReview(Protocol):
    """What a ReviewClient does."""

    async def review(self, review: dict[str, Any]) -> dict[str, Any]: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """`denies_on_error`: whether a request is refused when the webhook can't be asked; else
    the next authorizer is. A time to live of 0 keeps nothing."""

    version: str = "v1"
    authorized_ttl_s: float = 300.0
    unauthorized_ttl_s: float = 30.0
    denies_on_error: bool = False
    conditions: tuple[Program, ...] = ()
    """It is asked only about requests for which all of these hold."""


class WebhookAuthorizer:
    """Keeps answers for a while."""

    def __init__(
        self,
        client: AsksReview,
        settings: WebhookSettings,
        metrics: WebhookMetrics | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._settings = settings
        self._metrics = metrics or WebhookMetrics()
        self._now = now
        self._kept: OrderedDict[bytes, tuple[float, dict[str, Any]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<WebhookAuthorizer {self._client!r}>"

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        spec = access_review_spec(user, info)
        try:
            if self._settings.conditions and not self._matches(spec):
                return NO_OPINION
            status = await self._status(spec, info)
        except (ReviewError, CelError) as error:
            log.error("webhook authorizer", extra={"why": str(error)})
            denies = self._settings.denies_on_error
            if isinstance(error, ReviewError) and not denies:
                self._metrics.failed_open[error.outcome] += 1
            return Decision(False, denied=denies, error=str(error))
        allowed, denied = status.get("allowed") is True, status.get("denied") is True
        both = "webhook subject access review returned both allow and deny response"
        return Decision(
            allowed and not denied,
            str(status.get("reason", "")),
            denied,
            error=both if allowed and denied else "",
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def user_rules(self, user: UserInfo, namespace: str) -> UserRules:
        error = "webhook authorizer does not support user rule resolution"
        return UserRules((), incomplete=True, error=error)

    def _matches(self, spec: dict[str, Any]) -> bool:
        """Whether all conditions hold for a review's spec.

        Raises:
            CelError: none is false, but one has no value.
        """
        metrics, began = self._metrics, time.perf_counter()
        matched, error = evaluate(self._settings.conditions, spec)
        metrics.conditions_s.observe(time.perf_counter() - began)
        if error is not None:
            metrics.condition_errors += 1
        if matched is None:
            assert error is not None
            raise error
        if not matched:
            metrics.exclusions += 1
        return matched

    async def _status(self, spec: dict[str, Any], info: RequestInfo) -> dict[str, Any]:
        settings = self._settings
        # By its hash: who asks chooses how long selectors are, and a user has many groups.
        key = hashlib.sha256(orjson.dumps(spec)).digest()
        kept = self._kept.get(key)
        if kept is not None and self._now() < kept[0]:
            self._kept.move_to_end(key)
            return kept[1]
        status = await self._client.review(access_review(spec, settings.version))
        ttl_s = settings.authorized_ttl_s if status.get("allowed") else settings.unauthorized_ttl_s
        if ttl_s > 0 and _characters(info) < LIMIT_ATTRIBUTE_CHARACTERS:
            self._kept[key] = (self._now() + ttl_s, status)
            self._kept.move_to_end(key)
            if len(self._kept) > LIMIT_ENTRIES:
                self._kept.popitem(last=False)
        return status


def evaluate(
    conditions: Sequence[Program], spec: dict[str, Any]
) -> tuple[bool | None, CelError | None]:
    """Return whether all conditions hold for a SubjectAccessReview's spec, and the first error.

    None: none is false, but one has no value. A false one counts whatever the others are.
    """
    variables = {"request": condition_variable(spec)}
    budget = Budget()
    failed: CelError | None = None
    for condition in conditions:
        try:
            if condition.evaluate(variables, budget) is not True:
                return False, failed
        except CelError as error:
            failed = failed or error
    return (True if failed is None else None), failed


def _characters(info: RequestInfo) -> int:
    # The texts of the request that its sender chooses.
    return len(info.path) + sum(
        map(
            len,
            (
                info.namespace,
                info.verb,
                info.group,
                info.version,
                info.resource,
                info.subresource,
                info.name,
            ),
        )
    )
