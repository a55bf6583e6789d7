"""One server for all attempts; each test takes a user of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.hostile.world import World, running


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("hostile")) as found:
        yield found
