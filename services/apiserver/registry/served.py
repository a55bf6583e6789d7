"""Served: one resource in one version, with all that the handlers need of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from services.apiserver.codec import Codec
from services.apiserver.printers.printer import Printer
from services.apiserver.registry.store import ResourceStore
from services.apiserver.registry.strategy import Object
from shared.resources import Resource


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a served version differs from the stored one. Both ways make a new object."""

    to_storage: Callable[[Object], Object]
    from_storage: Callable[[Object], Object]


@dataclass(frozen=True, slots=True)
class Served:
    """A resource in the version of a URL. `conversion` is None where it is the stored one."""

    resource: Resource
    store: ResourceStore
    codec: Codec
    conversion: Conversion | None = None
    printer: Printer | None = None
    """Renders Tables; None: the one of the kind."""
    deprecation: str = ""
    """What every answer warns of."""
    form: Hashable = None
    """Differs between those that render the same stored object differently."""
    terminating: bool = False
    """Nothing may be created any more: the definition of the resource is being deleted."""

    def to_storage(self, obj: Object) -> Object:
        return obj if self.conversion is None else self.conversion.to_storage(obj)

    def from_storage(self, obj: Object) -> Object:
        return obj if self.conversion is None else self.conversion.from_storage(obj)


class Registry:
    """The resources that are stored and served, by URL. Custom ones come and go."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], Served] = {}
        self._stores: dict[tuple[str, str], ResourceStore] = {}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def add(self, served: Served) -> None:
        self._served[served.resource.gvr] = served
        self._stores[served.resource.group, served.resource.name] = served.store

    def discard(self, gvr: tuple[str, str, str]) -> None:
        """Serve that no longer; nothing happens if it was not served."""
        gone = self._served.pop(gvr, None)
        if gone is None:
            return
        key = (gone.resource.group, gone.resource.name)
        if self._stores.get(key) is gone.store:
            del self._stores[key]

    def find(self, group: str, version: str, name: str) -> Served | None:
        return self._served.get((group, version, name))

    def stored(self, group: str, name: str) -> ResourceStore | None:
        """Return the store of a resource, in whatever version it is served."""
        return self._stores.get((group, name))
