"""Reviews: questions to authentication and authorization, posted as objects and never stored.

Source: kube-apiserver v1.36.2, pkg/registry/authorization/*/rest.go and
pkg/registry/authentication/{selfsubjectreview,tokenreview}/rest.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from services.apiserver.authentication import TokenAuthenticator, tell
from services.apiserver.authentication.bearer import INVALID_TOKEN
from services.apiserver.authentication.union import aggregate
from services.apiserver.authorization import (
    Authorizer,
    Decision,
    Rule,
    RuleResolver,
    all_user_rules,
    decide,
)
from services.apiserver.authorization.reviewvalidation import (
    validate_local_review,
    validate_self_review,
    validate_subject_review,
)
from services.apiserver.codec import codec_for
from services.apiserver.errors import BadRequest, Cause, Invalid, Unauthorized
from services.apiserver.http.negotiation import negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.read.get import is_pretty
from services.apiserver.read.representation import response, written
from services.apiserver.registry.strategy import Object
from services.apiserver.requestinfo import RequestInfo, UserInfo
from services.apiserver.requestselectors import selectors_of_review
from services.apiserver.validation.options import parse_create_options
from services.apiserver.values.time import now
from services.apiserver.write.body import read_kind
from shared.resources import Resource

AUTHORIZATION = "authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"

Answer = Callable[[Request, Object], Awaitable[Object]]


class Reviews:
    """Answers the reviews. `audiences` are those that tokens of this server are meant for."""

    def __init__(
        self,
        authorizers: Sequence[Authorizer],
        resolvers: Sequence[RuleResolver],
        tokens: TokenAuthenticator,
        *,
        audiences: tuple[str, ...],
    ) -> None:
        self._authorizers = authorizers
        self._resolvers = resolvers
        self._tokens = tokens
        self._audiences = audiences
        self._answers: dict[tuple[str, str], Answer] = {
            (AUTHORIZATION, "selfsubjectaccessreviews"): self._self_access,
            (AUTHORIZATION, "subjectaccessreviews"): self._subject_access,
            (AUTHORIZATION, "localsubjectaccessreviews"): self._local_access,
            (AUTHORIZATION, "selfsubjectrulesreviews"): self._self_rules,
            (AUTHENTICATION, "selfsubjectreviews"): self._self_subject,
            (AUTHENTICATION, "tokenreviews"): self._token,
        }

    def handles(self, resource: Resource) -> bool:
        return (resource.group, resource.name) in self._answers

    async def answer(self, request: Request, resource: Resource) -> AnyResponse:
        """Answer the POST of a review with the review, its status filled in.

        Raises:
            BadRequest, Invalid: it does not ask properly.
        """
        media = negotiate(request.header(b"accept"), pretty=is_pretty(request), tables=False)
        options = parse_create_options(request.query)
        codec = codec_for(resource.group, resource.version, resource.kind)
        warnings: list[str] = []
        review = await read_kind(
            request,
            codec,
            (resource.group_version, resource.kind),
            options.field_validation,
            warnings,
        )
        meta, namespace = review["metadata"], request.info.namespace
        if not resource.namespaced:
            meta.pop("namespace", None)
        elif meta.setdefault("namespace", namespace) != namespace:
            raise BadRequest(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        review.setdefault("spec", {})
        answered = await self._answers[resource.group, resource.name](request, review)
        ordered = {name: review[name] for name in ("kind", "apiVersion")}
        return response(201, written({**ordered, **answered}, media), media, warnings)

    # -- authorization ---------------------------------------------------------------

    async def _self_access(self, request: Request, review: Object) -> Object:
        check(validate_self_review(review))
        return await self._decided(review, request.user)

    async def _subject_access(self, request: Request, review: Object) -> Object:
        check(validate_subject_review(review))
        return await self._decided(review, subject_of(review["spec"]))

    async def _local_access(self, request: Request, review: Object) -> Object:
        check(validate_local_review(review))
        return await self._decided(review, subject_of(review["spec"]))

    async def _decided(self, review: Object, user: UserInfo) -> Object:
        info = attributes_of(review["spec"])
        decision = await decide(self._authorizers, user, info)
        status: dict[str, Any] = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        error = evaluation_error(decision, info)
        if error:
            status["evaluationError"] = error
        return {"metadata": review["metadata"], "spec": review["spec"], "status": status}

    async def _self_rules(self, request: Request, review: Object) -> Object:
        namespace = review["spec"].get("namespace", "")
        if not namespace:
            raise BadRequest("no namespace on request")
        user = request.user
        found = await all_user_rules(self._resolvers, user, namespace)
        status: dict[str, Any] = {
            "resourceRules": [
                _part(rule, RESOURCE_FIELDS) for rule in found.rules if rule.get(RESOURCES)
            ],
            "nonResourceRules": [_part(rule, URL_FIELDS) for rule in found.rules if rule.get(URLS)],
            "incomplete": found.incomplete,
        }
        if found.error:
            status["evaluationError"] = found.error
        # The spec is not kept, as in kube-apiserver.
        return {"metadata": {}, "spec": {}, "status": status}

    # -- authentication --------------------------------------------------------------

    async def _self_subject(self, request: Request, review: Object) -> Object:
        return {
            "metadata": {"creationTimestamp": now()},
            "status": {"userInfo": user_as_dict(request.user)},
        }

    async def _token(self, request: Request, review: Object) -> Object:
        spec = review["spec"]
        token = spec.get("token", "")
        if not token:
            raise BadRequest("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or ()) or self._audiences
        status: dict[str, Any] = dict(review.get("status") or {})
        try:
            found = await self._tokens.authenticate_token(token, audiences)
            error = "" if found else INVALID_TOKEN
        except Unauthorized as bad:
            # kube-apiserver first asks whether it is its own token, and tells that, too.
            found, error = None, aggregate((Unauthorized(INVALID_TOKEN), bad)).message
        if found is None:
            status.pop("authenticated", None)
            status.update(user={}, error=error)
        else:
            tell(request.audit, found)
            status.update(authenticated=True, user=user_as_dict(found.user))
            if found.audiences:
                status["audiences"] = list(found.audiences)
        return {"metadata": review["metadata"], "spec": spec, "status": status}


RESOURCES, URLS = "resources", "nonResourceURLs"
RESOURCE_FIELDS = ("verbs", "apiGroups", RESOURCES, "resourceNames")
URL_FIELDS = ("verbs", URLS)


def _part(rule: Rule, fields: Sequence[str]) -> Rule:
    return {name: rule[name] for name in fields if rule.get(name)}


def check(causes: Sequence[Cause]) -> None:
    """Refuse a review that breaks rules; its Status names neither kind nor name."""
    if not causes:
        return
    messages = list(dict.fromkeys(cause.message for cause in causes))
    text = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    raise Invalid(
        f'.{AUTHORIZATION} "" is invalid: {text}',
        details={"group": AUTHORIZATION},
        causes=causes,
    )


def subject_of(spec: Object) -> UserInfo:
    """Return the user that a SubjectAccessReview asks about; no group is implied."""
    extra = tuple((key, tuple(values or ())) for key, values in (spec.get("extra") or {}).items())
    groups = tuple(spec.get("groups") or ())
    return UserInfo(spec.get("user", ""), spec.get("uid", ""), groups, extra)


def attributes_of(spec: Object) -> RequestInfo:
    """Return what an access review asks about."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return RequestInfo(False, other.get("path", ""), other.get("verb", ""))
    about = spec["resourceAttributes"]
    return RequestInfo(
        True,
        "",
        about.get("verb", ""),
        group=about.get("group", ""),
        version=about.get("version", ""),
        namespace=about.get("namespace", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        name=about.get("name", ""),
        selectors=selectors_of_review(about),
    )


def evaluation_error(decision: Decision, info: RequestInfo) -> str:
    """Return what went wrong on the way to a decision, "" for nothing."""
    errors = [decision.error] if decision.error else []
    if info.selectors is not None:
        for name, (understood, error) in (
            ("fieldSelector", info.selectors.fields()),
            ("labelSelector", info.selectors.labels()),
        ):
            if error:
                how = "partially ignored" if understood else "ignored"
                errors.append(f"spec.resourceAttributes.{name} {how} due to parse error")
    return "; ".join(errors)


def user_as_dict(user: UserInfo) -> Object:
    """Return a user as reviews show it."""
    out: Object = {"username": user.name}
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = user.extra_as_dict()
    return out
