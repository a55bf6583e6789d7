"""The operations of the API, derived from the resource table, for either OpenAPI version.

Source: kube-apiserver v1.36.2, apiserver/pkg/endpoints/installer.go (built-in resources),
apiextensions-apiserver/pkg/controller/openapi/builder/builder.go (custom ones).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from services.apiserver.openapi import parameters as p
from services.apiserver.openapi.operationids import operation_id, tag_of
from services.apiserver.openapi.parameters import Parameter
from shared.resources import GroupVersionKind, Resource, Subresource

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS = f"{META}.Status"
DELETE_OPTIONS = f"{META}.DeleteOptions"
PATCH = f"{META}.Patch"
WATCH_EVENT = f"{META}.WatchEvent"
STRING = "string"
"""Stands for a definition where an answer is plain text."""

_MEDIA_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_STREAMS = (
    *_MEDIA_TYPES,
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
)
_ANY = ("*/*",)
_CUSTOM_MEDIA_TYPES = _MEDIA_TYPES[:2]
_CUSTOM_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)
_PATCHES = (*_CUSTOM_PATCHES, "application/strategic-merge-patch+json")

_PROXY_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_OK = (200, "OK")
_CREATED = (201, "Created")
_ACCEPTED = (202, "Accepted")

_RETURNED_WHEN_DELETED = {
    "": {
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
    },
    "resource.k8s.io": {
        "deviceclasses",
        "resourceclaims",
        "resourceclaimtemplates",
        "resourceslices",
    },
    "storage.k8s.io": {
        "csidrivers",
        "csinodes",
        "storageclasses",
        "volumeattachments",
        "volumeattributesclasses",
    },
}
"""Resources, by group, whose DELETE answers with the object."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `answers` maps a status code to its description and the definition of its body;
    `body` is the definition of the request's.
    """

    path: str
    method: str
    id: str
    tag: str
    description: str
    produces: tuple[str, ...]
    consumes: tuple[str, ...]
    answers: Mapping[int, tuple[str, str]]
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    body_required: bool = True
    action: str = ""
    gvk: GroupVersionKind | None = field(default=None)


def resource_operations(resource: Resource) -> Iterator[Operation]:
    """Yield what can be done with a resource and its subresources."""
    yield from _Routes(resource).operations()
    for sub in resource.subresources.values():
        yield from _Routes(resource, sub).operations()


class _Routes:
    """The operations of one resource or subresource."""

    def __init__(self, resource: Resource, sub: Subresource | None = None) -> None:
        self.resource = resource
        self.sub = sub
        self.custom = resource.custom
        self.root = f"/apis/{resource.group}" if resource.group else "/api"
        self.root += f"/{resource.version}"
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        self.collection = f"{scope}/{resource.name}"
        self.item = f"{self.collection}/{{name}}"
        self.gvk = resource.gvk
        self.definition = resource.definition
        if sub is not None:
            self.item += f"/{sub.name}"
            if sub.version:
                self.definition = _definition(sub.group, sub.version, sub.kind)
            else:
                self.definition = _sibling(resource.definition, sub.kind)
            if not self.custom:  # custom ones name their own kind even for /scale
                group, version = sub.group or resource.group, sub.version or resource.version
                self.gvk = GroupVersionKind(group, version, sub.kind)
        self.media_types = _CUSTOM_MEDIA_TYPES if self.custom else _MEDIA_TYPES
        self.consumes = _CUSTOM_MEDIA_TYPES if self.custom else _ANY

    def operations(self) -> Iterator[Operation]:
        sub = self.sub
        if sub is None:
            verbs = self.resource.verbs
            if "list" in verbs:
                yield from self._lists("watch" in verbs)
            if "create" in verbs:
                yield self._create(self.collection)
            if "deletecollection" in verbs:
                yield self._delete_collection()
            yield from self._item_operations(verbs)
        elif sub.kind in p.CONNECT_OPTIONS:
            yield from self._connects(sub)
        elif sub.name == "log":
            read = self._read()
            yield replace(
                read,
                produces=("text/plain", *read.produces),
                answers={200: ("OK", STRING)},
                parameters=(*read.parameters, *p.LOG_OPTIONS),
            )
        else:
            if "create" in sub.verbs:
                yield self._create(self.item)
            yield from self._item_operations(sub.verbs)

    def _item_operations(self, verbs: tuple[str, ...]) -> Iterator[Operation]:
        if "get" in verbs:
            yield self._read()
        if "update" in verbs:
            yield self._operation(
                "PUT",
                self.item,
                "replace",
                "put",
                f"replace {self._of_the_specified}",
                (_OK, _CREATED),
                options=p.UPDATE_OPTIONS,
                body=self.definition,
            )
        if "patch" in verbs:
            patched = self._operation(
                "PATCH",
                self.item,
                "patch",
                "patch",
                f"partially update {self._of_the_specified}",
                (_OK,) if self.custom else (_OK, _CREATED),
                options=p.PATCH_OPTIONS,
                body=PATCH,
            )
            yield replace(patched, consumes=_CUSTOM_PATCHES if self.custom else _PATCHES)
        if "delete" in verbs:
            returned = self.resource.name in _RETURNED_WHEN_DELETED.get(self.resource.group, ())
            deleted = self._operation(
                "DELETE",
                self.item,
                "delete",
                "delete",
                f"delete {_article(self.resource.kind)}{self.resource.kind}",
                (_OK, _ACCEPTED),
                options=p.DELETE_OPTIONS,
                body=DELETE_OPTIONS,
                answer=self.definition if returned else STATUS,
            )
            yield replace(deleted, body_required=False)
        if "watch" in verbs and not self.custom:
            yield self._watch(self.item, "watch", "", "changes to an object of kind")

    def _lists(self, watched: bool) -> Iterator[Operation]:
        suffix = "ForAllNamespaces"
        yield self._list(self.collection, "", watched)
        if self.resource.namespaced:
            yield self._list(f"/{self.resource.name}", suffix, watched)
        if watched and not self.custom:
            what = "individual changes to a list of"
            yield self._watch(self.collection, "watchlist", "List", what)
            if self.resource.namespaced:
                path = f"/{self.resource.name}"
                yield self._watch(path, "watchlist", f"List{suffix}", what)

    def _list(self, path: str, suffix: str, watched: bool) -> Operation:
        what = "list" if self.custom or not watched else "list or watch"
        operation = self._operation(
            "GET",
            path,
            "list",
            "list",
            f"{what} objects of kind {self.resource.kind}",
            (_OK,),
            options=p.LIST_OPTIONS,
            answer=_sibling(self.resource.definition, self.resource.list_kind),
            suffix=suffix,
        )
        return operation if self.custom else replace(operation, produces=_STREAMS)

    def _watch(self, path: str, action: str, suffix: str, what: str) -> Operation:
        instead = "use the 'watch' parameter with a list operation instead"
        if action == "watch":
            instead += ", filtered to a single item with the 'fieldSelector' parameter"
        operation = self._operation(
            "GET",
            path,
            "watch",
            action,
            f"watch {what} {self.resource.kind}. deprecated: {instead}.",
            (_OK,),
            options=p.LIST_OPTIONS,
            answer=WATCH_EVENT,
            suffix=suffix,
        )
        return replace(operation, path=f"{self.root}/watch{path}", produces=_STREAMS)

    def _create(self, path: str) -> Operation:
        sub = f"{self.sub.name} of " if self.sub is not None else ""
        return self._operation(
            "POST",
            path,
            "create",
            "post",
            f"create {sub}{_article(self.resource.kind)}{self.resource.kind}",
            (_OK, _CREATED, _ACCEPTED),
            options=p.CREATE_OPTIONS,
            body=self.definition,
        )

    def _delete_collection(self) -> Operation:
        options = p.LIST_OPTIONS if self.custom else (*p.DELETE_OPTIONS, *p.COLLECTION_OPTIONS)
        deleted = self._operation(
            "DELETE",
            self.collection,
            "deletecollection",
            "deletecollection",
            f"delete collection of {self.resource.kind}",
            (_OK,),
            options=options,
            body=None if self.custom else DELETE_OPTIONS,
            answer=STATUS,
        )
        return replace(deleted, body_required=False)

    def _read(self) -> Operation:
        return self._operation(
            "GET",
            self.item,
            "read",
            "get",
            f"read {self._of_the_specified}",
            (_OK,),
            options=(p.RESOURCE_VERSION,) if self.custom else (),
        )

    def _connects(self, sub: Subresource) -> Iterator[Operation]:
        proxy = sub.name == "proxy"
        for path, suffix in (("", ""), ("/{path}", "WithPath")) if proxy else (("", ""),):
            for method in _PROXY_METHODS if proxy else ("GET", "POST"):
                operation = self._operation(
                    method,
                    self.item + path,
                    f"connect{method.title()}",
                    "connect",
                    f"connect {method} requests to {sub.name} of {self.resource.kind}",
                    (_OK,),
                    options=(*p.CONNECT_OPTIONS[sub.kind], *((p.PROXY_PATH,) if path else ())),
                    answer=STRING,
                    suffix=suffix,
                )
                parameters = tuple(one for one in operation.parameters if one is not p.PRETTY)
                yield replace(operation, produces=_ANY, consumes=_ANY, parameters=parameters)

    @property
    def _of_the_specified(self) -> str:
        sub = f"{self.sub.name} of " if self.sub is not None else ""
        return f"{sub}the specified {self.resource.kind}"

    def _operation(
        self,
        method: str,
        path: str,
        verb: str,
        action: str,
        description: str,
        codes: tuple[tuple[int, str], ...],
        *,
        options: tuple[Parameter, ...],
        body: str | None = None,
        answer: str = "",
        suffix: str = "",
    ) -> Operation:
        """`verb` begins the operation id, `suffix` ends it."""
        resource = self.resource
        everywhere = suffix.endswith("ForAllNamespaces")
        scope = "Namespaced" if resource.namespaced and not everywhere else ""
        sub = self.sub.name.title() if self.sub is not None else ""
        own: tuple[Parameter, ...] = (p.PRETTY, *options)
        if "{namespace}" in path:
            own = (*own, p.NAMESPACE)
        if "{name}" in path:
            own = (*own, p.name_of(resource.kind))
        return Operation(
            path=self.root + path,
            method=method.lower(),
            id=operation_id(f"{verb}{scope}{resource.kind}{sub}{suffix}", self.root),
            tag=tag_of(self.root),
            description=description,
            produces=self.media_types,
            consumes=self.consumes,
            answers={code: (text, answer or self.definition) for code, text in codes},
            parameters=own,
            body=body,
            action=action,
            gvk=self.gvk,
        )


def document_operations(path: str) -> Iterator[Operation]:
    """Yield the one operation of a discovery document: "/apis/", "/apis/apps/v1/", "/version/"."""
    parts = path.strip("/").split("/")
    consumes: tuple[str, ...] = _MEDIA_TYPES
    produces: tuple[str, ...] = _MEDIA_TYPES
    match parts:
        case ["api"]:
            name, text, answer = "APIVersions", "available API versions", f"{META}.APIVersions"
        case ["apis"]:
            name, text, answer = "APIVersions", "available API versions", f"{META}.APIGroupList"
        case ["apis", _]:
            name, text, answer = "APIGroup", "information of a group", f"{META}.APIGroup"
        case ["version"]:
            name, text = "CodeVersion", "the version information for this server"
            answer = "io.k8s.apimachinery.pkg.version.Info"
            consumes = produces = ("application/json",)
        case [".well-known", _]:
            name = "ServiceAccountIssuerOpenIDConfiguration"
            text = "service account issuer OpenID configuration, also known as the "
            text += "'OIDC discovery doc'"
            answer, produces, consumes = STRING, ("application/json",), _ANY
        case ["openid", *_]:
            name = "ServiceAccountIssuerOpenIDKeyset"
            text = "service account issuer OpenID JSON Web Key Set (contains public token "
            text += "verification keys)"
            answer, produces, consumes = STRING, ("application/jwk-set+json",), _ANY
        case _:
            name, text = "APIResources", "available resources"
            answer = f"{META}.APIResourceList"
    yield Operation(
        path=path,
        method="get",
        id=operation_id(f"get{name}", path),
        tag=tag_of(path),
        description=f"get {text}",
        produces=produces,
        consumes=consumes,
        answers={200: ("OK", answer)},
    )


def _article(kind: str) -> str:
    """ "a " or "an "; plurals like Endpoints have none."""
    if kind.endswith("s") and not kind.endswith("ss"):
        return ""
    return "an " if kind[0].lower() in "aeiou" else "a "


def _sibling(definition: str, kind: str) -> str:
    package, _, _ = definition.rpartition(".")
    return f"{package}.{kind}"


def _definition(group: str, version: str, kind: str) -> str:
    return f"io.k8s.api.{group.split('.')[0]}.{version}.{kind}"
