"""Discovery: what the API serves, told to clients.

Documents are made from the resource table alone. Authentication, authorization and the
proxying to aggregated API servers happen before; resources themselves elsewhere.
"""

from services.apiserver.discovery.discovery import Discovery
from services.apiserver.discovery.documents import storage_version_hash
from services.apiserver.discovery.response import TEXT_NOT_FOUND, DocumentResponse
from services.apiserver.discovery.version import KUBERNETES_VERSION, version_info

__all__ = [
    "KUBERNETES_VERSION",
    "TEXT_NOT_FOUND",
    "Discovery",
    "DocumentResponse",
    "storage_version_hash",
    "version_info",
]
