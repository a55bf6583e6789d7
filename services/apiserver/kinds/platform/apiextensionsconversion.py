"""How a CustomResourceDefinition's versions are made of each other.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import duplicates, follows
from services.apiserver.kinds.platform.webhookclient import (
    swapped,
    validate_webhook_service,
    validate_webhook_url,
)
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import (
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from services.apiserver.validation.names import dns1035_label

STRATEGIES = ("None", "Webhook")
REVIEW_VERSIONS = ("v1", "v1beta1")


def validate_choice(value: Any, path: str, choices: tuple[str, ...]) -> list[Cause]:
    """Check a field that must have one of the values."""
    if not value:
        return [required(path)]
    return [] if value in choices else [not_supported(path, value, choices)]


def validate_conversion(conversion: Object, path: str) -> list[Cause]:
    """Check spec.conversion, by the paths of kube-apiserver's internal form."""
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook") or {}
    found = validate_choice(strategy, child(path, "strategy"), STRATEGIES)
    client, at = webhook.get("clientConfig"), child(path, "webhookClientConfig")
    versions = webhook.get("conversionReviewVersions") or []
    versions_at = child(path, "conversionReviewVersions")
    if strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        found += [forbidden(at, detail)] if client is not None else []
        return found + ([forbidden(versions_at, detail)] if versions else [])
    if client is None:
        found.append(required(at, "required when strategy is set to Webhook"))
    else:
        url, service = client.get("url"), client.get("service")
        if (url is None) == (service is None):
            found.append(required(at, "exactly one of url or service is required"))
        elif url is not None:
            found += validate_webhook_url(url, child(at, "url"))
        else:
            found += validate_webhook_service(swapped(service or {}), child(at, "service"))
    return found + _validate_review_versions(versions, versions_at)


def _validate_review_versions(versions: list[str], path: str) -> list[Cause]:
    if not versions:
        return [required(path)]
    found: list[Cause] = []
    doubled = set(duplicates(versions))
    for number, version in enumerate(versions):
        at = index(path, number)
        if number in doubled:
            found.append(invalid(at, version, "duplicate version"))
        else:
            found += follows(at, version, dns1035_label)
    if set(REVIEW_VERSIONS).isdisjoint(versions):
        detail = f"must include at least one of {', '.join(REVIEW_VERSIONS)}"
        found.append(invalid(path, versions, detail))
    return found
