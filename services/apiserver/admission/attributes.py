"""Attributes: what admission is asked about. Plugin: what answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from services.apiserver.registry.strategy import Object, WriteContext
from services.apiserver.requestinfo import UserInfo
from services.apiserver.validation.options import DeleteOptions, WriteOptions
from shared.resources import Resource

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


# Not frozen: that takes 1.5 us longer to make, and a write makes two. Nobody changes one.
@dataclass(slots=True)
class Attributes:
    """One write, before it happens.

    `obj` is the new object (None for DELETE), `old` the present one (None for CREATE), both in
    the stored version. Mutating plugins change `obj` in place.
    """

    operation: Operation
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Object | None
    old: Object | None
    user: UserInfo
    dry_run: bool
    options: WriteOptions | DeleteOptions

    def is_for(self, group: str, resource: str, subresource: str = "") -> bool:
        """Whether this is a write of that resource (any version) and subresource."""
        return (
            self.resource.name == resource
            and self.resource.group == group
            and self.subresource == subresource
        )


class Plugin(Protocol):
    """One admission plugin, by kube-apiserver's name.

    `handles` is asked first and must be cheap: what it does not handle costs one call.
    """

    @property
    def name(self) -> str: ...

    def handles(self, attributes: Attributes) -> bool: ...


@runtime_checkable
class Mutating(Plugin, Protocol):
    """A plugin that may change the object."""

    async def admit(self, ctx: WriteContext, attributes: Attributes) -> None:
        """Change `attributes.obj`, or refuse.

        Raises:
            ApiError: the write is refused.
        """
        ...


@runtime_checkable
class Validating(Plugin, Protocol):
    """A plugin that looks at the finished object."""

    async def validate(self, ctx: WriteContext, attributes: Attributes) -> None:
        """Let pass, or refuse.

        Raises:
            ApiError: the write is refused.
        """
        ...
