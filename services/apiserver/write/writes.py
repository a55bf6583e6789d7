"""What the write handlers share: the context, namespace rules, admission around the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson

from services.apiserver.admission.attributes import Attributes, Operation
from services.apiserver.admission.chain import AdmissionChain
from services.apiserver.apply import admitted
from services.apiserver.authorization.escalation import EscalationCheck
from services.apiserver.errors import BadRequest
from services.apiserver.http.request import Request
from services.apiserver.registry.served import Served
from services.apiserver.registry.store import Check
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.validation.options import DeleteOptions, WriteOptions
from services.apiserver.values.time import now
from services.apiserver.write.ownership import Ownership, set_entries

Authorize = Callable[[Request, RequestInfo], Awaitable[object]]
"""Raises Forbidden where the user may not do what the RequestInfo says."""


class WriteFlow:
    """The dependencies of the write handlers, and the steps they have in common."""

    def __init__(
        self,
        admission: AdmissionChain,
        lookup: Lookup,
        authorize: Authorize,
        escalation: EscalationCheck,
        ownership: Ownership,
    ) -> None:
        self._admission = admission
        self._lookup = lookup
        self._authorize = authorize
        self._escalation = escalation
        self.ownership = ownership

    def context(self, request: Request, *, dry_run: bool) -> WriteContext:
        return WriteContext(
            request.info,
            request.user,
            now(),
            self._lookup,
            dry_run,
            request.warnings,
            request.audit,
        )

    def match_namespace(self, served: Served, info: RequestInfo, obj: Object) -> None:
        """Give the object the URL's namespace.

        Raises:
            BadRequest: it names another one.
        """
        meta = obj["metadata"]
        if not served.resource.namespaced:
            meta.pop("namespace", None)
            return
        namespace = meta.get("namespace", "")
        if namespace not in ("", info.namespace):
            raise BadRequest(
                f"the namespace of the provided object does not match the namespace sent on the "
                f"request: {namespace!r} is not {info.namespace!r}"
            )
        meta["namespace"] = info.namespace

    async def authorize_create(self, request: Request) -> None:
        """Ask whether a PUT or apply may create what is not there.

        Raises:
            Forbidden: the user may update but not create.
        """
        info = request.info
        await self._authorize(
            request,
            RequestInfo(
                True,
                info.path,
                "create",
                info.api_prefix,
                info.group,
                info.version,
                info.namespace,
                info.resource,
                info.subresource,
                info.name,
                info.parts,
            ),
        )

    # -- admission -------------------------------------------------------------------

    async def mutate_create(
        self, ctx: WriteContext, served: Served, obj: Object, options: WriteOptions
    ) -> None:
        await self._mutate(ctx, served, obj, self._attributes(ctx, served, "CREATE", options, obj))
        await self._escalation.check(ctx.user, ctx.info, obj, None)

    async def mutate_update(
        self, ctx: WriteContext, served: Served, obj: Object, old: Object, options: WriteOptions
    ) -> None:
        await self._mutate(
            ctx, served, obj, self._attributes(ctx, served, "UPDATE", options, obj, old)
        )
        await self._escalation.check(ctx.user, ctx.info, obj, old)

    async def _mutate(
        self, ctx: WriteContext, served: Served, obj: Object, attributes: Attributes
    ) -> None:
        managers = obj["metadata"].get("managedFields")
        if not await self._admission.mutate(ctx, attributes):
            return
        served.store.strategy.default(obj)
        if obj["metadata"].get("managedFields") is not managers:
            set_entries(obj, admitted(obj["metadata"].get("managedFields"), managers))

    def check_create(self, ctx: WriteContext, served: Served, options: WriteOptions) -> Check:
        async def check(obj: Object, old: Object | None) -> None:
            await self._admission.validate(
                ctx, self._attributes(ctx, served, "CREATE", options, obj)
            )

        return check

    def check_update(self, ctx: WriteContext, served: Served, options: WriteOptions) -> Check:
        async def check(obj: Object, old: Object | None) -> None:
            operation: Operation = "CREATE" if old is None else "UPDATE"
            await self._admission.validate(
                ctx, self._attributes(ctx, served, operation, options, obj, old)
            )

        return check

    def check_delete(self, ctx: WriteContext, served: Served, options: DeleteOptions) -> Check:
        async def check(obj: Object, old: Object | None) -> None:
            attributes = self._attributes(ctx, served, "DELETE", options, None, old)
            await self._admission.mutate(ctx, attributes)
            await self._admission.validate(ctx, attributes)

        return check

    async def admit_connect(
        self,
        ctx: WriteContext,
        served: Served,
        subresource: str,
        obj: Object,
        options: WriteOptions,
    ) -> None:
        """Admit what is created under an object: a binding, an eviction."""
        attributes = replace(
            self._attributes(ctx, served, "CREATE", options, obj), subresource=subresource
        )
        await self._admission.mutate(ctx, attributes)
        await self._admission.validate(ctx, attributes)

    async def mutate_subresource(
        self, ctx: WriteContext, served: Served, obj: Object, options: WriteOptions
    ) -> None:
        """Mutating admission of what is created under an object and validated in between."""
        await self._admission.mutate(ctx, self._attributes(ctx, served, "CREATE", options, obj))

    async def validate_subresource(
        self, ctx: WriteContext, served: Served, obj: Object, options: WriteOptions
    ) -> None:
        await self._admission.validate(ctx, self._attributes(ctx, served, "CREATE", options, obj))

    def _attributes(
        self,
        ctx: WriteContext,
        served: Served,
        operation: Operation,
        options: WriteOptions | DeleteOptions,
        obj: Object | None,
        old: Object | None = None,
    ) -> Attributes:
        info = ctx.info
        meta: dict[str, Any] = (obj or old or {}).get("metadata", {})
        return Attributes(
            operation=operation,
            resource=served.resource,
            subresource=info.subresource,
            namespace=meta.get("namespace", info.namespace),
            name=meta.get("name", info.name),
            obj=obj,
            old=old,
            user=ctx.user,
            dry_run=ctx.dry_run,
            options=options,
        )


def copied(obj: Object) -> Object:
    """Return a deep copy of an object; faster than copy.deepcopy by far."""
    out: Object = orjson.loads(orjson.dumps(obj))
    return out
