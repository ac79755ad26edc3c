"""Our plug-ins for Hydra, as other Hydra programs of the environment meet them."""

import json
import os
import subprocess
import sys

import pytest

from benchmark.choices import CHECKOUT

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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages as a wheel holds them."""
    folder, egg = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("egg")
    setup = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q"]
    words = ["egg_info", "--egg-base", egg, "build_py", "--build-lib", folder]
    subprocess.run([*setup, *words], cwd=CHECKOUT, check=True, capture_output=True)
    return folder


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


def test_the_wheel_names_every_package(site):
    """What `pyproject.toml` lists one by one is all that there is."""
    of_checkout = {
        path.relative_to(CHECKOUT).parent
        for package in ("benchmark", "models")
        for path in (CHECKOUT / package).rglob("__init__.py")
        if "hydra_plugins" not in path.parts
    }
    packed = {path.relative_to(site).parent for path in site.rglob("__init__.py")}
    assert {str(path) for path in packed - of_checkout} == {"hydra_plugins/cell_benchmark"}
    assert of_checkout <= packed
