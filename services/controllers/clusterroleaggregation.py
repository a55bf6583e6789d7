"""The clusterrole-aggregation-controller: fills in the rules of aggregated ClusterRoles.

Source: kubernetes v1.36.2, pkg/controller/clusterroleaggregation/
clusterroleaggregation_controller.go.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from services.controllers.client import NotFound
from services.controllers.controller import ControllerContext, run_workers
from services.controllers.resource import CLUSTER_ROLES, Object, object_key
from services.controllers.workqueue import WorkQueue
from shared.selectors import SelectorError, label_selector_from_object

log = logging.getLogger(__name__)

WORKERS = 5


class ClusterRoleAggregationController:
    """An aggregated role has the rules of all roles that one of its selectors takes.

    Aggregated roles can be part of others (view of edit, edit of admin), so every change makes
    every aggregated role worth a look; there are few.
    """

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._queue = WorkQueue("clusterrole-aggregation")
        self._informer = context.informer(CLUSTER_ROLES)
        self._informer.add_handler(self._changed)

    async def run(self) -> None:
        await self._informer.wait_synced()
        await run_workers(self._queue, self._reconcile, workers=WORKERS)

    def _changed(self, *, old: Object | None, new: Object | None) -> None:
        for role in self._informer.cache.values():
            if role.get("aggregationRule"):
                self._queue.add(object_key(role))

    async def _reconcile(self, name: str) -> None:
        role = self._informer.cache.get(name)
        if role is None or not role.get("aggregationRule"):
            return
        try:
            rules = aggregated_rules(role, self._informer.cache.values())
        except SelectorError as error:  # of an older server; it selects nothing that is known
            log.warning("cluster role %s: %s", name, error)
            return
        if rules == (role.get("rules") or []):
            return
        try:
            await self._client.merge_patch(CLUSTER_ROLES.path(name=name), {"rules": rules})
        except NotFound:
            return  # gone


def aggregated_rules(role: Object, roles: Iterable[Object]) -> list[dict[str, Any]]:
    """Return the rules of all other `roles` that a selector of `role` takes, each once, in the
    order of the selectors and then of the names.

    Raises:
        SelectorError: a selector is not valid.
    """
    by_name = sorted(roles, key=lambda one: str(one["metadata"]["name"]))
    rules: list[dict[str, Any]] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        matches = label_selector_from_object(selector).matches
        for other in by_name:
            if other["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if matches(other["metadata"].get("labels") or {}):
                for rule in other.get("rules") or ():
                    if rule not in rules:
                        rules.append(rule)
    return rules
