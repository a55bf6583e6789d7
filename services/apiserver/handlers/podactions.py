"""What can be done to a pod beside writing it: bind, evict, read its log.

The decisions are in kinds/pod_binding.py, pod_eviction.py and pod_log.py; this is their
storage and their answers. exec, attach, portforward and proxy need a kubelet to talk to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from services.apiserver.codec import codec_for
from services.apiserver.errors import ApiError, Conflict
from services.apiserver.http.negotiation import MediaType, negotiate
from services.apiserver.http.request import AnyResponse, Request, Response
from services.apiserver.kinds.pod_binding import bind, check_binding
from services.apiserver.kinds.pod_eviction import (
    check_eviction,
    decide,
    ignores_budgets,
    needs_same_version,
    still_processing,
    with_disruption_target,
)
from services.apiserver.kinds.pod_log import (
    check_proxied_address,
    choose_container,
    node_of,
    parse_log_options,
    proxied_name,
    unknown_node,
)
from services.apiserver.read.get import is_pretty, read
from services.apiserver.read.representation import response, written
from services.apiserver.registry.interpret import not_found
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.validation.options import parse_create_options, parse_delete_options
from services.apiserver.write.body import read_kind
from services.apiserver.write.delete import delete_one
from services.apiserver.write.writes import WriteFlow
from shared.resources import Resource

Action = Callable[[Request, Served], Awaitable[AnyResponse]]

EVICTION_ATTEMPTS = 5
PROXY_VERBS = ("get", "create", "update", "patch", "delete")


class PodActions:
    """The actions, by subresource and verb."""

    def __init__(self, registry: Registry, flow: WriteFlow) -> None:
        self._registry = registry
        self._flow = flow
        self._actions: dict[tuple[str, str], Action] = {
            ("binding", "create"): self.bind,
            ("eviction", "create"): self.evict,
            ("log", "get"): self.log,
            ("exec", "get"): self.connect,
            ("exec", "create"): self.connect,
            ("attach", "get"): self.connect,
            ("attach", "create"): self.connect,
            ("portforward", "get"): self.connect,
            ("portforward", "create"): self.connect,
            **{("proxy", verb): self.proxy for verb in PROXY_VERBS},
        }

    def action(self, resource: Resource, subresource: str, verb: str) -> Action | None:
        """Return the handler of a pod's subresource; None if it is not one of these."""
        if resource.group or resource.name != "pods":
            return None
        return self._actions.get((subresource, verb))

    async def bind(self, request: Request, pods: Served) -> AnyResponse:
        """POST of a Binding, to pods/NAME/binding or to bindings."""
        media = _media(request)
        options = parse_create_options(request.query)
        ctx = self._flow.context(request, dry_run=options.dry_run)
        codec = codec_for("", "v1", "Binding")
        binding = await read_kind(
            request, codec, ("v1", "Binding"), options.field_validation, ctx.warnings
        )
        self._flow.match_namespace(pods, request.info, binding)
        name = request.info.name or binding["metadata"].get("name", "")
        check_binding(binding, name)
        await self._flow.admit_connect(ctx, pods, "binding", binding, options)
        await pods.store.modify(ctx, name, lambda pod: bind(pod, binding, ctx.now))
        return _success(201, media, ctx.warnings)

    async def evict(self, request: Request, pods: Served) -> AnyResponse:
        """POST of an Eviction: the pod goes if the budgets of its namespace let it."""
        media = _media(request)
        options = parse_create_options(request.query)
        ctx = self._flow.context(request, dry_run=options.dry_run)
        codec = codec_for("policy", "v1", "Eviction")
        eviction = await read_kind(
            request, codec, ("policy/v1", "Eviction"), options.field_validation, ctx.warnings
        )
        self._flow.match_namespace(pods, request.info, eviction)
        name = request.info.name
        check_eviction(eviction, name)
        await self._flow.admit_connect(ctx, pods, "eviction", eviction, options)
        wanted = parse_delete_options({}, eviction.get("deleteOptions") or {})
        ctx.dry_run = ctx.dry_run or wanted.dry_run
        for attempt in range(EVICTION_ATTEMPTS):
            pod = await self._live(pods, request, name)
            version: str | None = None
            budget_name = ""
            if ignores_budgets(pod):
                if needs_same_version(pod):
                    version = pod["metadata"]["resourceVersion"]
            else:
                decision = decide(pod, await self._budgets(request), ctx.now)
                budget_name = decision.budget_name
                if decision.only_this_version:
                    version = pod["metadata"]["resourceVersion"]
                if decision.budget is not None:
                    try:
                        await self._write_budget(ctx, decision.budget)
                    except Conflict:
                        if attempt == EVICTION_ATTEMPTS - 1:
                            raise still_processing(budget_name) from None
                        continue
                if version is None:
                    await pods.store.modify(
                        ctx, name, lambda pod: with_disruption_target(pod, ctx.now)
                    )
            try:
                await delete_one(ctx, pods, self._flow, name, wanted, version=version)
            except Conflict:
                if version is None or wanted.resource_version is not None:
                    raise
                if attempt == EVICTION_ATTEMPTS - 1:
                    raise still_processing(budget_name) from None
                continue
            break
        return _success(201, media, ctx.warnings)

    async def log(self, request: Request, pods: Served) -> AnyResponse:
        """GET of a pod's log. Without a kubelet there is none: a pod without a node has an
        empty one, as in kube-apiserver, and one with a node can't be asked."""
        name = request.info.name
        options = parse_log_options(request.query, name)
        pod = await self._pod(pods, request, name)
        choose_container(pod, options.get("container", ""))
        node = pod["spec"].get("nodeName", "")
        if not node:
            return Response(204, b"", ())
        raise self._unreachable(node)

    async def connect(self, request: Request, pods: Served) -> AnyResponse:
        """exec, attach and portforward, as far as they come without a kubelet."""
        if request.method == "GET":
            # They change the pod's world, so a right to read is not enough.
            await self._flow.authorize_create(request)
        pod = await self._pod(pods, request, request.info.name)
        node = node_of(pod)
        wanted = request.parameter("container") or ""
        if request.info.subresource != "portforward":
            choose_container(pod, wanted)
        raise self._unreachable(node)

    async def proxy(self, request: Request, pods: Served) -> AnyResponse:
        """proxy, as far as it comes without a connection to the pod."""
        pod = await self._pod(pods, request, proxied_name(request.info.name))
        check_proxied_address(pod)
        raise ApiError(
            "pods/proxy is not supported by kubefan yet", code=501, reason="NotImplemented"
        )

    def _unreachable(self, node: str) -> ApiError:
        nodes = self._registry.stored("", "nodes")
        if nodes is None or nodes.cache.get(nodes.key("", node)) is None:
            return unknown_node(node)
        return ApiError(
            f"node {node}: talking to kubelets is not supported by kubefan yet",
            code=501,
            reason="NotImplemented",
        )

    async def _pod(self, pods: Served, request: Request, name: str) -> Object:
        body = await read(pods.store, pods.store.key(request.info.namespace, name), "")
        if body is None:
            raise not_found(pods.resource, name)
        return pods.store.decode(body)

    async def _live(self, pods: Served, request: Request, name: str) -> Object:
        current = await pods.store.live(pods.store.key(request.info.namespace, name))
        if current is None:
            raise not_found(pods.resource, name)
        return pods.store.decode(current.body)

    async def _budgets(self, request: Request) -> list[Object]:
        """Return the disruption budgets of the namespace as they are stored now."""
        store = self._registry.stored("policy", "poddisruptionbudgets")
        if store is None:
            return []
        prefix = store.prefix + request.info.namespace.encode() + b"/"
        page = await store.backend.storage.list(prefix)
        return [store.decode(store.body_of(item)) for item in page.items]

    async def _write_budget(self, ctx: WriteContext, budget: Object) -> None:
        store = self._registry.stored("policy", "poddisruptionbudgets")
        assert store is not None
        name, version = budget["metadata"]["name"], budget["metadata"]["resourceVersion"]

        def change(present: Object) -> Object:
            if present["metadata"]["resourceVersion"] != version:
                raise Conflict("the budget has changed")
            return budget

        await store.modify(ctx, name, change)


def _media(request: Request) -> MediaType:
    media = negotiate(request.header(b"accept"), pretty=is_pretty(request), tables=False)
    return MediaType(media.format, None, media.pretty)


def _success(status: int, media: MediaType, warnings: list[str]) -> AnyResponse:
    value: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
    }
    if status == 201:
        value["code"] = 201
    return response(status, written(value, media), media, warnings)
