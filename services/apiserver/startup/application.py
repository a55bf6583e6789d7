"""The application: handlers and stages over a state, one pipeline that every request passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from services.apiserver.admission.defaults import admission_chain
from services.apiserver.audit.auditor import Auditor
from services.apiserver.authorization import decide
from services.apiserver.authorization.escalation import EscalationCheck
from services.apiserver.configreloads import hash_label
from services.apiserver.discovery import Discovery
from services.apiserver.handlers.componentstatus import ComponentStatuses
from services.apiserver.handlers.dispatch import Dispatch
from services.apiserver.handlers.podactions import PodActions
from services.apiserver.handlers.reviews import Reviews
from services.apiserver.health import standard_checks, storage_check
from services.apiserver.http.request import Request
from services.apiserver.metrics import Metrics
from services.apiserver.openapi import OpenApi
from services.apiserver.options import ApiServerOptions
from services.apiserver.pipeline import Pipeline
from services.apiserver.read.watch import WatchLimits
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.routes import PlainRoutes
from services.apiserver.serviceaccounts.accounts import ServiceAccounts
from services.apiserver.serviceaccounts.tokenrequest import TokenRequests
from services.apiserver.stages.authorization import authorize
from services.apiserver.stages.flowcontrol import FlowControl, PriorityAndFairness
from services.apiserver.startup import gauges
from services.apiserver.startup.authenticators import Authentication
from services.apiserver.startup.authorizers import Authorization
from services.apiserver.startup.state import State
from services.apiserver.write.ownership import Ownership
from services.apiserver.write.writes import WriteFlow
from shared.resources import ResourceTable
from shared.watchcache import ReadyWatchers

OTHER_PATHS = (
    "/.well-known/openid-configuration",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/version",
)
"""What / lists beside the API and the health checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pipeline is made of."""

    table: ResourceTable
    openapi: OpenApi
    metrics: Metrics
    state: State
    accounts: ServiceAccounts
    authentication: Authentication
    authorization: Authorization
    flow_control: FlowControl
    auditor: Auditor | None
    address: str
    """HOST:PORT that discovery tells clients."""
    identity: str
    """What tells this server from others of the cluster."""
    is_stopping: Callable[[], bool]


def application(options: ApiServerOptions, parts: Parts) -> Pipeline:
    """Return the ASGI application; its metrics are shown in those of `parts`."""
    state, metrics = parts.state, parts.metrics
    authentication, flow_control = parts.authentication, parts.flow_control
    gauges.add(metrics, state.cache, flow_control)
    metrics.gauge(
        "authentication_attempts",
        "Requests by whether somebody was found behind them.",
        "result",
        lambda: authentication.authenticate.attempts,
    )
    show_access(metrics, parts)
    return Pipeline(
        authenticate=authentication.authenticate,
        authorizers=parts.authorization.authorizers,
        flow_control=flow_control,
        resources=resource_handlers(options, parts),
        plain=plain_routes(parts).router(),
        metrics=metrics,
        request_timeout_s=options.request_timeout_s,
        auditor=parts.auditor,
    )


def show_access(metrics: Metrics, parts: Parts) -> None:
    """Show what is counted of authentication, authorization and encryption."""
    server_hash = hash_label(parts.identity)
    jwt, authorization = parts.authentication.jwt, parts.authorization
    encryption = parts.state.encryption
    metrics.source(authorization.metrics.families)
    metrics.source(parts.accounts.tokens.uses.families)
    if encryption.reloads is not None:
        metrics.source(encryption.metrics.families)
    if jwt is not None:
        metrics.source(partial(jwt.metrics.families, server_hash))
    of_files = (
        None if jwt is None else jwt.reloads,
        authorization.reloads,
        encryption.reloads,
    )
    for reloads in of_files:
        if reloads is not None:
            metrics.source(partial(reloads.families, server_hash))


def resource_handlers(options: ApiServerOptions, parts: Parts) -> Dispatch:
    """Return what answers requests for resources."""
    state, authorization = parts.state, parts.authorization
    authorizers = authorization.authorizers

    async def check(request: Request, info: RequestInfo) -> None:
        await authorize(authorizers, request.user, info)

    async def permits(user: UserInfo, info: RequestInfo) -> bool:
        return (await decide(authorizers, user, info)).allowed

    chain = admission_chain(
        storage=state.storage,
        permits=permits,
        etcd_prefix=options.etcd_prefix,
        enabled=options.enabled_admission_plugins,
        disabled=options.disabled_admission_plugins,
    )
    escalation = EscalationCheck(authorizers, authorization.rbac)
    flow = WriteFlow(chain, state.lookup, check, escalation, Ownership(state.registry))
    reviews = Reviews(
        authorizers,
        authorization.resolvers,
        parts.authentication.tokens,
        audiences=options.service_accounts.api_audiences,
    )
    accounts = parts.accounts
    return Dispatch(
        parts.table,
        state.registry,
        flow,
        WatchLimits(options.min_request_timeout_s, ReadyWatchers(asyncio.get_running_loop())),
        PodActions(state.registry, flow),
        ComponentStatuses(storage_check(state.storage)),
        reviews,
        TokenRequests(state.registry, flow, accounts.signing_key, accounts.policy),
    )


def plain_routes(parts: Parts) -> PlainRoutes:
    """Return what answers all other requests."""
    health = standard_checks(
        storage_check(parts.state.storage),
        is_loaded=parts.state.events.ready.is_set,
        is_stopping=parts.is_stopping,
    )
    health_paths = [
        path
        for name, checks in health.items()
        for path in (f"/{name}", *(f"/{name}/{check}" for check in checks.names))
    ]
    flow_control = parts.flow_control
    return PlainRoutes(
        health=health,
        metrics=parts.metrics,
        discovery=Discovery(parts.table, parts.address, [*health_paths, *OTHER_PATHS]),
        openapi=parts.openapi,
        issuer=parts.accounts.documents,
        priority_levels=(
            flow_control.levels if isinstance(flow_control, PriorityAndFairness) else None
        ),
    )
