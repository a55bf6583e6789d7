"""NamespaceLifecycle: nothing is created where there is no namespace, or where one is ending.

Source: kube-apiserver v1.36.2, apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from __future__ import annotations

from services.apiserver.admission.attributes import Attributes
from services.apiserver.errors import Cause, Forbidden, NotFound
from services.apiserver.registry.strategy import WriteContext

PROTECTED = frozenset({"default", "kube-system", "kube-public"})
REVIEWS = frozenset({"localsubjectaccessreviews"})


class NamespaceLifecycle:
    """See the module."""

    name = "NamespaceLifecycle"

    def handles(self, attributes: Attributes) -> bool:
        if attributes.operation == "CREATE":
            return attributes.resource.namespaced and attributes.resource.name not in REVIEWS
        return attributes.operation == "DELETE" and attributes.is_for("", "namespaces")

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        if attributes.operation == "DELETE":
            if attributes.name in PROTECTED:
                raise Forbidden(
                    f'namespaces "{attributes.name}" is forbidden: this namespace may not be '
                    "deleted",
                    details={"name": attributes.name, "kind": "namespaces"},
                )
            return
        namespace = attributes.namespace
        found = ctx.lookup.get("", "namespaces", "", namespace)
        if found is None:
            # It may have been made a moment ago, by way of another replica.
            found = await ctx.lookup.get_live("", "namespaces", "", namespace)
        if found is None:
            raise NotFound(
                f'namespaces "{namespace}" not found',
                details={"name": namespace, "kind": "namespaces"},
            )
        if found.get("status", {}).get("phase") != "Terminating":
            return
        resource = attributes.resource
        details = {"name": attributes.name, "kind": resource.name}
        if resource.group:
            details["group"] = resource.group
        raise Forbidden(
            f'{resource.group_resource} "{attributes.name}" is forbidden: unable to create new '
            f"content in namespace {namespace} because it is being terminated",
            details=details,
            causes=[
                Cause(
                    "NamespaceTerminating",
                    f"namespace {namespace} is being terminated",
                    "metadata.namespace",
                )
            ],
        )
