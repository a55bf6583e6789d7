"""OpenAPI: the published schemas and operations, v2 and v3, JSON and protobuf.

Made from the resource table, the facts of the Go types and the definitions that
kubernetes_validate brings. Validating objects against schemas happens elsewhere.
"""

from services.apiserver.openapi.openapi import OpenApi

__all__ = ["OpenApi"]
