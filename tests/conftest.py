"""Fixtures that several files of tests share."""

import os
import shutil
import signal
import traceback
from pathlib import Path

# Before numpy is loaded: the tests run in parallel, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
from helpers.command_line import main
from helpers.runs import do, make_job

# A shell starts what it puts in the background deaf to Ctrl-C, and every process below it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test fails because the machine is slow, or because of the examples that were drawn today:
# `pytest --hypothesis-profile=default` draws new ones.
hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="the slow tests and those of Slurm as well")
    parser.addoption(
        "--config-dir", action="append", default=[],
        help="a folder of configurations whose models tests/models/test_contract.py checks",
    )  # fmt: skip


CHECKOUT = Path(__file__).parents[1]

OPTIONAL = {
    "torch": "models", "torchvision": "models", "micro_sam": "models", "segment_anything": "models",
    "sam2": "models", "cellpose": "models", "transformers": "models", "safetensors": "models",
    "xxhash": "models", "pooch": "models", "huggingface_hub": "models", "requests": "models",
    "torch_em": "datasets", "h5py": "datasets", "zarr": "datasets", "z5py": "datasets",
    "natsort": "datasets", "rasterio": "datasets", "shapely": "datasets", "submitit": "slurm",
    "pycocotools": "datasets", "napari": "models", "nd2": "formats", "liffile": "formats",
    "czifile": "formats",
    "elf": "test", "playwright": "test", "hypothesis": "test",
}  # fmt: skip
"""Modules that tests import, and the extra that brings them; `pip install -e .` alone does not."""


class TestFile(pytest.Module):
    """A file of tests; it is skipped where one of the optional libraries is not installed."""

    __test__ = False

    def collect(self):
        try:
            return super().collect()
        except self.CollectError as error:
            _skip_without_library(error.__cause__)
            raise


def pytest_pycollect_makemodule(module_path, parent):
    return TestFile.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except ModuleNotFoundError as error:
        _skip_without_library(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except ModuleNotFoundError as error:
        _skip_without_library(error)
        raise


def _skip_without_library(error):
    """Skip where a test, a script or an adapter imports an optional library that is missing.

    The engine runs without them: there such an error is one.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name not in OPTIONAL:
        return
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    importing = [Path(name) for name in frames if not name.startswith("<frozen importlib")][-1]
    if any(
        importing.is_relative_to(CHECKOUT / folder) for folder in ("tests", "scripts", "models")
    ):
        reason = f'needs {error.name}: pip install -e ".[{OPTIONAL[error.name]}]"'
        pytest.skip(reason, allow_module_level=True)


def pytest_configure(config):
    if not config.getoption("--all") and not config.option.markexpr:
        config.option.markexpr = "not slow and not slurm"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with the drawn data prepared, and a finished run to compare with."""
    root = tmp_path_factory.mktemp("prepared")
    do(make_job(root))
    return root


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The report on the published numbers, written once: its folder, and what was printed."""
    root = tmp_path_factory.mktemp("published")
    done = main(root, "action=report", "source=published")
    assert done.returncode == 0, done.stderr
    return root / "results" / "reports" / "published", done


@pytest.fixture(autouse=True)
def low_resolution(monkeypatch):
    """Figures are drawn with few pixels; where bytes are compared, it is in other processes."""
    monkeypatch.setattr("benchmark.report.figures.style._DPI", 40)


@pytest.fixture
def blank_pictures(monkeypatch):
    """Figures and overlays are empty files: drawing takes most of the time of a report."""
    blank = lambda figure, path, **_: Path(path).touch()  # noqa: E731
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", blank)


@pytest.fixture
def root(prepared, tmp_path):
    """A folder with the drawn data alone."""
    shutil.copytree(prepared / "datasets", tmp_path / "datasets")
    return tmp_path
