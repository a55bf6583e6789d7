"""The log backend: events as lines of a file, which is rotated, or of standard output.

Rotation is that of lumberjack, which kube-apiserver uses: a full NAME.log is renamed to
NAME-2026-01-02T15-04-05.000.log (UTC), old ones are compressed and removed. Whenever the
process dies, every line is in one file, or not yet in any: files are renamed whole, and the
compressed one gets its name before the other one goes.
Source: kube-apiserver v1.36.2, plugin/pkg/audit/log/backend.go; natefinch/lumberjack v2.2.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol

from services.apiserver.audit.backend import DeliveryError
from services.apiserver.audit.event import RequestAudit

log = logging.getLogger("kubefan.apiserver")

MEGABYTE: Final = 2**20
COMPRESSED: Final = ".gz"
UNFINISHED: Final = ".tmp"
STAMP: Final = "%Y-%m-%dT%H-%M-%S"

Format = Literal["json", "legacy"]


class Output(Protocol):
    """Takes whole lines; called in one thread."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write lines, all or none.

        Raises:
            OSError: they can't be written.
        """
        ...

    def close(self) -> None: ...


class LogDestination:
    """Lines for an output, written by a thread of its own: a slow disk stalls nobody."""

    name = "log"
    waits_for_delivery = False
    limit_deliveries = 1

    def __init__(self, output: Output, format: Format) -> None:
        self._output = output
        self._format = format
        self._thread = ThreadPoolExecutor(1, "audit-log")

    def encode(self, event: RequestAudit, *, truncated: bool) -> bytes:
        if self._format == "legacy":
            return event.legacy_line().encode() + b"\n"
        return event.truncated_line() if truncated else event.line()

    async def deliver(self, batch: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, self._output.write, batch)
        try:
            # Not to be cancelled: the thread goes on, and what it writes would count as lost.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(OSError):
                await writing
            raise
        except OSError as error:
            raise DeliveryError(str(error)) from error

    async def aclose(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._output.close)
        self._thread.shutdown(wait=False)


class StandardOutput:
    """Lines on the process's standard output."""

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()

    def write(self, lines: Sequence[bytes]) -> None:
        write_all(self._descriptor, b"".join(lines))

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a log file is full, and what becomes of old ones. 0 is no limit."""

    limit_bytes: int = 100 * MEGABYTE
    limit_age_days: int = 366
    limit_files: int = 100
    compress: bool = False


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file that has been rotated away; `time` is that in its name."""

    path: Path
    time: datetime

    @property
    def is_compressed(self) -> bool:
        return self.path.name.endswith(COMPRESSED)

    @property
    def plain(self) -> Path:
        return self.path.with_name(self.path.name.removesuffix(COMPRESSED))


class LogFile:
    """A file of lines and those rotated away from it.

    Written by one thread of one process. Tidying old files away has a thread of its own, so
    that compressing does not hold up the lines.
    """

    def __init__(self, path: Path, rotation: Rotation) -> None:
        """Open the file, with its directory (0700) and itself (0600) made where they are not.

        Raises:
            OSError: it can't be opened.
        """
        self._path = path
        self._rotation = rotation
        self._tidying = ThreadPoolExecutor(1, "audit-tidy")
        self._tidied: Future[None] | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor, self._size = self._open()
        self._tidy_soon()

    def write(self, lines: Sequence[bytes]) -> None:
        self._follow()
        limit = self._rotation.limit_bytes
        if not limit:
            self._append(b"".join(lines))
            return
        start = 0
        size = self._size
        for number, line in enumerate(lines):
            # A line longer than a file gets one to itself.
            if size and size + len(line) > limit:
                self._append(b"".join(lines[start:number]))
                self._rotate()
                start, size = number, 0
            size += len(line)
        self._append(b"".join(lines[start:]))

    def close(self) -> None:
        os.close(self._descriptor)
        self._tidying.shutdown()

    def _open(self) -> tuple[int, int]:
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC, 0o600)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # The machine went down in the middle of a line: the next one starts anew.
            size += os.write(descriptor, b"\n")
        return descriptor, size

    def _follow(self) -> None:
        """Go on in the file that has the name now: another replica that logs to the same one,
        or the machine's own rotation, may have moved it away."""
        own = os.fstat(self._descriptor)
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        if named is not None and os.path.samestat(own, named):
            self._size = own.st_size
            return
        self._reopen()

    def _reopen(self) -> None:
        """Go on in the file that has the name, or, where it can't be opened, keep what is open:
        a number that is closed may be another file's by the next write."""
        old = self._descriptor
        self._descriptor, self._size = self._open()
        os.close(old)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        try:
            write_all(self._descriptor, data)
        except OSError:
            # No half lines, and none that count as lost and are there: none of it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def _rotate(self) -> None:
        old = os.fstat(self._descriptor)
        os.rename(self._path, self._free_name())
        self._reopen()
        os.fchmod(self._descriptor, old.st_mode & 0o7777)
        with suppress(PermissionError):
            os.fchown(self._descriptor, old.st_uid, old.st_gid)
        self._tidy_soon()

    def _free_name(self) -> Path:
        """Return the name for a full file. A millisecond that is taken would lose a file."""
        milliseconds = time.time_ns() // 1_000_000
        while True:
            path = old_name(self._path, milliseconds)
            if not path.exists() and not path.with_name(path.name + COMPRESSED).exists():
                return path
            milliseconds += 1

    # -- old files -------------------------------------------------------------------

    def _tidy_soon(self) -> None:
        if self._tidied is None or self._tidied.done():
            self._tidied = self._tidying.submit(self._tidy)

    def _tidy(self) -> None:
        """Compress and remove old files as the rotation says; what fails is tried next time."""
        try:
            keep, remove = sorted_out(old_files(self._path), self._rotation, datetime.now(UTC))
            for old in remove:
                old.path.unlink(missing_ok=True)
            for old in keep if self._rotation.compress else ():
                if not old.is_compressed:
                    compress(old.path)
        except OSError as error:
            log.warning("old audit logs are not tidied away", extra={"reason": str(error)})


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def old_name(path: Path, milliseconds: int) -> Path:
    """Return what a full file is called that is rotated at a time (ms since 1970)."""
    seconds, rest = divmod(milliseconds, 1000)
    stamp = time.strftime(STAMP, time.gmtime(seconds))
    return path.with_name(f"{path.stem}-{stamp}.{rest:03}{path.suffix}")


def old_files(path: Path) -> list[OldFile]:
    """Return the files rotated away from `path`, the newest first."""
    found = []
    for one in path.parent.iterdir():
        name = one.name.removesuffix(COMPRESSED)
        if not name.startswith(f"{path.stem}-") or not name.endswith(path.suffix):
            continue
        stamp = name[len(path.stem) + 1 : len(name) - len(path.suffix)]
        with suppress(ValueError):
            found.append(OldFile(one, datetime.strptime(f"{stamp}+0000", f"{STAMP}.%f%z")))
    return sorted(found, key=lambda old: old.time, reverse=True)


def sorted_out(
    files: Iterable[OldFile], rotation: Rotation, now: datetime
) -> tuple[list[OldFile], list[OldFile]]:
    """Return which old files to keep and which to remove; `files` has the newest first.

    A file that is there both plain and compressed is one.
    """
    keep: list[OldFile] = []
    remove: list[OldFile] = []
    counted: set[Path] = set()
    limit_age = timedelta(days=rotation.limit_age_days)
    for old in files:
        counted.add(old.plain)
        too_many = 0 < rotation.limit_files < len(counted)
        # Ages are compared, not times: what is longer ago than the year 1 has none.
        too_old = rotation.limit_age_days > 0 and now - old.time > limit_age
        (remove if too_many or too_old else keep).append(old)
    return keep, remove


def compress(path: Path) -> None:
    """Replace a file by its compressed form, with the same permissions and owner."""
    target = path.with_name(path.name + COMPRESSED)
    unfinished = target.with_name(target.name + UNFINISHED)
    with path.open("rb") as plain:
        status = os.fstat(plain.fileno())
        descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            os.fchmod(descriptor, status.st_mode & 0o7777)
            with suppress(PermissionError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            with gzip.GzipFile(path.name, "wb", fileobj=raw) as packed:
                shutil.copyfileobj(plain, packed)
            raw.flush()
            os.fsync(descriptor)
    unfinished.rename(target)
    path.unlink()
