"""Our plug-ins for Hydra, as other Hydra programs of the environment meet them."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import mock

import pytest
from hydra.core.global_hydra import GlobalHydra

from benchmark.choices import CHECKOUT
from benchmark.cli.hydra_config import config_loader, load, register
from benchmark.errors import UsageError

PROGRAM = """\
import json, sys
sys.modules["benchmark"] = None  # importing it is an error from here on
before = set(sys.modules)
import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

ConfigStore.instance().store(name="main", node={"x": 0})

@hydra.main(version_base="1.3", config_path=None, config_name="main")
def main(config):
    found = [f"{plugin.__module__}.{plugin.__name__}" for plugin in Plugins.instance().discover()]
    loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
    choices = {g: sorted(ConfigStore.instance().repo["hydra"][g]) for g in ("launcher", "sweeper")}
    print(json.dumps({"x": config.x, "plugins": found, "loaded": loaded, "choices": choices}))

main()
"""


SETUPTOOLS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
NAME = "hydra_plugins.cell_benchmark"


@pytest.fixture
def site(tmp_path):
    """A folder of packages with ours, as a wheel would install it."""
    shutil.copytree(
        CHECKOUT / SETUPTOOLS["package-dir"][NAME], tmp_path / "site" / NAME.replace(".", "/")
    )
    return tmp_path / "site"


@pytest.fixture
def program(site, tmp_path):
    """Runs a small Hydra program of somebody else's; its output, a line per job."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def run(*words):
        done = subprocess.run(
            [sys.executable, "program.py", *words], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(site)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "the search for plug-ins warned"
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return run


def test_another_hydra_program_finds_the_plugins_and_works_as_without_them(program):
    (job,) = program("hydra.output_subdir=null", "hydra.run.dir=.", "x=3")
    ours = {name for name in job["plugins"] if "cell_benchmark" in name}
    assert ours == {
        f"hydra_plugins.cell_benchmark.{name}"
        for name in ("JobSweeper", "ProcessLauncher", "SlurmLauncher")
    }
    assert job["x"] == 3
    assert not {"benchmark", "numpy", "torch", "rich", "submitit"} & set(job["loaded"])
    offered = job["choices"]["launcher"] + job["choices"]["sweeper"]
    assert not {"processes.yaml", "jobs.yaml", "slurm.yaml"} & set(offered)


def test_another_hydra_program_sweeps_by_its_own_sweeper(program):
    jobs = program("-m", "x=1,2", "hydra.output_subdir=null", "hydra.sweep.dir=.")
    assert [job["x"] for job in jobs] == [1, 2]


def test_every_package_is_listed():
    packages = {
        ".".join(path.relative_to(CHECKOUT).parts[:-1])
        for package in ("benchmark", "models")
        for path in (CHECKOUT / package).rglob("__init__.py")
    }
    place = ".".join(Path(SETUPTOOLS["package-dir"][NAME]).parts)
    assert set(SETUPTOOLS["packages"]) == packages - {place} | {NAME}


def test_an_environment_of_before_the_plugins_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, NAME, None)  # importing it is an error
    with pytest.raises(UsageError, match="pip install -e"):
        register()


def test_a_hydra_that_a_library_initialised_is_no_obstacle_and_stays():
    theirs = object()
    with mock.patch.object(GlobalHydra.instance(), "hydra", theirs):
        assert load(config_loader(), ["model=otsu"]).model.name == "otsu"
        assert GlobalHydra.instance().hydra is theirs
        GlobalHydra.instance().hydra = None
