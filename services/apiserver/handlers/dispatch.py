"""Dispatch: RequestInfo → the handler of its resource, subresource and verb."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from services.apiserver.errors import ApiError, BadRequest, Forbidden, MethodNotSupported, NotFound
from services.apiserver.handlers.componentstatus import ComponentStatuses
from services.apiserver.handlers.podactions import PodActions
from services.apiserver.handlers.reviews import Reviews
from services.apiserver.handlers.scale import get_scale, patch_scale, update_scale
from services.apiserver.http.request import AnyResponse, Request, Response
from services.apiserver.read.get import get
from services.apiserver.read.list import list_objects
from services.apiserver.read.representation import warning_header
from services.apiserver.read.watch import WatchLimits, watch
from services.apiserver.registry.interpret import details_of, not_found
from services.apiserver.registry.served import Registry, Served
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.serviceaccounts.tokenrequest import TokenRequests
from services.apiserver.validation.names import path_segment
from services.apiserver.write.create import create
from services.apiserver.write.delete import delete, delete_collection
from services.apiserver.write.patch import patch
from services.apiserver.write.update import update
from services.apiserver.write.writes import WriteFlow
from shared.resources import Resource, ResourceTable

Action = Callable[[Request, Served], Awaitable[AnyResponse]]

TEXT_404 = Response(
    404, b"404 page not found\n", ((b"content-type", b"text/plain; charset=utf-8"),)
)


class Dispatch:
    """Finds the handler of a resource request, or says why there is none."""

    def __init__(
        self,
        table: ResourceTable,
        registry: Registry,
        flow: WriteFlow,
        limits: WatchLimits,
        pods: PodActions,
        components: ComponentStatuses,
        reviews: Reviews,
        token_requests: TokenRequests,
    ) -> None:
        self._table = table
        self._registry = registry
        self._flow = flow
        self._limits = limits
        self._pods = pods
        self._components = components
        self._reviews = reviews
        self._token_requests = token_requests

    async def __call__(self, request: Request) -> AnyResponse:
        info = request.info
        resource = self._table.get(info.group, info.version, info.resource)
        if resource is None:
            return self._unknown(info)
        if resource.custom:
            return await self._custom(request, resource)
        self._check_shape(info, resource)
        check_name(info.name if len(info.parts) > 1 else "")
        request.resource = resource
        is_component = resource.name == "componentstatuses"
        if is_component and request.method != "GET":
            raise method_not_allowed()
        warning = DEPRECATED.get((info.group, info.version, info.resource))
        if warning is not None:
            request.notices.append(warning_header(warning))
            request.audit.annotate("k8s.io/deprecated", "true")
        if is_component:
            return await self._components.answer(request)
        served = self._registry.find(info.group, info.version, info.resource)
        return await self._resource(request, resource, served)

    async def _custom(self, request: Request, resource: Resource) -> AnyResponse:
        """Serve a custom resource, which says no in its own words."""
        info = request.info
        try:
            self._check_shape(info, resource)
        except NotFound:
            if len(info.parts) == 3 and not info.is_watch_path:
                raise not_found(resource, info.name) from None
            return TEXT_404
        request.resource = resource
        served = stored(self._registry.find(info.group, info.version, info.resource))
        if served.deprecation:
            request.notices.append(warning_header(served.deprecation))
            request.audit.annotate("k8s.io/deprecated", "true")
        if served.terminating and info.verb == "create":
            raise Forbidden(
                f"{resource.group_resource} is forbidden: create is not allowed while the custom "
                "resource definition is terminating",
                details=details_of(resource, info.name),
            )
        try:
            return await self._resource(request, resource, served)
        except MethodNotSupported as error:
            error.details = details_of(resource, "")
            raise

    async def _resource(
        self, request: Request, resource: Resource, served: Served | None
    ) -> AnyResponse:
        depth = len(request.info.parts)
        if depth == 1:
            return await self._collection(request, resource, served)
        if depth == 2:
            return await self._object(request, resource, served)
        return await self._subresource(request, resource, served)

    def _unknown(self, info: RequestInfo) -> AnyResponse:
        """Answer for what no resource has: built-in groups say so with a Status."""
        group = self._table.group(info.group)
        custom = group is not None and all(
            resource.custom
            for version in group.versions
            for resource in self._table.in_version(group.name, version)
        )
        if info.group and (group is None or custom):
            return TEXT_404
        raise no_such_resource()

    def _check_shape(self, info: RequestInfo, resource: Resource) -> None:
        """Refuse a namespace where there is none, and an object without its namespace."""
        depth = len(info.parts)
        in_namespace = bool(info.namespace) and info.resource != "namespaces"
        if in_namespace and not resource.namespaced:
            raise no_such_resource()
        if depth > 1 and resource.namespaced and not info.namespace:
            raise no_such_resource()
        if resource.verbs == CREATE_ONLY and (depth > 1 or in_namespace != resource.namespaced):
            raise no_such_resource()
        if info.is_watch_path and (depth == 3 or "watch" not in resource.verbs):
            raise no_such_resource()
        if depth >= 3 and info.subresource not in resource.subresources:
            raise no_such_resource()
        if depth > 3 and info.subresource != "proxy":
            raise no_such_resource()

    async def _collection(
        self, request: Request, resource: Resource, served: Served | None
    ) -> AnyResponse:
        info, method = request.info, request.method
        across = resource.namespaced and not info.namespace
        if info.verb == "watch":
            if method != "GET" or "watch" not in resource.verbs:
                raise method_not_allowed()
            return await watch(request, stored(served), self._limits)
        if method == "GET" and "list" in resource.verbs:
            return await list_objects(request, stored(served))
        if across:
            raise method_not_allowed()
        if method == "POST" and "create" in resource.verbs:
            if served is None:
                return await self._review(request, resource)
            return await create(request, served, self._flow)
        if method == "DELETE" and "deletecollection" in resource.verbs:
            return await delete_collection(request, stored(served), self._flow)
        raise method_not_allowed()

    async def _object(
        self, request: Request, resource: Resource, served: Served | None
    ) -> AnyResponse:
        method, verbs = request.method, resource.verbs
        if request.info.verb == "watch":
            if method != "GET" or "watch" not in verbs:
                raise method_not_allowed()
            return await watch(request, stored(served), self._limits)
        if method == "GET" and "get" in verbs:
            return await get(request, stored(served))
        if method == "PUT" and "update" in verbs:
            return await update(request, stored(served), self._flow)
        if method == "PATCH" and "patch" in verbs:
            return await patch(request, stored(served), self._flow)
        if method == "DELETE" and "delete" in verbs:
            return await delete(request, stored(served), self._flow)
        raise method_not_allowed()

    async def _subresource(
        self, request: Request, resource: Resource, served: Served | None
    ) -> AnyResponse:
        info = request.info
        verbs = resource.subresources[info.subresource].verbs
        verb = VERB_OF_METHOD.get(request.method, "")
        if verb not in verbs:
            raise method_not_allowed()
        target = stored(served)
        if info.subresource == "scale":
            return await SCALE[verb](request, target, self._flow)
        hooks = target.store.subresources.get(info.subresource)
        if hooks is not None:
            if verb == "get":
                return await get(request, target)
            if verb == "update":
                return await update(request, target, self._flow, hooks)
            return await patch(request, target, self._flow, hooks)
        action = self._pods.action(resource, info.subresource, verb)
        if action is not None:
            return await action(request, target)
        if resource.name == "serviceaccounts" and info.subresource == "token":
            return await self._token_requests.create(request, target)
        raise not_supported_yet(f"{resource.group_resource}/{info.subresource}")

    async def _review(self, request: Request, resource: Resource) -> AnyResponse:
        if resource.name == "bindings" and resource.group == "":
            pods = self._registry.find("", "v1", "pods")
            return await self._pods.bind(request, stored(pods))
        if self._reviews.handles(resource):
            return await self._reviews.answer(request, resource)
        raise not_supported_yet(resource.group_resource)


DEPRECATED = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 "
    "EndpointSlice",
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}
"""What every answer about a deprecated resource warns of."""

CREATE_ONLY = ("create",)
"""The verbs of reviews and bindings: there is nothing that has a URL of its own."""

VERB_OF_METHOD = {
    "GET": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
SCALE = {"get": get_scale, "update": update_scale, "patch": patch_scale}


def check_name(name: str) -> None:
    """Refuse a name that would mean something else in a path.

    Raises:
        BadRequest: it is "." or "..", or has a "%" in it (a "/" has ended it).
    """
    if "%" in name or name in (".", ".."):
        why = ";".join(path_segment(name))
        raise BadRequest(f"Name parameter invalid: {json.dumps(name)}: {why}")


def stored(served: Served | None) -> Served:
    """Return a resource that has objects.

    Raises:
        ApiError: 501, it is in the table but not served yet.
    """
    if served is None:
        raise not_supported_yet("this resource")
    return served


def no_such_resource() -> NotFound:
    return NotFound("the server could not find the requested resource", details={})


def method_not_allowed() -> MethodNotSupported:
    return MethodNotSupported(
        "the server does not allow this method on the requested resource", details={}
    )


def not_supported_yet(what: str) -> ApiError:
    return ApiError(f"{what} is not supported by kubefan yet", code=501, reason="NotImplemented")


__all__ = ["Dispatch", "not_found"]
