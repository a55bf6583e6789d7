"""The audit log's file: rotation, old files, what survives."""

from __future__ import annotations

import gzip
import os
import re
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.apiserver.audit import logfile
from services.apiserver.audit.logfile import (
    LogFile,
    OldFile,
    Rotation,
    compress,
    old_files,
    old_name,
    sorted_out,
)


def lines(first: int, count: int, width: int = 100) -> list[bytes]:
    return [b"%0*d\n" % (width - 1, number) for number in range(first, first + count)]


def all_lines(directory: Path) -> list[int]:
    """Return every line in any file of a directory."""
    found: list[int] = []
    for path in directory.iterdir():
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        found += map(int, text.splitlines())
    return sorted(found)


@pytest.mark.parametrize("compressed", [False, True])
def test_rotation_loses_and_doubles_no_line(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation(limit_bytes=1000, compress=compressed, limit_files=0))
    for first in range(0, 3000, 30):
        output.write(lines(first, 30))
    output.close()
    assert all_lines(tmp_path) == list(range(3000))
    assert path.stat().st_size <= 1000
    assert len(list(tmp_path.iterdir())) == 300


def test_files_are_private_and_keep_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    output = LogFile(path, Rotation(limit_bytes=250, compress=True))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    output.write(lines(0, 3))
    path.chmod(0o640)
    output.write(lines(3, 3))
    output.close()
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert set(modes.values()) == {0o600, 0o640}
    assert modes["audit.log"] == 0o640


def test_an_old_file_is_named_by_its_time(tmp_path: Path) -> None:
    output = LogFile(tmp_path / "audit.log", Rotation(limit_bytes=150))
    output.write(lines(0, 2))
    output.close()
    (name,) = (one.name for one in tmp_path.iterdir() if one.name != "audit.log")
    assert re.fullmatch(r"audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log", name)
    expected = "audit-2026-01-02T03-04-05.006.log"
    assert old_name(Path("audit.log"), 1_767_323_045_006).name == expected


def test_a_line_longer_than_a_file_gets_one_to_itself(tmp_path: Path) -> None:
    output = LogFile(tmp_path / "audit.log", Rotation(limit_bytes=150))
    output.write([*lines(0, 1), *lines(1, 1, width=500), *lines(2, 1)])
    output.close()
    assert all_lines(tmp_path) == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 3


def test_writing_goes_on_in_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for first in (0, 10):
        output = LogFile(path, Rotation(limit_bytes=10_000))
        output.write(lines(first, 10))
        output.close()
    assert all_lines(tmp_path) == list(range(20))


def test_a_line_broken_off_by_a_crash_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b'{"kind":"Ev')
    output = LogFile(path, Rotation())
    output.write([b"{}\n"])
    output.close()
    assert path.read_bytes() == b'{"kind":"Ev\n{}\n'


def test_two_replicas_can_log_to_one_file(tmp_path: Path) -> None:
    outputs = [LogFile(tmp_path / "audit.log", Rotation(limit_bytes=500)) for _ in range(2)]
    for number in range(100):
        outputs[number % 2].write(lines(number, 1))
    for output in outputs:
        output.close()
    assert all_lines(tmp_path) == list(range(100))
    assert len(list(tmp_path.iterdir())) == 20


def test_a_file_that_was_moved_away_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation())
    output.write(lines(0, 1))
    path.rename(tmp_path / "audit.log.1")
    output.write(lines(1, 1))
    output.close()
    assert path.read_bytes() == lines(1, 1)[0]


def test_without_a_size_nothing_is_rotated(tmp_path: Path) -> None:
    output = LogFile(tmp_path / "audit.log", Rotation(limit_bytes=0))
    output.write(lines(0, 1000))
    output.close()
    assert [one.name for one in tmp_path.iterdir()] == ["audit.log"]


def test_a_crash_between_rename_and_the_new_file_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation(limit_bytes=150))
    output.write(lines(0, 1))

    def crash(_: LogFile) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LogFile, "_open", crash)
        with pytest.raises(KeyboardInterrupt):
            output.write(lines(1, 1))
    again = LogFile(path, Rotation(limit_bytes=150))
    again.write(lines(1, 1))
    again.close()
    assert all_lines(tmp_path) == [0, 1]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation())
    output.write(lines(0, 1))

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(logfile, "write_all", half)
        with pytest.raises(OSError, match="No space left"):
            output.write(lines(1, 4))
    output.write(lines(5, 1))
    output.close()
    assert all_lines(tmp_path) == [0, 5]


def test_a_file_that_cannot_be_opened_again_costs_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was closed may be a connection's by the next write."""
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation(limit_bytes=1000))
    output.write(lines(0, 1))
    path.rename(tmp_path / "moved")
    with monkeypatch.context() as broken:
        broken.setattr(LogFile, "_open", no_file)
        with pytest.raises(OSError, match="too many"):
            output.write(lines(1, 1))
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    output.write(lines(2, 1))
    os.fstat(other)  # is still open
    assert path.read_bytes() == b"".join(lines(2, 1))
    os.close(other)
    output.close()


def test_a_rotation_that_fails_is_made_up_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    output = LogFile(path, Rotation(limit_bytes=150))
    output.write(lines(0, 1))
    with monkeypatch.context() as broken:
        broken.setattr(LogFile, "_open", no_file)
        with pytest.raises(OSError, match="too many"):
            output.write(lines(1, 1))
    output.write(lines(2, 1))
    output.close()
    assert path.read_bytes() == b"".join(lines(2, 1))
    assert all_lines(tmp_path) == [0, 2]


def no_file(_: LogFile) -> tuple[int, int]:
    raise OSError("too many open files")


def test_a_full_file_never_takes_the_name_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile.time, "time_ns", lambda: 1_767_323_045_006_000_000)
    output = LogFile(tmp_path / "audit.log", Rotation(limit_bytes=100, limit_age_days=0))
    output.write(lines(0, 5))
    output.close()
    assert all_lines(tmp_path) == list(range(5))


# -- old files ---------------------------------------------------------------------------

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def old(days: int, *, compressed: bool = False) -> OldFile:
    time = NOW - timedelta(days=days)
    return OldFile(Path(f"audit-{days}.log{'.gz' if compressed else ''}"), time)


@pytest.mark.parametrize(
    ("rotation", "kept"),
    [
        (Rotation(limit_files=0, limit_age_days=0), [1, 2, 3, 4]),
        (Rotation(limit_files=2, limit_age_days=0), [1, 2]),
        (Rotation(limit_files=0, limit_age_days=3), [1, 2, 3]),
        (Rotation(limit_files=3, limit_age_days=2), [1, 2]),
        (Rotation(limit_files=0, limit_age_days=10**6), [1, 2, 3, 4]),
    ],
)
def test_old_files_go_by_number_and_age(rotation: Rotation, kept: list[int]) -> None:
    keep, remove = sorted_out([old(days) for days in (1, 2, 3, 4)], rotation, NOW)
    assert keep == [old(days) for days in kept]
    assert len(remove) == 4 - len(kept)


def test_a_file_and_its_compressed_form_count_as_one() -> None:
    files = [old(1), old(1, compressed=True), old(2)]
    keep, _ = sorted_out(files, Rotation(limit_files=2), NOW)
    assert keep == files


def test_only_files_of_this_log_are_old_ones(tmp_path: Path) -> None:
    for name in (
        "audit.log",
        "audit-2026-01-02T03-04-05.006.log",
        "audit-2026-01-03T03-04-05.006.log.gz",
        "audit-2026-01-03T03-04-05.006.log.gz.tmp",
        "audit-notes.log",
        "other-2026-01-02T03-04-05.006.log",
    ):
        (tmp_path / name).touch()
    found = old_files(tmp_path / "audit.log")
    assert [one.path.name for one in found] == [
        "audit-2026-01-03T03-04-05.006.log.gz",
        "audit-2026-01-02T03-04-05.006.log",
    ]


def test_old_files_are_removed_at_the_start(tmp_path: Path) -> None:
    for name in ("audit-2001-01-02T03-04-05.006.log", "audit-2001-01-02T03-04-06.006.log.gz"):
        (tmp_path / name).touch()
    LogFile(tmp_path / "audit.log", Rotation(limit_age_days=30)).close()
    assert [one.name for one in tmp_path.iterdir()] == ["audit.log"]


def test_compressing_can_begin_again_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "audit-2026-01-02T03-04-05.006.log"
    path.write_bytes(b"1\n")
    path.with_name(path.name + ".gz").write_bytes(b"whole, but the plain one is still there")
    path.with_name(path.name + ".gz.tmp").write_bytes(b"half")
    compress(path)
    (left,) = tmp_path.iterdir()
    assert gzip.decompress(left.read_bytes()) == b"1\n"


def test_the_thread_that_tidies_up_ends_with_the_file(tmp_path: Path) -> None:
    before = threading.active_count()
    output = LogFile(tmp_path / "audit.log", Rotation(limit_bytes=100))
    output.write(lines(0, 10))
    output.close()
    assert threading.active_count() == before
