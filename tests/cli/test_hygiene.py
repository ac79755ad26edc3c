"""Promises about the packages themselves: light, well-named, and with nothing in the way."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "pandas", "scipy", "hydra", "matplotlib", "numba", "stardist")


def python(code: str, cwd: Path = CHECKOUT) -> str:
    """What a new interpreter prints, with `cwd` on its module path as `python -m` puts it."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ADAPTERS = sorted(f"models.{path.stem}" for path in (CHECKOUT / "models").glob("[!_]*.py"))
LIBRARIES = (
    "torch", "skimage", "stardist", "elf", "micro_sam", "segment_anything", "sam2",
    "transformers", "cellpose", "cellSAM", "PyQt6", "napari", "pooch", "huggingface_hub",
)  # fmt: skip


def test_importing_the_package_an_adapter_or_figures_and_listing_load_no_library() -> None:
    """In one new interpreter; what an import loads is said with the module that was imported."""
    found = python(
        "import importlib, sys\n"
        "def look(module, names):\n"
        "    importlib.import_module(module)\n"
        "    loaded = [name for name in names if name in sys.modules]\n"
        "    assert not loaded, (module, loaded)\n"
        f"look('benchmark', {HEAVY})\n"
        f"for adapter in {ADAPTERS}: look(adapter, {LIBRARIES})\n"
        "for part in ('figures', 'pictures', 'tables'):\n"
        "    look(f'benchmark.report.{part}', ['matplotlib'])\n"
        "sys.argv = ['benchmark', 'action=list']\n"
        "from benchmark.cli.main import main\n"
        "assert main() == 0\n"
        f"look('benchmark.actions.list', {[n for n in LIBRARIES if n != 'huggingface_hub']})\n"
        "print('found nothing')"
    )
    assert found.splitlines()[-1] == "found nothing" and len(ADAPTERS) > 10


def test_a_run_sets_the_threads_before_numpy_and_loads_no_stardist_or_torch(tmp_path: Path) -> None:
    # OpenBLAS and OpenMP read their variables once, when they are loaded.
    places = f"'results={tmp_path}/r', 'datasets={tmp_path}/d'"
    found = python(
        "import sys, benchmark.threads as module\n"
        "was = module.limit_threads\n"
        "def limit(n): print(n, 'numpy' in sys.modules); was(n)\n"
        "module.limit_threads = limit\n"
        f"sys.argv = ['benchmark', 'model=otsu', 'limit=1', 'threads=1', {places}]\n"
        "from benchmark.cli.main import main\n"
        "assert main() == 0\n"
        "print([m for m in ('stardist', 'tensorflow', 'torch', 'csbdeep') if m in sys.modules])"
    )
    assert found.splitlines()[0] == "1 False" and found.splitlines()[-1] == "[]"


def test_the_folder_datasets_does_not_pass_for_hugging_faces_package() -> None:
    found = python(
        "import sys, importlib.util; sys.path.insert(0, '')\n"
        "def look(): print(importlib.util.find_spec('datasets') is None)\n"
        "look()\n"  # the trap that the next line is out of
        "from benchmark.import_path import put_working_directory_last as leave; leave()\n"
        "look()\n"
        "import benchmark.job, models.otsu; print('found')"
    )
    assert found.split() == ["False", "True", "found"]


def test_no_dependency_owns_a_package_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in ("benchmark", "models"):
        assert set(owners.get(name, [])) <= {"cell-segmentation-benchmark"}, name


def test_the_engine_knows_no_model_and_no_model_knows_the_engine() -> None:
    for path in (CHECKOUT / "benchmark").rglob("*.py"):
        text = path.read_text()
        assert "from models" not in text and "import models" not in text, path
