"""Promises about the packages themselves: light, well-named, and with nothing in the way."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "pandas", "scipy", "hydra", "matplotlib", "numba", "stardist")


def python(code: str, cwd: Path = CHECKOUT) -> str:
    """What a new interpreter prints, with `cwd` on its module path as `python -m` puts it."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    found = python(f"import sys, benchmark; print([m for m in {HEAVY} if m in sys.modules])")
    assert found == "[]"


ADAPTERS = sorted(f"models.{path.stem}" for path in (CHECKOUT / "models").glob("[!_]*.py"))
LIBRARIES = (
    "torch", "skimage", "stardist", "elf", "micro_sam", "segment_anything", "sam2",
    "transformers", "cellpose", "cellSAM", "PyQt6", "napari", "pooch", "huggingface_hub",
)  # fmt: skip


@pytest.mark.parametrize("module", ADAPTERS)
def test_importing_an_adapter_loads_no_model_library(module: str) -> None:
    found = python(f"import sys, {module}; print([m for m in {LIBRARIES} if m in sys.modules])")
    assert found == "[]"


def test_numpy_waits_until_the_number_of_threads_is_set(tmp_path: Path) -> None:
    # OpenBLAS and OpenMP read their variables once, when they are loaded.
    places = f"'results={tmp_path}/r', 'datasets={tmp_path}/d'"
    found = python(
        "import sys, benchmark.threads as device\n"
        "was = device.limit_threads\n"
        "def limit(n): print(n, 'numpy' in sys.modules); was(n)\n"
        "device.limit_threads = limit\n"
        f"sys.argv = ['benchmark', 'model=otsu', 'limit=1', 'threads=1', {places}]\n"
        "from benchmark.cli.main import main\n"
        "assert main() == 0"
    )
    assert found.splitlines()[0] == "1 False"


def test_a_run_never_imports_stardist_or_torch(tmp_path: Path) -> None:
    places = f"'results={tmp_path}/r', 'datasets={tmp_path}/d'"
    found = python(
        f"import sys; sys.argv = ['benchmark', 'model=otsu', 'limit=1', {places}]\n"
        "from benchmark.cli.main import main\n"
        "assert main() == 0\n"
        "print([m for m in ('stardist', 'torch', 'csbdeep') if m in sys.modules])"
    )
    assert found.splitlines()[-1] == "[]"


def test_the_folder_datasets_does_not_pass_for_hugging_faces_package() -> None:
    look = "print(importlib.util.find_spec('datasets') is None)"
    before = "import sys, importlib.util; sys.path.insert(0, '')\n"
    leave = "from benchmark.import_path import put_working_directory_last as leave; leave()\n"
    # The first line shows the trap that the second one is out of.
    assert python(f"{before}{look}") == "False"
    assert python(f"{before}{leave}{look}") == "True"
    assert python(f"{before}{leave}import benchmark.job, models.otsu; print('found')") == "found"


def test_no_dependency_owns_a_package_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in ("benchmark", "models"):
        assert set(owners.get(name, [])) <= {"cell-segmentation-benchmark"}, name


def test_the_engine_knows_no_model_and_no_model_knows_the_engine() -> None:
    for path in (CHECKOUT / "benchmark").rglob("*.py"):
        text = path.read_text()
        assert "from models" not in text and "import models" not in text, path
