"""TokenRequest: POST …/serviceaccounts/NAME/token → a token, which is nowhere stored.

Source: kube-apiserver v1.36.2, pkg/registry/core/serviceaccount/storage/token.go,
pkg/apis/authentication/validation/validation.go and v1/defaults.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.apiserver.codec import codec_for
from services.apiserver.errors import ApiError, BadRequest, Cause, Conflict, Invalid
from services.apiserver.http.negotiation import MediaType, negotiate
from services.apiserver.http.request import AnyResponse, Request, new_uuid
from services.apiserver.read.get import is_pretty, read
from services.apiserver.read.representation import response, written
from services.apiserver.registry.interpret import not_found
from services.apiserver.registry.served import Registry, Served
from services.apiserver.registry.strategy import Object
from services.apiserver.serviceaccounts.claims import Claims, Reference
from services.apiserver.validation.field import invalid
from services.apiserver.validation.names import path_segment
from services.apiserver.validation.options import parse_create_options
from services.apiserver.values.time import shifted
from services.apiserver.write.body import read_kind
from services.apiserver.write.writes import WriteFlow
from shared.signingkeys import SigningKey

GROUP, VERSION, KIND = "authentication.k8s.io", "authentication.k8s.io/v1", "TokenRequest"
DEFAULT_LIFETIME_S = 3600
MIN_LIFETIME_S, MAX_LIFETIME_S = 600, 2**32
POD_LIFETIME_S = 3607
"""What admission asks for in pods' volumes, and nobody else."""
ISSUED = "authentication.kubernetes.io/issued-credential-id"
"""The audit's annotation that leads from what a token did to who had it made."""
EXTENDED_LIFETIME_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """What tokens say whatever is asked for."""

    issuer: str
    api_audiences: tuple[str, ...]
    max_lifetime_s: int = 0
    """0: as long as may be asked for."""
    extend: bool = True
    """Let the tokens in pods' volumes live a year; their «warnafter» says when they should
    have been replaced."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The object that a token shall end with, and a pod's node."""

    pod: Reference | None = None
    secret: Reference | None = None
    node: Reference | None = None


class TokenRequests:
    def __init__(
        self,
        registry: Registry,
        flow: WriteFlow,
        key: SigningKey,
        policy: TokenPolicy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._flow = flow
        self._key = key
        self._policy = policy
        self._clock = clock

    async def create(self, request: Request, accounts: Served) -> AnyResponse:
        """Answer a TokenRequest with itself and the token.

        Raises:
            NotFound, Conflict: the account or the object to bind to is not there, or another.
            BadRequest, Invalid: such a token can't be had.
        """
        media = negotiate(request.header(b"accept"), pretty=is_pretty(request), tables=False)
        media = MediaType(media.format, None, media.pretty)
        options = parse_create_options(request.query)
        ctx = self._flow.context(request, dry_run=options.dry_run)
        asked = await read_kind(
            request,
            codec_for(GROUP, "v1", KIND),
            (VERSION, KIND),
            options.field_validation,
            ctx.warnings,
        )
        namespace, name = request.info.namespace, request.info.name
        self._flow.match_namespace(accounts, request.info, asked)
        spec = asked.setdefault("spec", {})
        if spec.get("expirationSeconds") is None:
            spec["expirationSeconds"] = DEFAULT_LIFETIME_S
        await self._flow.mutate_subresource(ctx, accounts, asked, options)
        meta = asked["metadata"]
        if meta.get("name", name) != name:
            message = "must match the service account name if specified"
            raise _refused([invalid("metadata.name", meta["name"], message)], name)
        account = await self._get(accounts, namespace, name)
        uid = account["metadata"]["uid"]
        if meta.get("uid", uid) != uid:
            raise _conflict(
                f"{KIND}.{GROUP}",
                {"name": name, "group": GROUP, "kind": KIND},
                f"the UID in the token request ({meta['uid']}) does not match the UID of the "
                f"service account ({uid})",
            )
        spec["audiences"] = spec.get("audiences") or list(self._policy.api_audiences)
        now = self._clock()
        meta.update(name=name, namespace=namespace, uid=uid, creationTimestamp=ctx.now)
        meta.pop("managedFields", None)
        asked["status"] = {"token": "", "expirationTimestamp": None}
        causes = validate_token_request(asked)
        if causes:
            raise _refused(causes, "")
        await self._flow.validate_subresource(ctx, accounts, asked, options)
        bound = await self._bound(namespace, name, spec.get("boundObjectRef"))
        longest = self._policy.max_lifetime_s
        if longest and spec["expirationSeconds"] > longest:
            ctx.warnings.append(
                f"requested expiration of {spec['expirationSeconds']} seconds shortened to "
                f"{longest} seconds"
            )
            spec["expirationSeconds"] = longest
        claims = self._claims(spec, namespace, Reference(name, uid), bound, int(now))
        request.audit.annotate(ISSUED, f"JTI={claims.token_id}")
        asked["status"] = {
            "token": self._key.sign(claims.payload(self._policy.issuer)),
            "expirationTimestamp": shifted(ctx.now, spec["expirationSeconds"]),
        }
        return response(201, written(_ordered(asked), media), media, ctx.warnings)

    def _claims(
        self, spec: Object, namespace: str, account: Reference, bound: Bound, now: int
    ) -> Claims:
        lifetime, warn_after = spec["expirationSeconds"], None
        extended = (
            self._policy.extend
            and bound.pod is not None
            and lifetime == POD_LIFETIME_S
            and set(spec["audiences"]) <= set(self._policy.api_audiences)
        )
        if extended:
            lifetime, warn_after = EXTENDED_LIFETIME_S, now + lifetime
        return Claims(
            namespace=namespace,
            account=account,
            pod=bound.pod,
            secret=bound.secret,
            node=bound.node,
            audiences=tuple(spec["audiences"]),
            token_id=new_uuid(),
            issued_at=now,
            not_before=now,
            expires_at=now + lifetime,
            warn_after=warn_after,
        )

    async def _bound(self, namespace: str, account: str, wanted: Object | None) -> Bound:
        if wanted is None:
            return Bound()
        group, version = _group_version(wanted.get("apiVersion", ""))
        kind, name = wanted.get("kind", ""), wanted.get("name", "")
        if group or kind not in ("Pod", "Secret", "Node"):
            shown = f"{group}/{version}, Kind={kind}"
            raise BadRequest(f"cannot bind token to object of type {shown}")
        resource = f"{kind.lower()}s"
        served = self._registry.find("", "v1", resource)
        assert served is not None, resource
        found = await self._get(served, "" if kind == "Node" else namespace, name)
        node = None
        if kind == "Pod":
            if found["spec"].get("serviceAccountName", "") != account:
                raise BadRequest(
                    f'cannot bind token for serviceaccount "{account}" to pod running with '
                    "different serviceaccount name."
                )
            node = await self._node(found["spec"].get("nodeName", ""))
        reference = Reference(name, found["metadata"]["uid"])
        if wanted.get("uid", "") not in ("", reference.uid):
            raise _conflict(
                kind,
                {"name": name, "kind": kind},
                f"the UID in the bound object reference ({wanted['uid']}) does not match the UID "
                "in record. The object might have been deleted and then recreated",
            )
        match kind:
            case "Pod":
                return Bound(pod=reference, node=node)
            case "Secret":
                return Bound(secret=reference)
        return Bound(node=reference)

    async def _node(self, name: str) -> Reference | None:
        """Return the node of a pod; one that does not exist (yet) is told by its name alone."""
        if not name:
            return None
        nodes = self._registry.find("", "v1", "nodes")
        assert nodes is not None
        store = nodes.store
        current = store.cached(store.key("", name)) or await store.live(store.key("", name))
        if current is None:
            return Reference(name, "")
        return Reference(name, store.decode(current.body)["metadata"]["uid"])

    async def _get(self, served: Served, namespace: str, name: str) -> Object:
        if not name:
            raise BadRequest("Name parameter required.")
        mistakes = path_segment(name)
        if mistakes:
            raise BadRequest(f'Name parameter invalid: "{name}": {";".join(mistakes)}')
        store = served.store
        body = await read(store, store.key(namespace, name), "")
        if body is None:
            raise not_found(served.resource, name)
        return store.decode(body)


def validate_token_request(asked: Object) -> list[Cause]:
    seconds = asked["spec"]["expirationSeconds"]
    path, found = "spec.expirationSeconds", []
    if seconds < MIN_LIFETIME_S:
        found.append(invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MAX_LIFETIME_S:
        found.append(invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    return found


def _group_version(api_version: str) -> tuple[str, str]:
    """Return both parts; a text of more than two says nothing, as in Go's parser."""
    parts = api_version.split("/")
    if len(parts) > 2:
        return "", ""
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


def _conflict(what: str, details: dict[str, str], why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {what} "{details["name"]}": {why}'
    return Conflict(message, details=dict(details))


def _refused(causes: list[Cause], name: str) -> ApiError:
    messages = [cause.message for cause in causes]
    text = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    details = {"name": name} if name else {}
    return Invalid(
        f'{KIND}.{GROUP} "{name}" is invalid: {text}',
        details={**details, "group": GROUP, "kind": KIND},
        causes=causes,
    )


def _ordered(asked: Object) -> Object:
    spec = asked["spec"]
    return {
        "kind": KIND,
        "apiVersion": VERSION,
        "metadata": asked["metadata"],
        "spec": {
            "audiences": spec["audiences"],
            "expirationSeconds": spec["expirationSeconds"],
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": asked["status"],
    }
