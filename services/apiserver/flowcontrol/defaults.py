"""The default flow control objects: created, kept as they should be, removed when obsolete.

The mandatory ones always have their spec. A suggested one is left alone once somebody has taken
it over: by the annotation, or, without one, by any change of its spec.
Source: kube-apiserver v1.36.2, pkg/registry/flowcontrol/ensurer/strategy.go and
pkg/registry/flowcontrol/rest/storage_flowcontrol.go.
"""

from __future__ import annotations

import asyncio
import copy
import logging

from services.apiserver.errors import AlreadyExists, ApiError, NotFound
from services.apiserver.flowcontrol.status import USER
from services.apiserver.kinds.platform.flowcontrolbootstrap import (
    AUTO_UPDATE,
    GROUP,
    flow_control_objects,
)
from services.apiserver.kinds.platform.flowschemas import MANDATORY_FLOW_SCHEMAS
from services.apiserver.kinds.platform.prioritylevels import MANDATORY_PRIORITY_LEVELS
from services.apiserver.registry.deletion import DeleteRequest
from services.apiserver.registry.served import Registry
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Lookup, Object, WriteContext
from services.apiserver.requestinfo import RequestInfo
from services.apiserver.values.time import now

log = logging.getLogger("kubefan.apiserver.flowcontrol")

MANDATORY = {
    "flowschemas": frozenset(MANDATORY_FLOW_SCHEMAS),
    "prioritylevelconfigurations": frozenset(MANDATORY_PRIORITY_LEVELS),
}
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


async def ensure_defaults(registry: Registry, lookup: Lookup) -> None:
    """Make the default objects as they should be.

    Raises:
        ExceptionGroup: of StorageErrors, the storage did not answer.
    """
    wanted: dict[str, dict[str, Object]] = {name: {} for name in MANDATORY}
    for resource, obj in flow_control_objects():
        wanted[resource][obj["metadata"]["name"]] = obj
    # All at once: the storage commits together what comes together.
    async with asyncio.TaskGroup() as tasks:
        for resource, objects in wanted.items():
            store = registry.stored(GROUP, resource)
            if store is None:
                continue
            for obj in objects.values():
                tasks.create_task(_ensure(store, lookup, obj), name="flow control default")
            for item in store.cache.scan(store.prefix):
                meta = store.decode(item.body)["metadata"]
                is_ours = _annotated(meta) is True
                if is_ours and meta["name"] not in objects:
                    tasks.create_task(
                        _remove(store, lookup, meta["name"]), name="flow control obsolete"
                    )


def with_defaults(present: Object, wanted: Object, *, mandatory: bool) -> Object:
    """Return an object as it should be, given how it is and its default."""
    meta = present["metadata"]
    annotated = _annotated(meta)
    updates = annotated if annotated is not None else meta.get("generation", 1) == 1
    if mandatory:
        updates = True
    annotations = meta.get("annotations") or {}
    if annotated is None or (mandatory and annotated is not True):
        annotations = {**annotations, AUTO_UPDATE: "true" if updates else "false"}
    spec = present.get("spec")
    if updates:
        spec = copy.deepcopy(wanted["spec"])
        if mandatory and spec.get("type") == "Exempt":
            # Of the exempt level this part is the operator's own.
            exempt = (present.get("spec") or {}).get("exempt")
            spec = {**spec, "exempt": exempt or spec["exempt"]}
    return {**present, "metadata": {**meta, "annotations": annotations}, "spec": spec}


def _annotated(meta: Object) -> bool | None:
    value: str = (meta.get("annotations") or {}).get(AUTO_UPDATE, "")
    return _BOOLEANS.get(value)


async def _ensure(store: ResourceStore, lookup: Lookup, obj: Object) -> None:
    name = obj["metadata"]["name"]
    mandatory = name in MANDATORY[store.resource.name]
    cached = store.cache.get(store.key("", name))
    obj = copy.deepcopy(obj)  # its parts are shared
    store.strategy.default(obj)
    try:
        if cached is None:
            ctx = _context(store, lookup, "create", name)
            store.fill_system_fields(ctx, obj)
            await store.create(ctx, obj)
            return
        present = store.decode(cached.body)
        if with_defaults(present, obj, mandatory=mandatory) == present:
            return

        async def change(old: Object | None) -> Object:
            if old is None:
                raise NotFound(f"{name} is gone")
            new = with_defaults(old, obj, mandatory=mandatory)
            new["metadata"].pop("resourceVersion", None)
            return new

        ctx = _context(store, lookup, "update", name)
        await store.update(ctx, name, change, may_be_unconditional=True)
    except AlreadyExists:
        return  # another replica does the same
    except ApiError as error:
        log.error("flow control default", extra={"object": name, "why": error.message})


async def _remove(store: ResourceStore, lookup: Lookup, name: str) -> None:
    try:
        await store.delete(_context(store, lookup, "delete", name), name, DeleteRequest())
    except NotFound:
        return
    except ApiError as error:
        log.error("flow control obsolete", extra={"object": name, "why": error.message})


def _context(store: ResourceStore, lookup: Lookup, verb: str, name: str) -> WriteContext:
    resource = store.resource
    info = RequestInfo(
        True, "", verb, "", resource.group, resource.version, "", resource.name, "", name
    )
    return WriteContext(info, USER, now(), lookup)
