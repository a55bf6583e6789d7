"""PriorityLevelConfiguration.

Source: kube-apiserver v1.36.2, pkg/registry/flowcontrol/prioritylevelconfiguration/strategy.go,
pkg/apis/flowcontrol/validation/validation.go, pkg/apis/flowcontrol/v1/defaults.go,
apiserver/pkg/apis/flowcontrol/bootstrap/default.go (the mandatory objects).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.flowcontrol import FlowControlStrategy, validate_status
from services.apiserver.registry.strategy import Object, StrategyFactory, WriteContext
from services.apiserver.validation.field import (
    child,
    forbidden,
    invalid,
    not_supported,
    required,
)

DEFAULT_SHARES = 30
QUEUING_DEFAULTS = {"handSize": 8, "queues": 64, "queueLengthLimit": 50}
MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60
ZERO_SHARES_ANNOTATION = "flowcontrol.k8s.io/preserve-zero-concurrency-shares"

MANDATORY_PRIORITY_LEVELS: Mapping[str, Object] = {
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    "catch-all": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "limitResponse": {"type": "Reject"},
            "lendablePercent": 0,
        },
    },
}
"""The specs that these PriorityLevelConfigurations must have; exempt's `exempt` may differ."""


class PriorityLevelConfigurationStrategy(FlowControlStrategy):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for name, shares in (("exempt", 0), ("limited", DEFAULT_SHARES)):
            level = spec.get(name)
            if level is not None:
                if level.get("nominalConcurrencyShares") is None:
                    level["nominalConcurrencyShares"] = shares
                level.setdefault("lendablePercent", 0)
        response = (spec.get("limited") or {}).get("limitResponse") or {}
        queuing = response.get("queuing")
        if queuing is not None:
            for name, value in QUEUING_DEFAULTS.items():
                if not queuing.get(name):
                    queuing[name] = value

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        meta, spec = obj["metadata"], obj["spec"]
        found: list[Cause] = []
        if ZERO_SHARES_ANNOTATION in (meta.get("annotations") or {}):
            detail = f"annotation '{ZERO_SHARES_ANNOTATION}' is forbidden"
            found.append(forbidden("metadata.annotations", detail))
        name = meta.get("name", "")
        found += _validate_level(name, spec)
        found += _validate_mandatory_level(name, spec)
        return found + validate_status(obj)


def _validate_mandatory_level(name: str, spec: Object) -> list[Cause]:
    mandatory = MANDATORY_PRIORITY_LEVELS.get(name)
    if mandatory is None:
        return []
    # Of the exempt level the part of that name may be changed, nothing else.
    compared = {**spec, "exempt": mandatory["exempt"]} if name == "exempt" else spec
    if compared == mandatory:
        return []
    return [invalid("spec", spec, f"spec of '{name}' must equal the fixed value")]


def _validate_level(name: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    kind, exempt, limited = spec.get("type", ""), spec.get("exempt"), spec.get("limited")
    if (name == "exempt") != (kind == "Exempt"):
        detail = "must be 'Exempt' if and only if `name` is 'exempt'"
        found.append(invalid("spec.type", kind, detail))
    if kind == "Exempt":
        if limited is not None:
            found.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            found += _validate_shares(exempt, "spec.exempt") + _validate_lendable(
                exempt, "spec.exempt"
            )
    elif kind == "Limited":
        if exempt is not None:
            found.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            found.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            found += _validate_limited(limited)
    else:
        found.append(not_supported("spec.type", kind, ("Exempt", "Limited")))
    return found


def _validate_shares(level: Object, path: str) -> list[Cause]:
    shares = level.get("nominalConcurrencyShares") or 0
    if shares >= 0:
        return []
    return [
        invalid(child(path, "nominalConcurrencyShares"), shares, "must be a non-negative integer")
    ]


def _validate_lendable(level: Object, path: str) -> list[Cause]:
    percent = level.get("lendablePercent")
    if percent is None or 0 <= percent <= 100:
        return []
    detail = "must be between 0 and 100, inclusive"
    return [invalid(child(path, "lendablePercent"), percent, detail)]


def _validate_limited(level: Object) -> list[Cause]:
    path = "spec.limited"
    found = _validate_shares(level, path)
    response, at = level.get("limitResponse") or {}, child(path, "limitResponse")
    kind, queuing = response.get("type", ""), response.get("queuing")
    where = child(at, "queuing")
    if kind == "Reject":
        if queuing is not None:
            found.append(forbidden(where, "must be nil if the type is not Queue"))
    elif kind == "Queue":
        if queuing is None:
            found.append(required(where, "must not be empty if the type is Queue"))
        else:
            found += _validate_queuing(queuing, where)
    else:
        found.append(not_supported(child(at, "type"), kind, ("Queue", "Reject")))
    found += _validate_lendable(level, path)
    limit = level.get("borrowingLimitPercent")
    if limit is not None and limit < 0:
        detail = "if specified, must be a non-negative integer"
        found.append(invalid(child(path, "borrowingLimitPercent"), limit, detail))
    return found


def _validate_queuing(queuing: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    length, queues = queuing.get("queueLengthLimit", 0), queuing.get("queues", 0)
    hand, positive = queuing.get("handSize", 0), "must be positive"
    if length <= 0:
        found.append(invalid(child(path, "queueLengthLimit"), length, positive))
    at = child(path, "queues")
    if queues <= 0:
        found.append(invalid(at, queues, positive))
    elif queues > MAX_QUEUES:
        found.append(invalid(at, queues, f"must not be greater than {MAX_QUEUES}"))
    at = child(path, "handSize")
    if hand <= 0:
        found.append(invalid(at, hand, positive))
    elif hand > queues:
        found.append(invalid(at, hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        # A hand is dealt from the bits of one hash.
        detail = f"required entropy bits should not be greater than {MAX_HASH_BITS}"
        found.append(invalid(at, hand, detail))
    return found


PRIORITYLEVEL_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): (
        PriorityLevelConfigurationStrategy
    ),
}
