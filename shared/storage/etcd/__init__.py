"""The shared store: etcd's v3 API through aetcd's generated messages on grpc.aio.

Only who opens an EtcdStorage imports this package: gRPC costs about 14 MB.
"""

from shared.storage.etcd.connection import TlsFiles
from shared.storage.etcd.store import EtcdStorage

__all__ = ["EtcdStorage", "TlsFiles"]
