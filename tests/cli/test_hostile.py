"""YAMLs and names of somebody hostile: a message, and nothing written elsewhere."""

import os
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.hostile import HOSTILE, leave_files
from helpers.runs import environment

from benchmark.console import UNPRINTABLE


def assert_plain(done):
    printed = done.stdout + done.stderr
    assert "Traceback" not in printed and done.returncode in (0, 1, 2), printed
    assert not UNPRINTABLE.search(printed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_line_ends_with_a_message_and_writes_nothing_elsewhere(name, tmp_path):
    home = tmp_path / "a" / "b"
    words = leave_files(home, HOSTILE[name])
    words += [f"results={home / 'results'}", f"datasets={home / 'datasets'}"]
    for action in ("run", "status", "list"):
        done = call(
            ["--config-dir", "own", *words, f"action={action}"], home, environment=environment()
        )
        assert_plain(done)
    assert {path.name for path in tmp_path.rglob("*") if home not in path.parents} == {"a", "b"}
    assert not [*tmp_path.rglob("evil*")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: k\xe4fer\n".encode("cp1252"), "cp1252"),
        ("name: mine\n".encode("utf-16"), "UTF-16"),
        (("[" * 20_000).encode(), "nested too deeply"),
        (b"a: &a [*a, *a]\n", "aliases"),
        (b"name: [a\nb: {\n", "line 2"),
    ],
)
@pytest.mark.parametrize("action", ["run", "list", "status"])
def test_a_yaml_that_cant_be_read_is_named_once(content, said, action, tmp_path):
    words = leave_files(tmp_path, [])
    path = Path("own", "model", "mine.yaml")
    (tmp_path / path).write_bytes(content)
    done = call(["--config-dir", "own", *words, f"action={action}"], tmp_path)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1, done.stderr
    assert str(path) in errors[0] and said in errors[0]
