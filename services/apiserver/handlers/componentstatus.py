"""componentstatuses: what kube-apiserver can say of its peers, asked at each request.

Of the components this server talks to one: the storage, shown as etcd-0. Scheduler and
controller manager are not asked: where they run is not known here.
Source: kube-apiserver v1.36.2, pkg/registry/core/componentstatus/rest.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.apiserver.errors import MethodNotSupported, NotFound
from services.apiserver.http.negotiation import include_object, negotiate
from services.apiserver.http.request import AnyResponse, Request
from services.apiserver.printers import partial, partial_list, table
from services.apiserver.read.get import is_pretty
from services.apiserver.read.representation import response, written
from services.apiserver.registry.strategy import Object
from services.apiserver.values.time import seconds_now

CheckStorage = Callable[[], Awaitable[str | None]]


class ComponentStatuses:
    """The one resource that is read but not stored."""

    def __init__(self, check_storage: CheckStorage) -> None:
        self._checks = {"etcd-0": check_storage}

    async def answer(self, request: Request) -> AnyResponse:
        """Answer a GET of one or of all.

        Raises:
            NotFound: there is none of that name.
            MethodNotSupported: it was a watch.
        """
        info = request.info
        media = negotiate(request.header(b"accept"), pretty=is_pretty(request))
        if info.verb == "watch":
            raise MethodNotSupported(
                "watch is not supported on resources of kind componentstatuses",
                details={"kind": "componentstatuses"},
            )
        include = include_object(request.parameter("includeObject"))
        single = len(info.parts) > 1
        media.check_shape(is_list=not single)
        if single and info.name not in self._checks:
            raise NotFound(
                f'componentstatus "{info.name}" not found',
                details={"name": info.name, "kind": "componentstatus"},
            )
        names = [info.name] if single else sorted(self._checks)
        objects = [await self._status(name) for name in names]
        convert = media.convert
        if convert is not None and convert.kind == "Table":
            value = table(
                ("", "ComponentStatus"),
                objects,
                {},
                include_object=include,
                now=seconds_now(),
                api_version=convert.api_version,
            )
        elif single:
            value = objects[0] if convert is None else partial(objects[0], convert.api_version)
        elif convert is not None:
            value = partial_list(objects, {}, convert.api_version)
        else:
            for one in objects:
                del one["kind"], one["apiVersion"]
            value = {
                "kind": "ComponentStatusList",
                "apiVersion": "v1",
                "metadata": {},
                "items": objects,
            }
        return response(200, written(value, media), media)

    async def _status(self, name: str) -> Object:
        reason = await self._checks[name]()
        condition = {"type": "Healthy", "status": "False" if reason else "True"}
        condition |= {"error": reason} if reason else {"message": "ok"}
        return {
            "kind": "ComponentStatus",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "conditions": [condition],
        }
