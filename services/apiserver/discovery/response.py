"""What a published document's request is answered with."""

from __future__ import annotations

from dataclasses import dataclass

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class DocumentResponse:
    """A whole answer; header names are lower-case."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


TEXT_NOT_FOUND = DocumentResponse(
    404,
    (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
    ),
    b"404 page not found\n",
)
"""What a path gets that nothing at all is registered under."""
