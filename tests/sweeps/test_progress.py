"""What people see of a sweep: one live table on a terminal, one line per job in a file."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest
from helpers.runs import command, environment
from rich.console import Console

from benchmark import console
from benchmark.sweeps import progress
from benchmark.sweeps.process import ENDED, LEFT, PROGRESS_FILE, JobOutcome, JobProcess, read_ended

pytestmark = pytest.mark.alone

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def outcome(label, folder, **details):
    return JobOutcome(label, 0, folder / "log.txt", details, 61.0)


@pytest.fixture
def screen(monkeypatch):
    """A terminal; what is on it, without what moves its cursor."""
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=140, height=40)
    monkeypatch.setattr(progress, "err", terminal)
    return file


def drawn(shown):
    text = io.StringIO()
    Console(file=text, width=140).print(shown._drawn())
    return text.getvalue()


def test_the_live_table_shows_who_runs_how_far_it_is_and_what_came_of_the_others(tmp_path, screen):
    state = {"title": "a on b", "done": 30, "total": 40, "seconds": 90.0, "detail": "mSA 0.5"}
    (tmp_path / PROGRESS_FILE).write_text(json.dumps(state))
    with progress.SweepProgress(5) as shown:
        shown.begins("model=a", tmp_path)
        shown.begins("model=queued", tmp_path)
        shown.waits("model=queued")
        shown.ends(outcome("model=c", tmp_path, status="complete", msa="0.425"))
        shown.ends(JobOutcome("model=d", 1, None, {"state": "skipped"}, 0.0))
        text = drawn(shown)
    assert re.search(r"model=a +running +\S+ +30/40 +0:0\d +0:30 left, mSA 0\.5", text), text
    assert re.search(r"model=c +done +complete +1:01 +mSA 0\.425", text)
    assert "model=d" not in text and "queued" not in text
    assert "5 jobs: 1 done, 1 skipped, 1 running, 2 to do" in text


def test_names_and_details_cant_play_with_the_terminal(tmp_path, screen):
    (tmp_path / PROGRESS_FILE).write_text(json.dumps({"detail": "\x1b[2Jgone [red]", "total": 1}))
    shown = progress.SweepProgress(1)
    shown.begins("model=\x1b]0;x\x07[bold]", tmp_path)
    text = drawn(shown)
    assert not CONTROL.search(text) and "[red]" in text and "[bold]" in text


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_job_that_has_told_nothing_whole_yet_is_shown_all_the_same(tmp_path, content):
    (tmp_path / PROGRESS_FILE).write_text(content)
    shown = progress.SweepProgress(1)
    shown.begins("model=a", tmp_path)
    assert re.search(r"model=a +running", drawn(shown))


def test_without_a_terminal_it_is_a_line_per_job(tmp_path, capsys):
    with progress.SweepProgress(2) as shown:
        shown.begins("model=a", tmp_path)
        shown.ends(outcome("model=a", tmp_path))
        shown.ends(JobOutcome("model=b", 1, None, {"state": "skipped"}, 0.0))
    output = capsys.readouterr().err
    assert output.splitlines() == ["[1/2] model=a: done, 61 s", "[2/2] model=b: skipped"]


def test_steps_tell_the_sweep_how_far_they_are(tmp_path, monkeypatch):
    path = tmp_path / PROGRESS_FILE
    monkeypatch.setenv(console.PROGRESS, str(path))
    with console.Steps("doing", 3) as steps:
        steps.advance("first")
        first = json.loads(path.read_text())
        steps.advance("second")  # too soon after the first
        assert json.loads(path.read_text()) == first
        steps.advance("third")  # but the last is written
    assert (first["done"], first["total"], first["detail"]) == (1, 3, "first")
    assert json.loads(path.read_text())["done"] == 3
    assert [p.name for p in tmp_path.iterdir()] == [PROGRESS_FILE]
    monkeypatch.setenv(console.PROGRESS, str(tmp_path / "none" / "p"))
    with console.Steps("doing", 1) as steps:
        steps.advance("whatever the disk says")


NOISE = r"""
import sys
print("plain \u00b5")
sys.stdout.write("\r 10%|#   |\r 55%|##  |\r100%|####|\n")
sys.stdout.write("\x1b[1;31mred\x1b[0m \x1b[2K\tafter a tab\x07\n")
sys.stderr.write("not ended by a line")
sys.exit(3)
"""


def test_a_log_has_no_control_characters_whatever_a_library_prints(tmp_path, monkeypatch):
    script = tmp_path / "noise.py"
    script.write_text(NOISE)
    start = subprocess.Popen

    def noisy(command, **how):
        assert command[0] == sys.executable and command[-4:-2] == ["-m", "benchmark"]
        assert "FORCE_COLOR" not in how["env"]
        return start([sys.executable, str(script)], **how)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.setattr(subprocess, "Popen", noisy)
    for name in (LEFT, ENDED, PROGRESS_FILE):
        (tmp_path / name).write_text('{"msa": "of an earlier sweep"}')
    found = JobProcess().do(["a=b"], "a=b", tmp_path)
    lines = found.log.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "plain \u00b5" and lines[1] == "100%|####|"
    assert re.fullmatch(r"red +after a tab\ufffd", lines[2]) and lines[3] == "not ended by a line"
    assert not CONTROL.search(found.log.read_text(encoding="utf-8"))
    assert (found.status, found.details) == (3, {})
    assert read_ended("a=b", tmp_path) == found
    assert read_ended("a=b", tmp_path / "none") is None


@pytest.mark.slow
def test_on_a_real_terminal_a_sweep_draws_one_table_and_leaves_only_the_summary(tmp_path):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path, "-m", "seed=0,1", "limit=2"), cwd=tmp_path, stderr=follower,
        stdout=subprocess.PIPE, env=environment(SECONDS="1.2", TERM="xterm", COLUMNS="140"),
    )  # fmt: skip
    os.close(follower)
    shown = b""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    output = process.stdout.read().decode()
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
    assert re.search(r"seed=0 +running .* [01]/2", text), text
    assert re.search(r"seed=0 +done .*\n.*seed=1 +running", text), text
    assert "2 jobs: 1 done, 1 running" in text
    assert re.search(r"seed=0 +│ done", output) and not CONTROL.search(output)
    for log in tmp_path.glob("results/sweeps/*/*/log.txt"):
        assert log.read_text() and not CONTROL.search(log.read_text())
