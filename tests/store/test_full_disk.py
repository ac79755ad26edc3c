"""A disk that is full, read-only or failing: one clear error, and what is stored stays valid."""

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.runs import assert_sound, do, make_job, run, said, undisturbed

from benchmark.errors import StoreError


@pytest.fixture
def mount(tmp_path):
    """Mounts a small disk in memory; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = []

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        try:
            mounted = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("this system has no mount")
        if mounted.returncode:
            pytest.skip(f"this user can't mount: {mounted.stderr.strip()}")
        done.append(folder)
        return folder

    yield mount
    for _ in done:
        subprocess.run(["umount", str(folder)], check=True)


def one_clear_error(finished):
    """The single error line of a command that ended with status 1."""
    told = finished.stdout + finished.stderr
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert finished.returncode == 1 and "Traceback" not in told, told
    assert len(errors) == 1, told
    return errors[0]


def test_a_full_disk_is_one_clear_error_and_room_lets_the_run_complete(prepared, root, mount):
    disk = mount("size=96k,nr_inodes=200")
    (root / "results").symlink_to(disk)
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(1 << 20))
    os.truncate(ballast, ballast.stat().st_size - 10 * 4096)  # too little for all samples
    with pytest.raises(StoreError, match=r"can't write .*No space left.*run the same command") as e:
        do(make_job(root))
    assert "lease" not in str(e.value)
    assert make_job(root).store.records()
    release_by_hand(make_job(root).store)
    store = make_job(root).store
    assert_sound(root, store)
    for record in store.records().values():
        assert store.holds(record)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    assert do(make_job(root)).complete
    assert said(root) == undisturbed(prepared)


def test_the_command_line_tells_of_a_full_disk_in_one_line(tmp_path, mount):
    disk = mount("size=64k")
    (tmp_path / "results").symlink_to(disk)
    error = one_clear_error(run(tmp_path, f"datasets={tmp_path / 'datasets'}"))
    assert "No space left on device" in error and "run the same command again" in error


def test_the_command_line_tells_of_a_read_only_disk_in_one_line(tmp_path, mount):
    disk = mount("size=1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    (tmp_path / "results").symlink_to(disk)
    error = one_clear_error(run(tmp_path))
    assert "Read-only file system" in error and "can't write" in error


@pytest.mark.parametrize("fault", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.mkdir"])
def test_a_disk_that_fails_at_any_call_leaves_what_is_stored_valid(
    prepared, root, monkeypatch, fault
):
    owner, _, name = fault.rpartition(".")
    real = getattr({"os": os, "pathlib.Path": Path}[owner], name)
    wanted, failures = undisturbed(prepared), 0
    for n in range(1, 100):
        left = n

        def failing(*args, **kwargs):
            nonlocal left
            left -= 1
            if left <= 0:  # and stays full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(fault, failing)
            try:
                do(make_job(root))
            except StoreError as error:
                failures += 1
                assert re.search("can't write .*: No space left", str(error))
            else:
                break
        store = make_job(root).store
        assert_sound(root, store)
        release_by_hand(store)
    assert failures >= 2
    release_by_hand(make_job(root).store)
    assert do(make_job(root)).complete
    assert said(root) == wanted


def release_by_hand(store):
    """What the end of a process does: the lease of a test's own process would be alive."""
    shutil.rmtree(store.path / "lease", ignore_errors=True)
