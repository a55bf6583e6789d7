"""The etcd store keeps the contract, and what only it promises."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.storage import KeyExists, Revision, StorageError, StorageUnavailable
from shared.storage.etcd import EtcdStorage, leases, store
from shared.storage.etcd.store import progress_is_safe
from shared.tlsfiles import TlsFiles
from tests.contract.etcd_server import EtcdProcess, free_ports, start_etcd
from tests.contract.storage import Run, StorageContract, Story, collect, watching
from tests.contract.storage_survival import assert_survived, load_until_killed

EtcdStory = Callable[[EtcdStorage], Awaitable[None]]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    etcd = start_etcd(tmp_path_factory.mktemp("etcd"))
    yield etcd
    etcd.kill()


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EtcdProcess]:
    """One that the test may kill."""
    etcd = start_etcd(tmp_path / "etcd")
    yield etcd
    etcd.kill()


def run(url: str, story: EtcdStory, timeout_s: float = 5.0) -> None:
    """Connect, empty the store, run the story, close."""

    async def main() -> None:
        storage = await EtcdStorage.open(url, timeout_s=timeout_s)
        try:
            left = (await storage.list(b"")).items
            await asyncio.gather(
                *(storage.delete(item.key, expected=item.revision) for item in left)
            )
            async with asyncio.timeout(20):
                await story(storage)
        finally:
            await storage.aclose()

    asyncio.run(main())


class TestEtcdStorage(StorageContract):
    @pytest.fixture
    def run(self, etcd: EtcdProcess) -> Run:
        def run_story(story: Story) -> None:
            run(etcd.url, story)

        return run_story


# --- endpoints ----------------------------------------------------------------------------


def nobody_listens() -> str:
    return f"http://127.0.0.1:{free_ports()[0]}"


def test_a_dead_server_is_unavailable_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        asyncio.run(EtcdStorage.open(nobody_listens()))
    assert time.monotonic() - started < 3


def test_a_server_that_never_answers_is_unavailable_after_the_deadline() -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StorageUnavailable):
            asyncio.run(EtcdStorage.open(f"http://127.0.0.1:{port}", timeout_s=0.3))
    assert time.monotonic() - started < 3


def test_an_endpoint_that_never_answers_is_left_for_the_next(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        revision = await storage.create(b"/pods/a", b"v")
        assert await storage.current_revision() == revision

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        run(f"http://127.0.0.1:{port},{etcd.url}", story, timeout_s=2)


def test_the_next_endpoint_is_used_when_one_is_dead(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        revision = await storage.create(b"/pods/a", b"v")
        assert await storage.current_revision() == revision
        async with watching(storage, b"/pods/", Revision(revision - 1)) as watch:
            assert len(await collect(watch, 1)) == 1

    run(f"{nobody_listens()}, {etcd.url}", story)
    run(f"{etcd.url},{nobody_listens()}", story)


@pytest.mark.parametrize("endpoints", ["", " , ", "ftp://127.0.0.1:2379"])
def test_endpoints_that_are_none_are_refused(endpoints: str) -> None:
    with pytest.raises(StorageError, match="endpoint"):
        asyncio.run(EtcdStorage.open(endpoints))


@pytest.mark.parametrize(
    ("size_bytes", "message"), [(8 << 20, "request is too large"), (9 << 20, "larger than max")]
)
def test_a_value_too_large_for_etcd_is_an_error_that_says_so(
    etcd: EtcdProcess, size_bytes: int, message: str
) -> None:
    """The first is etcd's own limit, the second that of its gRPC server above it."""

    async def story(storage: EtcdStorage) -> None:
        with pytest.raises(StorageError, match=message) as refusal:
            await storage.create(b"/blob", bytes(size_bytes))
        assert not isinstance(refusal.value, StorageUnavailable)

    run(etcd.url, story)


def test_operations_are_observed_with_their_duration(etcd: EtcdProcess) -> None:
    seen: list[tuple[str, float]] = []

    async def main() -> None:
        storage = await EtcdStorage.open(etcd.url, observe=lambda *call: seen.append(call))
        revision = await storage.create(b"/observed", b"")
        with pytest.raises(KeyExists):
            await storage.create(b"/observed", b"")
        await storage.delete(b"/observed", expected=revision)
        await storage.aclose()

    asyncio.run(main())
    operations = [operation for operation, _ in seen]
    assert operations == ["current_revision", "create", "create", "delete"]
    assert all(0 < seconds < 20 for _, seconds in seen)


# --- lists and watches --------------------------------------------------------------------


def test_pages_grow_and_shrink_with_the_size_of_the_objects(
    etcd: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_BYTES", 10_000)
    monkeypatch.setattr(store, "FIRST_PAGE_KEYS", 2)
    sizes = [10] * 100 + [4000] * 30 + [30_000] * 3 + [0] * 50

    async def story(storage: EtcdStorage) -> None:
        keys = [b"/pods/%03d" % number for number in range(len(sizes))]
        await asyncio.gather(
            *(storage.create(key, bytes(size)) for key, size in zip(keys, sizes, strict=True))
        )
        page = await storage.list(b"/pods/")
        assert [item.key for item in page.items] == keys
        assert [len(item.value) for item in page.items] == sizes
        assert page.remaining == 0
        page = await storage.list(b"/pods/", limit=150)
        assert [item.key for item in page.items] == keys[:150]
        assert page.remaining == len(keys) - 150

    run(etcd.url, story)


def test_a_history_too_large_for_one_message_arrives_whole(etcd: EtcdProcess) -> None:
    """etcd sends it in fragments, also in the middle of a revision's size."""

    async def story(storage: EtcdStorage) -> None:
        after = await storage.current_revision()
        written = []
        for number in range(12):
            value = b"%d" % number * (1 << 20)
            revision = await storage.create(b"/blobs/a", value)
            written.append((revision, value))
            written.append((await storage.delete(b"/blobs/a", expected=revision), None))
        async with watching(storage, b"/blobs/", after) as watch:
            changes = await collect(watch, 24)
        assert [(change.revision, change.value) for change in changes] == written
        assert all(change.previous for change in changes[1::2])

    run(etcd.url, story)


def test_a_watch_goes_on_behind_its_last_batch_when_etcd_comes_back(own_etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        after = await storage.current_revision()
        async with watching(storage, b"/pods/", after) as watch:
            await storage.create(b"/pods/0", b"v")
            keys = [change.key for change in await collect(watch, 1)]
            for number in (1, 2):
                waiting = asyncio.create_task(collect(watch, 1))
                own_etcd.kill()
                await asyncio.sleep(0.2)
                assert not waiting.done()
                own_etcd.start()
                await until_created(storage, b"/pods/%d" % number)
                keys += [change.key for change in await waiting]
        assert keys == [b"/pods/0", b"/pods/1", b"/pods/2"]

    run(own_etcd.url, story)


def test_a_watch_of_a_dead_server_can_not_be_opened(own_etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        after = await storage.current_revision()
        own_etcd.kill()
        async with watching(storage, b"/pods/", after) as watch:
            with pytest.raises(StorageUnavailable):
                await anext(watch)

    run(own_etcd.url, story)


def test_closing_ends_a_watch_that_waits_for_etcd_to_come_back(own_etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        watch = storage.watch(b"/pods/", after=await storage.current_revision())
        await storage.create(b"/pods/a", b"v")
        await anext(watch)
        waiting = asyncio.create_task(anext(watch, None))
        own_etcd.kill()
        await asyncio.sleep(0.3)
        await storage.aclose()
        assert await waiting is None

    run(own_etcd.url, story)


async def until_created(storage: EtcdStorage, key: bytes) -> None:
    while True:
        try:
            await storage.create(key, b"v")
        except StorageUnavailable:
            await asyncio.sleep(0.05)
        except KeyExists:  # an attempt whose answer was lost
            return
        else:
            return


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ("3.4.23", False),
        ("3.4.31", True),
        ("3.5.12", False),
        ("3.5.13", True),
        ("3.6.0-rc.1", True),
        ("4.0.0", True),
        ("3.3.27", False),
    ],
)
def test_progress_is_asked_only_of_servers_that_tell_it_right(version: str, safe: bool) -> None:
    assert progress_is_safe(version) is safe


def test_asked_for_progress_a_watch_tells_how_far_it_has_come(
    etcd: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "progress_is_safe", lambda version: True)

    async def story(storage: EtcdStorage) -> None:
        after = await storage.current_revision()
        async with watching(storage, b"/pods/", after) as watch:
            waiting = asyncio.create_task(anext(watch))
            revision = await storage.create(b"/other", b"v")
            await asyncio.sleep(0.3)
            assert await storage.request_progress()
            batch = await waiting
        assert (list(batch.changes), batch.revision) == ([], revision)

    run(etcd.url, story)


# --- leases -------------------------------------------------------------------------------


def leases_granted(url: str, story: EtcdStory) -> int:
    count = 0
    grant = leases.Leases._grant

    async def counted(self: leases.Leases, ttl_s: int) -> leases._Lease:
        nonlocal count
        count += 1
        return await grant(self, ttl_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases.Leases, "_grant", counted)
        run(url, story)
    return count


def test_keys_that_expire_at_about_the_same_time_share_a_lease(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        for number in range(10):
            await asyncio.gather(
                storage.create(b"/events/hour/%d" % number, b"v", ttl_s=3600),
                storage.create(b"/events/minutes/%d" % number, b"v", ttl_s=600),
            )

    assert leases_granted(etcd.url, story) == 2


def test_a_lease_holds_a_bounded_number_of_keys(
    etcd: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "KEYS_PER_LEASE", 5)

    async def story(storage: EtcdStorage) -> None:
        for number in range(12):
            await storage.create(b"/events/%d" % number, b"v", ttl_s=600)

    assert leases_granted(etcd.url, story) == 3


def test_a_lease_that_etcd_has_lost_is_replaced(etcd: EtcdProcess) -> None:
    async def story(storage: EtcdStorage) -> None:
        await storage.create(b"/events/a", b"v", ttl_s=600)
        (lease,) = storage._leases._by_ttl.values()
        lease.id += 1
        await storage.create(b"/events/b", b"v", ttl_s=600)
        assert await storage.get(b"/events/b") is not None

    assert leases_granted(etcd.url, story) == 2


# --- TLS and survival ---------------------------------------------------------------------


def test_a_client_certificate_opens_a_tls_endpoint(tmp_path: Path) -> None:
    tls = make_certificates(tmp_path)
    etcd = start_etcd(
        tmp_path / "etcd",
        f"--cert-file={tls.cert}",
        f"--key-file={tls.key}",
        f"--trusted-ca-file={tls.ca}",
        "--client-cert-auth",
        tls=tls,
    )

    async def main() -> None:
        storage = await EtcdStorage.open(etcd.url, tls=tls)
        revision = await storage.create(b"/pods/a", b"v")
        async with watching(storage, b"/pods/", Revision(revision - 1)) as watch:
            assert len(await collect(watch, 1)) == 1
        await storage.aclose()
        with pytest.raises(StorageUnavailable):
            await EtcdStorage.open(etcd.url, tls=TlsFiles(ca=tls.ca), timeout_s=1)
        with pytest.raises(StorageUnavailable):
            await EtcdStorage.open(etcd.url, timeout_s=1)

    try:
        asyncio.run(main())
    finally:
        etcd.kill()


def make_certificates(directory: Path) -> TlsFiles:
    """One certificate for server and client, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "etcd")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(directory / "tls.crt", directory / "tls.crt", directory / "tls.key")
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def test_tls_files_that_can_not_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="TLS files"):
        asyncio.run(EtcdStorage.open("https://127.0.0.1:1", tls=TlsFiles(ca=tmp_path / "missing")))


def test_every_acknowledged_write_survives_a_kill_of_etcd(own_etcd: EtcdProcess) -> None:
    def kill(_: subprocess.Popen[str]) -> None:
        own_etcd.kill()

    acknowledged = load_until_killed("etcd", own_etcd.url, 300, kill)
    own_etcd.start()

    async def main() -> None:
        storage = await EtcdStorage.open(own_etcd.url)
        await assert_survived(storage, acknowledged)
        await storage.aclose()

    asyncio.run(main())
