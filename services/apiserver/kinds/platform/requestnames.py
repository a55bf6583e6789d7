"""The names of a claim's requests, by which other parts of it refer to them.

Source: kube-apiserver v1.36.2, pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import follows
from services.apiserver.registry.strategy import Object
from services.apiserver.validation.field import invalid
from services.apiserver.validation.names import dns1123_label


@dataclass(frozen=True, slots=True)
class RequestNames:
    """The names of requests, each with those of its alternatives."""

    alternatives: Mapping[str, frozenset[str]]

    @staticmethod
    def of(devices: Object) -> RequestNames:
        """Gather the names in a DeviceClaim."""
        return RequestNames(
            {
                request.get("name", ""): frozenset(
                    one.get("name", "") for one in request.get("firstAvailable") or ()
                )
                for request in devices.get("requests") or ()
            }
        )

    def __contains__(self, reference: str) -> bool:
        name, slash, alternative = reference.partition("/")
        if name not in self.alternatives:
            return False
        return not slash or alternative in self.alternatives[name]

    def validate_reference(self, reference: str, path: str) -> list[Cause]:
        detail = "must be the name of a request in the claim, or of a request and a subrequest"
        parts = reference.split("/")
        if len(parts) > 2:
            return [invalid(path, reference, detail)]
        found: list[Cause] = []
        for part in parts:
            found += follows(path, part, dns1123_label)
        if reference not in self:
            found.append(invalid(path, reference, detail))
        return found
