"""Where a Service is: its cluster IP, or the name that it stands for.

Source: kube-apiserver v1.36.2, kube-aggregator/pkg/apiserver/resolvers.go and
apiserver/pkg/util/proxy/proxy.go (ResolveCluster).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Unreachable(Exception):
    """The Service can't be reached; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP, and a port."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """The address as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve_service(service: Mapping[str, Any], port: int) -> Address:
    """Return where a port of a Service (the object) is.

    Raises:
        Unreachable: it has no address, or not that port.
    """
    meta, spec = service["metadata"], service["spec"]
    name = f"{meta['namespace']}/{meta['name']}"
    if spec.get("type") == "ExternalName":
        return Address(spec["externalName"], port)
    address = spec.get("clusterIP", "")
    if address in ("", "None"):
        raise Unreachable(f"service {name} has no cluster IP")
    if all(one.get("port") != port for one in spec.get("ports") or ()):
        raise Unreachable(f'no service port {port} found for service "{meta["name"]}"')
    return Address(address, port)
