"""Weights are found, fetched and verified before anything is loaded, or there is one message."""

from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.weights import CONTENT, card, digest
from helpers.weights import own_cache as own_cache

from benchmark.errors import ModelError, SkippedError, StoreError, UsageError
from models.weights import download
from models.weights.checkpoint import file_digest
from models.weights.registry import CardWeights, Lock, UserWeights, find_weights


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine, over a folder with the published file."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "net.pt").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/net.pt"
        running.shutdown()


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "xxh128"])
def test_a_file_in_weights_dir_is_verified_by_the_cards_digest(
    tmp_path: Path, algorithm: str
) -> None:
    if algorithm == "xxh128":
        pytest.importorskip("xxhash", reason="xxhash comes with micro-sam")
    (tmp_path / "net.pt").write_bytes(CONTENT)
    known = digest(CONTENT, algorithm, tmp_path)
    found = CardWeights(card(digest=known), tmp_path, False).fetch()
    assert found.digests == {"model": known} and found.mark == "verified" and found.confirmed
    assert found.paths == {"model": tmp_path / "net.pt"} and found.label == "net"


def test_an_algorithm_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    (tmp_path / "net.pt").write_bytes(CONTENT)
    with pytest.raises(ModelError, match="pip install xxhash"):
        file_digest(tmp_path / "net.pt", "xxh128")


def test_digests_are_those_that_the_systems_own_tools_give(tmp_path: Path) -> None:
    # sha256sum and md5sum of the empty file, which everybody knows.
    (tmp_path / "empty").touch()
    assert file_digest(tmp_path / "empty").endswith("b7852b855")
    assert file_digest(tmp_path / "empty", "md5") == "md5:d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("content", "told"),
    [(CONTENT[:-3], "bytes"), (b"<!DOCTYPE html><title>Sign in", "an HTML page")],
    ids=["truncated", "a page"],
)
def test_another_file_under_the_name_is_an_error_with_both_digests(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    known = digest(CONTENT, "sha256", tmp_path)
    with pytest.raises(ModelError) as error:
        CardWeights(card(digest=known), tmp_path, False).fetch()
    for word in (str(tmp_path / "net.pt"), known, file_digest(tmp_path / "net.pt"), told):
        assert word in str(error.value)


def test_a_download_goes_to_the_cache_once_and_is_verified(tmp_path: Path, server: str) -> None:
    pytest.importorskip("pooch", reason="pooch comes with the models")
    known = digest(CONTENT, "sha256", tmp_path)
    chosen = CardWeights(card(server, digest=known), None, False)
    found = chosen.fetch()
    assert found.paths["model"] == tmp_path / "cache" / "net" / "net.pt"
    (tmp_path / "web" / "net.pt").unlink()  # a second download would fail
    assert chosen.fetch() == found


def test_a_download_of_something_else_is_an_error_and_leaves_nothing(
    tmp_path: Path, server: str
) -> None:
    pytest.importorskip("pooch", reason="pooch comes with the models")
    known = digest(b"other", "sha256", tmp_path)
    with pytest.raises(ModelError, match="'net' went wrong") as error:
        CardWeights(card(server, digest=known), None, False).fetch()
    assert known.partition(":")[2] in str(error.value)
    assert file_digest(tmp_path / "web" / "net.pt").partition(":")[2] in str(error.value)
    assert list((tmp_path / "cache" / "net").iterdir()) == []


def test_a_missing_page_skips_and_says_what_to_do(server: str) -> None:
    pytest.importorskip("pooch", reason="pooch comes with the models")
    with pytest.raises(SkippedError, match=r"weights unavailable: 'net': .*404.*curl -L -o net.pt"):
        CardWeights(card(server + "x", digest=None), None, False).fetch()


@pytest.mark.parametrize(
    ("what", "told", "kind"),
    [
        (OSError(28, "No space left on device"), "No space left on device", StoreError),
        (ModuleNotFoundError("No module named 'pooch'"), "not installed.*'pooch'", SkippedError),
        (ImportError("libz.so: no such file"), "can't be loaded: libz.so", SkippedError),
    ],
    ids=["full disk", "no library", "a broken library"],
)
def test_what_else_stands_in_the_way_is_one_message(
    monkeypatch: pytest.MonkeyPatch, what: Exception, told: str, kind: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise what

    monkeypatch.setitem(download._WAYS, "url", fail)
    with pytest.raises(kind, match=told):
        CardWeights(card(), None, False).fetch()


def test_without_a_published_digest_the_first_download_is_held_to(
    tmp_path: Path, server: str
) -> None:
    pytest.importorskip("pooch", reason="pooch comes with the models")
    chosen = CardWeights(card(server), None, False)
    assert chosen.expected() is None
    first = chosen.fetch()
    assert not first.confirmed and first.label == "net, digest unconfirmed"
    expected = chosen.expected()
    assert expected is not None and expected.digests == first.digests
    changed = tmp_path / "cache" / "net" / "net.pt"
    changed.write_bytes(b"something else")
    with pytest.raises(ModelError, match="by the first download") as error:
        chosen.fetch()
    assert first.digests["model"] in str(error.value) and file_digest(changed) in str(error.value)
    # Meant, it is said once: the lock is the user's own.
    lock = tmp_path / "cache" / "digests" / "net-net.pt.json"
    assert f"remove {lock}" in str(error.value)
    lock.unlink()
    assert chosen.fetch().digests["model"] == file_digest(changed)


def put(folder: Path, card: str, started: Any) -> None:
    started.wait()
    Lock(folder).put(card, "net.pt", f"sha256:{card}")


def test_first_downloads_at_once_are_all_remembered(tmp_path: Path) -> None:
    names = [f"card_{number}" for number in range(16)]
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    started = context.Barrier(len(names))
    processes = [
        context.Process(target=put, args=(tmp_path / "digests", name, started)) for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    remembered = {name: Lock(tmp_path / "digests").get(name, "net.pt") for name in names}
    assert remembered == {name: f"sha256:{name}" for name in names}


def test_digests_that_an_earlier_version_remembered_still_count(tmp_path: Path) -> None:
    (tmp_path / "digests.json").write_text('{"net/net.pt": "sha256:1"}')
    lock = Lock(tmp_path / "digests")
    assert lock.get("net", "net.pt") == "sha256:1"
    assert str(tmp_path / "digests.json") in lock.remedy("net", "net.pt")


def test_a_page_saved_under_the_name_is_never_held_to(tmp_path: Path, server: str) -> None:
    pytest.importorskip("pooch", reason="pooch comes with the models")
    page, chosen = tmp_path / "web" / "net.pt", CardWeights(card(server), None, False)
    page.write_bytes(b"<html>Sign in</html>")
    with pytest.raises(ModelError, match=r"HTML"):
        chosen.fetch()
    (tmp_path / "cache" / "net" / "net.pt").unlink()
    page.write_bytes(CONTENT)
    assert chosen.fetch().digests == {"model": digest(CONTENT, "sha256", tmp_path)}


@pytest.mark.parametrize("kind", ["zip", "safetensors", "empty"])
def test_a_broken_file_is_never_held_to(tmp_path: Path, kind: str) -> None:
    path, chosen = tmp_path / "net.pt", CardWeights(card(), tmp_path, False)
    if kind == "safetensors":
        numpy = pytest.importorskip("safetensors.numpy", reason="safetensors come with torch's")
        numpy.save_file({"weight": np.zeros(100)}, path)
    else:  # as torch saves
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", CONTENT * 100)
    whole = path.read_bytes()
    path.write_bytes(b"" if kind == "empty" else whole[:-100])
    told = "it is empty" if kind == "empty" else "it is truncated"
    with pytest.raises(ModelError, match=rf"net\.pt.*{told}.*Remove it"):
        chosen.fetch()
    path.write_bytes(whole)
    assert chosen.fetch().digests == {"model": file_digest(path)}


def test_a_text_that_looks_like_safetensors_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_text('{"name":{"of": "a tokenizer"}}')
    assert (tmp_path / "net.pt").read_bytes()[8:9] == b"{"
    assert CardWeights(card(), tmp_path, False).fetch().digests


def test_a_download_that_leaves_no_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(download._WAYS, "url", lambda *_: None)
    with pytest.raises(ModelError, match="weights 'net': "):
        CardWeights(card(), None, False).fetch()


def test_a_file_that_its_own_library_keeps_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "home" / ".cache" / "lib" / "net"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    chosen = CardWeights(card(caches=("$LIBRARY_HOME/net", ".cache/lib/net")), None, False)
    assert chosen.unavailable_reason() is None and chosen.fetch().paths == {"model": place}
    place.rename(tmp_path / "net")
    assert chosen.unavailable_reason() is not None
    monkeypatch.setenv("LIBRARY_HOME", str(tmp_path))
    assert chosen.unavailable_reason() is None


@pytest.mark.parametrize(
    ("published", "asked_for", "may"),
    [
        ("sha256", False, True),
        ("sha512", False, True),
        ("md5", False, False),
        ("md5", True, True),
        ("xxh128", False, False),
        (None, False, False),
        (None, True, True),
    ],
)
def test_only_a_published_digest_that_none_can_forge_or_the_user_allows_to_unpickle(
    tmp_path: Path, published: str | None, asked_for: bool, may: bool
) -> None:
    if published == "xxh128":
        pytest.importorskip("xxhash", reason="xxhash comes with micro-sam")
    (tmp_path / "net.pt").write_bytes(CONTENT)
    known = digest(CONTENT, published, tmp_path) if published else None
    assert CardWeights(card(digest=known), tmp_path, asked_for).fetch().unpickle is may


def test_one_file_that_can_be_forged_is_enough_to_forbid_it(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(CONTENT)
    made = card(digest=digest(CONTENT, "sha256", tmp_path))
    forgeable = replace(made.files["model"], digest=digest(CONTENT, "md5", tmp_path))
    two = replace(made, files={"decoder": forgeable, **made.files})
    assert not CardWeights(two, tmp_path, False).fetch().unpickle


@pytest.mark.parametrize("name", ["digests.json", "digests/net-net.pt.json"])
def test_a_damaged_lock_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "digests").mkdir()
    for content in ("{", "[" * 100_000):
        (tmp_path / name).write_text(content)
        with pytest.raises(ModelError, match=rf"{name} can't be read .*move it away"):
            Lock(tmp_path / "digests").get("net", "net.pt")


def test_a_users_file_is_named_by_its_digest_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "vit_b_lm.pt"
    path.write_bytes(CONTENT)
    found = find_weights(str(path), family="musam").fetch()
    assert found.mark == "user" and found.name == f"user {file_digest(path)[7:15]}"
    assert "vit_b_lm" not in found.label and not found.unpickle


def test_a_users_folder_is_every_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "a").write_bytes(b"1")
    (tmp_path / "folder" / "sub" / "b").write_bytes(b"2")
    chosen = find_weights(str(tmp_path / "folder"), family="sam3")
    before = chosen.expected()
    assert before is not None and set(before.digests) == {"a", "sub/b"}
    (tmp_path / "folder" / ".cache").mkdir()
    (tmp_path / "folder" / ".cache" / "a.metadata").touch()
    assert chosen.expected() == before
    (tmp_path / "folder" / "sub" / "b").write_bytes(b"3")
    after = chosen.expected()
    assert after is not None and after.name != before.name


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is an empty folder"):
        UserWeights(tmp_path, "user", False).fetch()


def test_an_unknown_name_is_neither_taken_for_something_else_nor_downloaded() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'vit_b_lm'\? .*: demo, demo_boxes, vit_b_"):
        find_weights("vit_b_ml", family="musam")


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(UsageError, match="weights for this model"):
        find_weights("vit_b_lm", family="sam2")


def test_only_the_tests_own_door_marks_weights_as_untrained(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(CONTENT)
    path = str(tmp_path / "net.pt")
    assert find_weights(path, family="musam", untrained=True).fetch().mark == "untrained"
    for source in (Path(__file__).parents[2] / "models").rglob("*.py"):
        assert "untrained=True" not in source.read_text(), source


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "pipe in a folder"])
def test_what_can_be_read_without_end_is_refused(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero")
    if kind != "device":
        path = tmp_path / "net.pt"
        os.mkfifo(path)
    if kind == "pipe in a folder":  # beside a file that can be read
        (tmp_path / "other.pt").write_bytes(CONTENT)
        assert set(UserWeights(tmp_path, "user", False).fetch().paths) == {"other.pt"}
        return
    with pytest.raises(ModelError, match="a pipe or a device"):
        UserWeights(path, "user", False).fetch()
