"""The journal keeps every whole row, whatever moment its writer was killed at."""

import errno
import io
import json
import os
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.store import journal as journal_module
from benchmark.store import machine
from benchmark.store.files import sweep_temporaries, temporary_name, write_whole
from benchmark.store.journal import Journal

NOBODY = 2**22 + 1  # Linux gives no process a number this high


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "records")
    for number in range(3):
        journal.append("a", {"sample": f"s{number}"})
    return journal


def samples(journal):
    return [row["sample"] for row in journal.rows()]


def test_rows_of_all_writers_are_read_in_order(journal):
    journal.append("b", {"sample": "later"})
    assert samples(journal) == ["s0", "s1", "s2", "later"]


@pytest.mark.parametrize("block", [1, 5, 1 << 16])
def test_a_last_line_torn_at_any_byte_is_passed_over_and_repaired(journal, block, monkeypatch):
    monkeypatch.setattr(journal_module, "_BLOCK", block)
    path = journal.folder / "a.jsonl"
    whole = path.read_bytes()
    two = whole.rindex(b"\n", 0, -1) + 1
    for end in range(two, len(whole)):
        path.write_bytes(whole[:end])
        assert samples(journal) == ["s0", "s1"]
        journal.repair()
        assert path.read_bytes() == whole[:two]
        journal.append("a", {"sample": "again"})
        assert samples(journal) == ["s0", "s1", "again"]
    path.write_bytes(whole[:3])  # not even one line
    journal.repair()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("damage", [b'{"sam\x00\x00', b"\xff\xfe", b"", b"[1]", b"7"])
def test_a_damaged_line_in_the_middle_is_passed_over_with_one_warning(journal, damage, capsys):
    path = journal.folder / "a.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage
    path.write_bytes(b"\n".join(lines))
    journal_module._warn.cache_clear()
    assert samples(journal) == samples(journal) == ["s0", "s2"]
    told = capsys.readouterr().err
    assert told.count("warning: ") == 1
    assert f"{path}, line 2, is damaged" in told


def test_a_row_that_json_cant_hold_is_refused_before_anything_is_written(journal):
    with pytest.raises(ValueError):
        journal.append("a", {"sample": float("nan")})
    assert samples(journal) == ["s0", "s1", "s2"]


class Full(io.FileIO):
    """A file on a disk that takes ten bytes more."""

    def write(self, data):
        return super().write(data[:10])


@pytest.mark.parametrize("fault", ["write", "fsync"])
def test_a_row_that_does_not_fit_leaves_the_file_as_it_was(journal, monkeypatch, fault):
    before = (journal.folder / "a.jsonl").read_bytes()

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if fault == "write":
            patch.setattr("pathlib.Path.open", lambda path, mode, buffering: Full(path, "a"))
        else:
            patch.setattr(os, "fsync", no_space)
        with pytest.raises(StoreError, match=r"can't write .*a\.jsonl: .*run the same command"):
            journal.append("a", {"sample": "a long name that is cut"})
    assert (journal.folder / "a.jsonl").read_bytes() == before


def test_every_row_is_flushed_to_the_disk_before_append_returns(journal, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda d: (synced.append(os.fstat(d).st_size), fsync(d)))
    journal.append("a", {"sample": "s3"})
    assert synced == [(journal.folder / "a.jsonl").stat().st_size]


def test_a_file_that_cant_be_read_is_one_clear_message(journal):
    (journal.folder / "b.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"b\.jsonl can't be read: Is a directory"):
        samples(journal)


def test_a_file_written_whole_appears_at_once_and_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_whole(path, b"old")
    fsync = os.fsync

    def look(descriptor):
        assert path.read_bytes() in (b"old", b"new" * 1000)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, b"new" * 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_file_that_cant_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch, step):
    path = tmp_path / "run.json"
    write_whole(path, b"old")

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(step, no_space)
    with pytest.raises(StoreError, match="No space left on device"):
        write_whole(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"run.json": b"old"}


def test_a_folder_that_cant_be_flushed_is_no_reason_to_fail(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - a descriptor
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_whole(tmp_path / "run.json", b"new")
    assert (tmp_path / "run.json").read_bytes() == b"new"


def test_temporaries_of_dead_writers_are_swept_and_those_of_living_ones_left(tmp_path):
    folder = tmp_path / "scores" / "key"
    folder.mkdir(parents=True)
    for pid in (NOBODY, os.getppid()):
        (folder / temporary("basis.json", pid)).touch()
    (folder / "kept.json").write_text(json.dumps({}))
    sweep_temporaries(tmp_path)
    left = {p.name for p in folder.iterdir()}
    assert left == {temporary("basis.json", os.getppid()), "kept.json"}


@pytest.mark.skipif(os.name != "posix", reason="of Windows processes are looked up otherwise")
def test_without_proc_temporaries_of_living_writers_stay(tmp_path, monkeypatch):
    def path(text):
        return Path(text.replace("/proc", str(tmp_path / "no_proc")))

    monkeypatch.setattr(machine, "Path", path)
    assert machine.here()["boot"] == ""
    for pid in (NOBODY, os.getpid(), os.getppid()):
        (tmp_path / temporary("basis.json", pid)).touch()
    sweep_temporaries(tmp_path)
    left = {temporary("basis.json", pid) for pid in (os.getpid(), os.getppid())}
    assert {p.name for p in tmp_path.iterdir()} == left


def temporary(name, pid):
    """The temporary name that another process of this host makes."""
    return temporary_name(name).replace(f"-{os.getpid()}.", f"-{pid}.")


def test_temporaries_of_other_programs_are_no_ones_to_sweep(tmp_path):
    names = (
        ".mine.tmp", ".~lock.thesis.odt.tmp", f".thesis.{NOBODY}.tmp", f".thesis.-{NOBODY}.tmp",
        f".thesis.my-{NOBODY}.tmp", f"thesis.01234567-{NOBODY}.tmp", ".thesis.0123456-1.tmp",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("years of work")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / temporary("folder", NOBODY)).mkdir()
    sweep_temporaries(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {*names, temporary("folder", NOBODY)}
