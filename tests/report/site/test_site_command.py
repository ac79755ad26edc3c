"""The command that a run's page tells makes the same run."""

import shlex

import pytest
from helpers.command_line import call

from benchmark.report.site.data import command, without_folders
from benchmark.store.store import RunStore


def test_the_command_makes_the_same_run(tmp_path):
    words = ["data=nuclei_demo", "model=otsu", "model.sigma=2", "seed=3"]
    places = [f"results={tmp_path / 'one'}", f"datasets={tmp_path / 'datasets'}"]
    done = call([*words, "limit=1", *places], tmp_path)
    assert done.returncode == 0, done.stderr
    (store,) = RunStore.all(tmp_path / "one" / "runs")
    told = command(store.describe(), "paper")
    again = [f"results={tmp_path / 'two'}", places[1], "limit=1"]
    start, words = ["python", "-m", "benchmark"], shlex.split(told)
    assert words[:3] == start
    done = call([*words[3:], *again], tmp_path)
    assert done.returncode == 0, done.stderr
    (second,) = RunStore.all(tmp_path / "two" / "runs")
    assert second.describe()["run_id"] == store.describe()["run_id"], done.stderr


@pytest.mark.parametrize(
    ("data_card", "words"),
    [
        ({"loader": "torch_em.x", "root": "/secret"}, ["data=d"]),
        (
            {"images": "my cells/*.tif", "labels": "it's/*.tif", "group": "^(a+)", "root": None},
            ["data=folder", "data.name=d", "data.images='my cells/*.tif'",
             r"data.labels='it\'s/*.tif'", "data.group='^(a+)'"],
        ),
        (
            {"images": "/secret/my cells/*.tif", "labels": r"C:\secret\b c\*.tif", "group": "/a/b"},
            ["data=folder", "data.name=d", "data.images='<folder>/*.tif'",
             "data.labels='<folder>/*.tif'", "data.group=/a/b"],
        ),
    ],
)  # fmt: skip
def test_the_command_is_quoted_for_shell_and_hydra(data_card, words):
    described = {
        "model": "apg (min_size=3, weights=user 1a2b)", "config": "apg", "data": "d",
        "split": "val", "data_card": data_card, "identity": {"seed": 1, "device": "cuda"},
        "weights": {"name": "user 1a2b", "mark": "user", "digests": {"model": "sha256:1a2b3c"}},
    }  # fmt: skip
    text = command(described, "clean")
    assert "/secret" not in text
    assert shlex.split(text) == [
        "python", "-m", "benchmark", "model=apg", "model.min_size=3",
        "model.weights=<file with sha256:1a2b3c>", *words, "data.split=val", "protocol=clean",
        "seed=1", "device=cuda",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/my cells/a.tif", "<folder>/a.tif"),
        ("~/cells", "<folder>/cells"),
        ("a: /home/me/x.tif: can't be read", "a: <folder>/x.tif: can't be read"),
        ("raised TypeError (/home/me/x.py, line 3)", "raised TypeError (<folder>/x.py, line 3)"),
        (r"C:\me\cells\a.tif is damaged", "<folder>/a.tif is damaged"),
        ("cells/a/b.tif", "cells/a/b.tif"),
        ("https://site.org/a/b/c", "https://site.org/a/b/c"),
        ("n/a, 1/2/3, a/b", "n/a, 1/2/3, a/b"),
        ("</script><script>alert(2)</script>", "</script><script>alert(2)</script>"),
    ],
)  # fmt: skip
def test_folders_of_this_machine_are_not_shown(text, shown):
    assert without_folders({"a": [text]}) == {"a": [shown]}
