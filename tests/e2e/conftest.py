"""One system for all end-to-end tests, a namespace for each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kubernetes import client as api
from kubernetes import config as kubeconfig

from tests.e2e import system
from tests.e2e.kubectl import BINARY, Kubectl

# KUBEFAN_TEST_STORES=embedded,etcd runs every test once on each.
STORES = os.environ.get("KUBEFAN_TEST_STORES", "embedded").split(",")

_numbers = itertools.count()


@pytest.fixture(scope="session", params=STORES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[system.Server]:
    """A whole system, as `kubefan up` starts it, but that new namespaces have no ConfigMap:
    many tests list those, and want to see no others than theirs."""
    data_dir = tmp_path_factory.mktemp(f"system-{request.param}")
    with ExitStack() as stack:
        flags = ["--controllers=*,-root-ca-certificate-publisher-controller"]
        if request.param == "etcd":
            flags.append(f"--etcd-servers={stack.enter_context(system.etcd(data_dir))}")
        yield stack.enter_context(system.system(data_dir, *flags))


@pytest.fixture(scope="session")
def server_url(server: system.Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kubectl's home directory; shared, so that discovery is cached as for a user."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def admin(server: system.Server, home: Path) -> Kubectl:
    """kubectl without a namespace."""
    if not BINARY.exists():
        pytest.fail("no kubectl beside this Python: install the dev extras")
    return Kubectl(server.kubeconfig, home)


@pytest.fixture(scope="session")
def api_client(server: system.Server) -> Iterator[api.ApiClient]:
    """The official Python client."""
    with kubeconfig.new_client_from_config(str(server.kubeconfig)) as client:
        yield client


@pytest.fixture(scope="session")
def core(api_client: api.ApiClient) -> api.CoreV1Api:
    return api.CoreV1Api(api_client)


@pytest.fixture
def namespace(core: api.CoreV1Api) -> Iterator[str]:
    """A new namespace; its deletion afterwards is not waited for."""
    name = f"test-{next(_numbers)}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    try:
        core.delete_namespace(name)
    except api.ApiException as error:
        if error.status != 404:
            raise


@pytest.fixture
def kubectl(admin: Kubectl, namespace: str) -> Kubectl:
    """kubectl in a namespace of the test's own."""
    return Kubectl(admin.kubeconfig, admin.home, namespace)
