"""The allocator's bounds are set where the C library has them."""

from __future__ import annotations

import ctypes

import pytest

from services.apiserver.startup import memory


def test_glibc_is_told_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}

    class Glibc:
        def __init__(self, name: str | None) -> None:
            assert name is None

        def mallopt(self, what: int, value: int) -> int:
            told[what] = value
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Glibc)
    memory.bound_allocator()
    assert told == {-8: 1, -3: 1024 * 1024, -1: 1024 * 1024}


def test_a_library_without_bounds_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory.bound_allocator()
