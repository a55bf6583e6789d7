"""ServiceAccount.

Source: kube-apiserver v1.36.2, pkg/registry/core/serviceaccount/strategy.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation.metadata import validate_metadata_create

ENFORCE_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


class ServiceAccountStrategy(Strategy):
    returns_deleted_object = True

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        _keep_names_only(obj)

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        _keep_names_only(obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["metadata"] == old["metadata"]:
            return []
        return validate_metadata_create(obj, namespaced=True, validate_name=self.validate_name)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return [] if ENFORCE_MOUNTABLE in old["metadata"].get("annotations", ()) else _warnings(obj)


def _keep_names_only(obj: Object) -> None:
    """A reference to a secret says nothing but its name."""
    for secret in obj.get("secrets", ()):
        for field in [field for field in secret if field != "name"]:
            del secret[field]


def _warnings(obj: Object) -> list[str]:
    if ENFORCE_MOUNTABLE not in obj["metadata"].get("annotations", ()):
        return []
    return [
        f"metadata.annotations[{ENFORCE_MOUNTABLE}]: deprecated in v1.32+; prefer separate"
        " namespaces to isolate access to mounted secrets"
    ]
