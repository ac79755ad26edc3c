"""Flags of the command line: anywhere among the overrides, and slips explained."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from helpers.command_line import untouched_state

from benchmark import __version__
from benchmark.choices import CONFIGS, config_folders
from benchmark.cli.flags import split
from benchmark.cli.main import main
from benchmark.errors import UsageError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    with untouched_state():
        return main()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text(
        "# Mine\nname: mine\n_target_: models.otsu.Otsu\nsigma: 3.0\n"
    )
    return tmp_path / "own"


@pytest.mark.parametrize(
    "arguments",
    [["--config-dir", "own"], ["--config-dir=own"], ["-cd", "own", "limit=1"], ["-cd=own", "-m"]],
)
def test_the_folders_are_those_named_and_ours(arguments: list[str]) -> None:
    assert config_folders(arguments) == [Path("own"), CONFIGS]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("folder", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"]])
@pytest.mark.parametrize("cfg", [["--cfg", "job"], ["-c", "job"], ["--cfg=job"]])
def test_flags_stand_anywhere_among_the_overrides(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    own: Path,
    place: int,
    folder: list[str],
    cfg: list[str],
) -> None:
    parts = [["model=mine"], ["limit=2"]]
    parts.insert(place, [word.format(own) for word in folder])
    parts.insert(1, cfg)
    assert run(monkeypatch, *itertools.chain(*parts)) == 0
    shown = capfd.readouterr().out
    assert "sigma: 3.0" in shown and "limit: 2" in shown


@pytest.mark.parametrize(
    ("written", "flag"),
    [
        (["-m"], "--multirun"),
        (["--multirun"], "--multirun"),
        (["--info"], "--info=all"),
        (["--info", "defaults"], "--info=defaults"),
        (["-i"], "--info=all"),
        (["--resolve"], "--resolve"),
        (["--hydra-help"], "--hydra-help"),
        (["--config-dir", "a=b"], "--config-dir=a=b"),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_a_flag_comes_first_and_overrides_keep_their_order(
    written: list[str], flag: str, place: int
) -> None:
    words = ["model=otsu", "~hydra.x"]
    arguments = [*words[:place], *written, *words[place:]]
    assert split(arguments, [CONFIGS]) == ([flag], words)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["help"], "--help"),
        (["version"], "--version"),
        (["list"], "action=list"),
        (["otsu"], "model=otsu"),
        (["nuclei_demo"], "data=nuclei_demo"),
        (["--model", "otsu"], "model=otsu"),
        (["-model", "otsu"], "model=otsu"),
        (["--model=otsu"], "model=otsu"),
        (["limit=1", "--data=synthetic"], "data=synthetic"),
        (["--data.split", "val"], "data.split=val"),
        (["--limit"], "limit=..."),
        (["--experiment=demo"], "+experiment=demo"),
        (["--config-dri", "x"], "--config-dir"),
        (["model=otsu", "--config-dir"], "--config-dir"),
        (["--cfg", "jobs"], "job"),
        (["--cfg", "-m"], "job"),
    ],
)
def test_a_slip_gets_one_line_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    meant: str,
) -> None:
    with pytest.raises(UsageError):
        split(arguments, [CONFIGS])
    assert run(monkeypatch, *arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert meant in line.replace("'", "")


@pytest.mark.parametrize("arguments", [["--version"], ["model=otsu", "--version", "limit=1"]])
def test_the_version_is_that_of_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert capfd.readouterr().out == f"cell-segmentation-benchmark {__version__}\n"


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["model=otsu", "data.labels=x"], "data=folder has it."),
        (["model=otsu", "data=u20s", "data.z=max"], "data=folder has it."),
        (["model=apg", "data=synthetic", "model.predictions=x"], "model=precomputed has it."),
        (["model=otsu", "protocol=paper", "data.nowhere=x"], None),
        (
            ["model=empty", "--config-dir", "own", "model.sigma=1"],
            "model=mine, model=otsu have it.",
        ),
    ],
)
def test_a_key_of_another_choice_is_said_to_be_its(
    overrides: list[str],
    said: str | None,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(own.parent)
    assert run(monkeypatch, *overrides) == 2
    error = capsys.readouterr().err
    assert "there is no key" in error
    assert said in error if said else " it. " not in error
