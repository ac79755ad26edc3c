"""What produced a run: the code's revision, the attempts, and whether they differ."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.runs import do, make_job

from benchmark.store.provenance import code_revision, describe_attempt, differ


@pytest.mark.parametrize(("second", "mixed"), [({"threads": 1}, False), ({"threads": 2}, True)])
def test_a_run_made_in_attempts_that_differ_is_mixed(root, second, mixed):
    do(make_job(root, limit=2), attempt={"threads": 1})
    do(make_job(root), attempt=second)
    assert make_job(root).store.is_mixed() is mixed


def test_an_attempt_that_adds_nothing_leaves_no_mark(root):
    do(make_job(root), attempt={"host": "a"})
    do(make_job(root), attempt={"host": "b"})
    store = make_job(root).store
    assert [row["with"] for row in store.attempts()] == [{"host": "a"}]
    assert not store.is_mixed()


def test_attempts_on_two_hosts_differ_and_on_one_are_equal(monkeypatch):
    here, again = describe_attempt("cpu", 1), describe_attempt("cpu", 1)
    assert here == again and json.loads(json.dumps(here)) == here
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert describe_attempt("cpu", 1) != here


def test_the_code_has_no_revision_outside_of_git_or_without_it(tmp_path, monkeypatch):
    unknown = {"commit": None, "dirty": None}
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.store.provenance.CHECKOUT", tmp_path)
        assert code_revision() == unknown
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_revision() == unknown


def test_changed_code_is_told_from_the_commit_and_from_other_changes(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "a.py").write_text("1")
    git("init")
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "a")
    monkeypatch.setattr("benchmark.store.provenance.CHECKOUT", tmp_path)
    revision = code_revision()
    assert re.fullmatch("[0-9a-f]{40}", revision["commit"]) and revision["dirty"] is False
    states = set()
    for content in ("2", "3"):
        (tmp_path / "benchmark" / "a.py").write_text(content)
        changed = code_revision()
        assert changed["commit"] == revision["commit"]
        states.add(changed["dirty"])
    assert len(states) == 2 and False not in states  # one changed state is not another


def test_a_half_removed_package_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "ghost-1.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    described = describe_attempt("cpu", None)
    assert None not in described["packages"]
    json.dumps(described, sort_keys=True)


def test_threads_are_a_number_whoever_told_them(monkeypatch):
    for told, threads in (("1", 1), ("4,2", "4,2")):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert describe_attempt("cpu", None)["threads"] == threads
        assert describe_attempt("cpu", 1)["threads"] == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert describe_attempt("cpu", None)["threads"] is None


@pytest.mark.parametrize(
    ("first", "second", "mixed"),
    [
        ({"threads": 1}, {"threads": "1"}, False),  # as it was told once
        ({"threads": "2"}, {"threads": 1}, True),
        ({"threads": None}, {"threads": 1}, True),
        ({"gpu": "A100"}, {"gpu": "A100"}, False),
        ({"gpu": "A100"}, {"gpu": "H100"}, True),
        ({"gpu": "A100"}, {}, False),  # before attempts told of it
        ({"gpu": "A100", "host": "a"}, {"host": "b"}, True),
    ],
)
def test_what_attempts_differ_in(root, first, second, mixed):
    do(make_job(root, limit=2), attempt=first)
    do(make_job(root), attempt=second)
    assert make_job(root).store.is_mixed() is mixed


def test_an_old_attempt_between_two_gpus_hides_neither():
    assert differ([{"gpu": "A100"}, {}, {"gpu": "H100"}])


@pytest.mark.parametrize(
    ("device", "awake", "gpu"), [("cuda", True, "A100"), ("cuda", False, None), ("cpu", True, None)]
)
def test_the_gpu_is_named_where_one_is_used_and_never_woken_for_it(monkeypatch, device, awake, gpu):
    def name():
        assert awake, "that would have initialised CUDA"
        return "A100"

    cuda = SimpleNamespace(is_initialized=lambda: awake, get_device_name=name)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert describe_attempt(device, 1).get("gpu") == gpu
    monkeypatch.delitem(sys.modules, "torch")
    assert "gpu" not in describe_attempt(device, 1) and "torch" not in sys.modules
