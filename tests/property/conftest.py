"""One real API server for all tests that send it what no client should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import system
from tests.property.hostile import Hostile


@pytest.fixture(scope="session")
def hostile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Server]:
    with system.apiserver(tmp_path_factory.mktemp("hostile"), system.NO_ACCOUNTS) as server:
        yield server


@pytest.fixture(scope="module")
def hostile_client(hostile_server: system.Server) -> Iterator[Hostile]:
    client = Hostile(hostile_server)
    client.store_what_must_stay()
    yield client
    client.close()


@pytest.fixture
def hostile(hostile_client: Hostile) -> Iterator[Hostile]:
    """A client; after the test the server is well and what was stored is as it was."""
    yield hostile_client
    hostile_client.check_the_server_is_well()
