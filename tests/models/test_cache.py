"""The cache on disk: what comes back is what was kept, or nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.adapters import ROOT

from benchmark.errors import UsageError
from benchmark.settings import bytes_of
from benchmark.store.files import temporary_name
from models.common import cache as module
from models.common.cache import OWN, Cache, Entry, open_cache

KEYS = [f"{n:02x}{'0' * 30}" for n in range(256)]


def entry(number=0, size=1000):
    return Entry({"values": np.random.default_rng(number).integers(0, 256, size, np.uint8)},
                 {"seconds": {"encode": number / 3}})  # fmt: skip


def same(one, other):
    assert one.details == other.details and one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        back = other.arrays[name]
        assert back.dtype == array.dtype and back.strides == array.strides
        assert back.tobytes() == array.tobytes()
    return True


def put(cache, key, what):
    cache.put(key, what)
    cache.finish()


def kept(cache):
    return {path.stem for path in cache.folder.rglob("*.npz")}


def taken(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", 10**6)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2),
        np.array([np.nan, -0.0, 5e-324, np.inf]),
        np.array(7, np.uint16),
    ],
    ids=["C", "F-like", "channels last", "odd floats", "scalar"],
)
def test_arrays_come_back_to_the_bit_and_in_the_same_order_in_memory(cache, array):
    what = Entry({"a": array, "b": np.ones(3)}, {"text": "ü", "sizes": [1, 2]})
    assert cache.get(KEYS[0]) is None
    put(cache, KEYS[0], what)
    assert same(what, cache.get(KEYS[0]))
    assert same(what, Cache(cache.folder.parent, 10**6).get(KEYS[0]))
    assert cache.get(KEYS[1]) is None


def test_the_longest_unused_goes_first_and_the_size_holds(cache):
    for number in range(8):
        put(cache, KEYS[number], entry(number, 100_000))
        time.sleep(0.01)
    assert kept(cache) == set(KEYS[:8])
    assert cache.get(KEYS[0]) is not None  # used just now
    for number in range(8, 11):
        time.sleep(0.01)
        put(cache, KEYS[number], entry(number, 100_000))
        assert taken(cache.folder) <= cache.size
    assert KEYS[0] in kept(cache) and KEYS[10] in kept(cache)
    assert KEYS[1] not in kept(cache) and KEYS[2] not in kept(cache)
    assert len(kept(cache)) >= 8, "no more goes than has to"


def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out(cache):
    put(cache, KEYS[0], entry(0))
    put(cache, KEYS[1], entry(1, 2 * 10**6))
    assert kept(cache) == {KEYS[0]}


def test_what_killed_writers_left_behind_goes_like_any_other(cache):
    put(cache, KEYS[0], entry(0))
    killed = temporary_name(f"{KEYS[0]}.npz").replace(f"-{os.getpid()}.", "-99999.")
    stray = cache.folder / KEYS[0][:2] / killed
    stray.write_bytes(bytes(900_000))
    os.utime(stray, (1, 1))
    put(cache, KEYS[1], entry(1, 200_000))
    assert not stray.exists() and KEYS[1] in kept(cache)


@pytest.fixture
def theirs(tmp_path):
    """What others have in the folder that was named for the cache, old and large."""
    files = [
        "go/thesis.docx", "00/table.npz", f"00/{KEYS[0]}.npz", f"{OWN}/go/thesis.docx",
        f"{OWN}/00/notes.txt", f"{OWN}/00/table.npz", f"{OWN}/00/{KEYS[0]}.txt",
        f"{OWN}/00/{KEYS[1]}.npz", f"{OWN}/00/.{KEYS[0]}.npz.tmp",
        f"{OWN}/00/.{KEYS[0]}.npz.99999.tmp", f"{OWN}/00/{KEYS[2].upper()}A.npz",
        f"{OWN}/0/{KEYS[0]}.npz", f"{OWN}/00/{KEYS[0]}/data.npz",
        f"{OWN}/00/{KEYS[0][:9]}.npz", f"{OWN}/{KEYS[0]}.npz",
    ]  # fmt: skip
    place = tmp_path / "cache"
    put(Cache(place, 10**6), KEYS[255], entry(0))  # the cache's own folder is there
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(bytes(300_000))
        os.utime(place / name, (1, 1))
    return [place / name for name in files]


def test_only_files_of_its_own_are_ever_removed(tmp_path, theirs):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{KEYS[3]}.npz").write_bytes(bytes(300_000))
    (tmp_path / "cache" / OWN / KEYS[3][:2]).symlink_to(elsewhere)
    cache = Cache(tmp_path / "cache", 10**6)
    for number in range(10, 30):
        put(cache, KEYS[number], entry(number, 100_000))
    assert all(path.exists() for path in theirs) and list(elsewhere.iterdir())
    own = {KEYS[number] for number in range(10, 30)}
    assert 8 <= len(kept(cache) & own) < 20, "room is made among its own"


def test_a_folder_of_its_name_that_it_did_not_make_is_left_alone_with_one_message(tmp_path, capsys):
    module._warn.cache_clear()
    shelf = tmp_path / "cache" / OWN / KEYS[0][:2]
    shelf.mkdir(parents=True)
    (shelf / f"{KEYS[0]}.npz").write_bytes(b"somebody's")
    (shelf.parent / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    cache = Cache(tmp_path / "cache", 10**6)
    assert cache.get(KEYS[0]) is None
    for number in range(20):
        put(cache, KEYS[number], entry(number, 100_000))
    assert taken(cache.folder) < 100 and (shelf / f"{KEYS[0]}.npz").read_bytes() == b"somebody's"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [OWN]
    told = capsys.readouterr().err
    assert told.count("computed") == 1


def test_an_empty_folder_of_its_name_is_used(tmp_path):
    (tmp_path / OWN).mkdir()
    cache = Cache(tmp_path, 10**6)
    put(cache, KEYS[0], entry(0))
    assert same(cache.get(KEYS[0]), entry(0))


def test_a_damaged_entry_is_a_miss_with_a_note_and_is_kept_anew(cache, capsys):
    what = entry(3, 400)
    put(cache, KEYS[0], what)
    (path,) = cache.folder.rglob("*.npz")
    content = path.read_bytes()
    misses = 0
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        found = cache.get(KEYS[0])
        if found is None:
            misses += 1
            assert f"cache: {path} is damaged" in capsys.readouterr().err
            assert not path.exists()
        else:  # a date, or another thing that nobody reads
            assert same(what, found)
    assert misses > 0.5 * len(content) / 7
    for length in range(0, len(content), 29):
        path.write_bytes(content[:length])
        assert cache.get(KEYS[0]) is None, "cut off"
    put(cache, KEYS[0], what)
    assert same(what, cache.get(KEYS[0]))


def test_nothing_in_an_entry_is_executed(cache, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = cache._path(KEYS[0])
    put(cache, KEYS[0], entry(0))
    np.savez(path, told=np.array([Bomb()], object))
    assert cache.get(KEYS[0]) is None and not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("where", ["a file in its place", "full"])
def test_a_disk_that_fails_is_told_of_once_and_fails_nothing(tmp_path, where, capsys, monkeypatch):
    module._warn.cache_clear()
    cache = Cache(tmp_path / "cache", 10**6)
    if where == "full":
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("D", (), {"free": 5}))
    else:
        cache.folder.parent.write_text("")
    for number in range(3):
        put(cache, KEYS[number], entry(number))
    assert cache.get(KEYS[0]) is None or where == "full"
    told = capsys.readouterr().err
    assert told.count("computed") == 1 and "nothing more is kept" in told


def test_memory_that_does_not_suffice_for_one_entry_fails_nothing(cache, capsys, monkeypatch):
    module._warn.cache_clear()
    packed, errors = module._packed, [MemoryError(), MemoryError("Unable to allocate 9 GiB")]
    monkeypatch.setattr(
        module, "_packed", lambda one: packed(one) if not errors else raise_(errors.pop(0))
    )
    for number in range(4):
        put(cache, KEYS[number], entry(number))
    assert kept(cache) == set(KEYS[2:4])
    told = capsys.readouterr().err
    assert "can't be written (out of memory)" in told and "(Unable to allocate 9 GiB)" in told


def raise_(error):
    raise error


def test_a_file_that_another_process_takes_away_while_it_is_written_is_not_kept(
    cache, capsys, monkeypatch
):
    module._warn.cache_clear()
    replace = module.Path.replace
    monkeypatch.setattr(module.Path, "replace", lambda old, new: old.unlink() or replace(old, new))
    put(cache, KEYS[0], entry(0))
    monkeypatch.undo()
    assert kept(cache) == set() and not list(cache.folder.rglob("*.tmp"))
    put(cache, KEYS[0], entry(0))
    assert same(cache.get(KEYS[0]), entry(0))
    assert capsys.readouterr().err == ""


WRITER = f"""
import random, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from test_cache import KEYS, entry, same
from models.common.cache import Cache
cache, chance = Cache(Path(sys.argv[1]), 10**6), random.Random(int(sys.argv[2]))
print("ready", flush=True)
while True:
    number = chance.randrange(40)
    found = cache.get(KEYS[number])
    if found is None:
        cache.put(KEYS[number], entry(number, 50_000))
    else:
        assert same(entry(number, 50_000), found)
"""


def test_processes_share_it_and_may_be_killed_at_any_moment(tmp_path):
    chance, folder = random.Random(0), tmp_path / "cache"
    command = [sys.executable, "-c", WRITER, str(folder)]
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}{os.pathsep}{Path(__file__).parent}"
    }

    def start(seed):
        return subprocess.Popen(
            [*command, str(seed)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    running = [start(seed) for seed in range(3)]
    try:
        for process in running:
            assert process.stdout.readline() == "ready\n"
        for turn in range(4):
            time.sleep(chance.uniform(0.1, 0.4))
            index = chance.randrange(3)
            running[index].kill()
            told = running[index].communicate()[1]
            assert told == "", "no entry was damaged, and none differed"
            assert running[index].returncode == -signal.SIGKILL
            running[index] = start(10 + turn)
            assert running[index].stdout.readline() == "ready\n"
    finally:
        for process in running:
            process.kill()
    for process in running:
        assert process.communicate()[1] == ""
    assert 0 < taken(folder) <= 1.2 * 10**6
    cache = Cache(folder, 10**6)
    assert not [path.name for path in folder.iterdir() if path.name != OWN]
    found = [(n, cache.get(KEYS[n])) for n in range(40)]
    assert sum(one is not None for _, one in found) > 5
    assert all(one is None or same(entry(n, 50_000), one) for n, one in found)


def test_where_it_is_and_how_large(tmp_path, monkeypatch):
    monkeypatch.delenv(module.PLACE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert open_cache(0) is None
    place = tmp_path / "cell-segmentation-benchmark" / "embeddings"
    assert open_cache(5).folder == place / OWN
    monkeypatch.setenv(module.PLACE, str(tmp_path / "mine"))
    assert open_cache(5).folder == tmp_path / "mine" / OWN and open_cache(5) is open_cache(5)
    sizes = {"off": 0, "0": 0, "500MB": 5 * 10**8, "1.5 gb": 15 * 10**8, "2TB": 2 * 10**12}
    assert {text: bytes_of(text) for text in sizes} == sizes
    for text in ("", "20", "GB", "-1GB", "20 GiB", "on", f"{'9' * 400}GB"):
        with pytest.raises(UsageError, match=r"off, .*500MB"):
            bytes_of(text)
