"""What lies in the working directory: a user's adapters are found, and hide nothing of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark import __version__

CHECKOUT = Path(__file__).parents[2]
BOOBY_TRAP = "from pathlib import Path\nPath(__file__).with_name('EXECUTED').touch()\n"
SCRIPT = "import sys; from benchmark.__main__ import run; sys.exit(run())"
"""What pip writes for [project.scripts]: it starts with no working directory on the path."""


def run(
    folder: Path, *words: str, start: tuple[str, ...] = ("-m", "benchmark"), path: str = ""
) -> subprocess.CompletedProcess[str]:
    keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "BENCHMARK_DATA")}
    return subprocess.run(
        [sys.executable, *start, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=keep | ({"PYTHONPATH": path} if path else {}),
    )


def write_traps(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(BOOBY_TRAP)


def write_adapter(folder: Path) -> None:
    (folder / "mymodel.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    def predict(self, image):\n"
        "        import mypart\n"  # also what is imported late lies beside it
        "        return (image > mypart.LEVEL).astype(np.int64)\n"
    )
    (folder / "mypart.py").write_text("LEVEL = 40\n")
    (folder / "own" / "model").mkdir(parents=True)
    (folder / "own" / "model" / "mine.yaml").write_text(
        "# Mine\nname: mine\n_target_: mymodel.Mine\n"
    )


@pytest.mark.parametrize(
    ("trap", "path"),
    [
        ("models.py", ""),
        ("models/__init__.py", "."),
        pytest.param("models.py", ".", marks=pytest.mark.slow),
        pytest.param("models/__init__.py", "", marks=pytest.mark.slow),
    ],
)
def test_a_package_of_our_name_in_the_working_directory_is_not_imported(
    tmp_path: Path, trap: str, path: str
) -> None:
    write_traps(tmp_path, trap, str(Path(trap).with_name("otsu.py")))
    done = run(tmp_path, "model=otsu", "limit=1", "results=r", "datasets=d", path=path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("EXECUTED"))


@pytest.mark.slow
def test_a_models_package_elsewhere_on_the_path_is_not_imported(tmp_path: Path) -> None:
    write_traps(tmp_path, "elsewhere/models.py")
    where = str(tmp_path / "elsewhere")
    done = run(tmp_path, "model=otsu", "limit=1", "results=r", "datasets=d", path=where)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("EXECUTED"))


@pytest.mark.slow
def test_of_what_a_library_logs_only_errors_are_shown(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    with (tmp_path / "mypart.py").open("a") as file:
        file.write("import logging\nlogging.warning('chatter')\nlogging.error('trouble')\n")
    words = ["--config-dir", "own", "model=mine", "limit=1", "results=r", "datasets=d"]
    done = run(tmp_path, *words)
    assert done.returncode == 0 and "trouble" in done.stderr and "chatter" not in done.stderr


@pytest.mark.parametrize(
    "start", [("-m", "benchmark"), pytest.param(("-P", "-c", SCRIPT), marks=pytest.mark.slow)]
)
def test_an_adapter_in_the_working_directory_is_found(
    tmp_path: Path, start: tuple[str, ...]
) -> None:
    write_adapter(tmp_path)
    write_traps(tmp_path, "models.py")
    words = ["--config-dir", "own", "model=mine", "limit=1", "results=r", "datasets=d"]
    done = run(tmp_path, *words, start=start)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("EXECUTED"))


@pytest.mark.parametrize("models", ["mine", pytest.param("mine,otsu", marks=pytest.mark.slow)])
def test_jobs_and_workers_started_by_the_script_import_the_installed_package(
    tmp_path: Path, models: str
) -> None:
    write_adapter(tmp_path)
    write_traps(tmp_path, "benchmark/__init__.py", "benchmark/__main__.py", "models/__init__.py")
    words = ["-m", "--config-dir", "own", f"model={models}", "data=synthetic", "workers=2"]
    words += ["limit=1", "results=r", "datasets=d"]
    done = run(tmp_path, *words, start=("-P", "-c", SCRIPT))
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("EXECUTED"))


def test_the_console_script_is_the_command_line(tmp_path: Path) -> None:
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"cell-benchmark": "benchmark.__main__:run"}
    start = ("-P", "-c", SCRIPT)
    shown = run(tmp_path, "--version", start=start)
    assert (shown.returncode, shown.stdout.split()[-1]) == (0, __version__)
    assert run(tmp_path, "model=nope", start=start).returncode == 2
