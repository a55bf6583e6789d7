"""Refusal: the 403 with which a plugin says no."""

from __future__ import annotations

from typing import Any

from services.apiserver.admission.attributes import Attributes
from services.apiserver.errors import Forbidden


def refused(attributes: Attributes, why: str) -> Forbidden:
    """Return the error that names the object and says why its write is refused."""
    resource = attributes.resource
    name = attributes.name
    if not name and attributes.obj is not None:
        name = attributes.obj.get("metadata", {}).get("generateName", "")
    details: dict[str, Any] = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.name
    return Forbidden(f'{resource.group_resource} "{name}" is forbidden: {why}', details=details)
