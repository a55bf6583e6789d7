"""The shared store: etcd's v3 API through aetcd's generated messages over our own gRPC calls.

    store.py ─▶ connection.py (endpoints, errors) ─▶ grpcclient.py (calls) ─▶ http2.py (frames)

Only who opens an EtcdStorage imports this package: aetcd brings in gRPC's own library, which
costs about 14 MB and is not called.
"""

from shared.storage.etcd.store import EtcdStorage

__all__ = ["EtcdStorage"]
