"""The command line in this process: what `python -m benchmark` prints, without a new interpreter.

For messages, tables and exit statuses. A test that is about processes (signals, variables that
libraries read once, what is imported) starts a real one: `main_process`, `runs.run_process`.
"""

import contextlib
import gc
import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from benchmark import console
from benchmark.choices import CHECKOUT
from benchmark.cli import main as command_line
from benchmark.import_path import LastPlace


def main(root, *words, without=("BENCHMARK_DATA",), **environment):
    """Run the command line below `root`; results and prepared data stay there.

    Args:
        root: the working directory.
        words: of the command line.
        without: environment variables that are not set meanwhile.
        environment: environment variables that are set meanwhile.

    Returns:
        Exit status, standard output and standard error, as of a finished process.
    """
    asks_help = {"--help", "-h"} & set(words)
    return call([*words, *([] if asks_help else _places(root))], root, without, environment)


def main_process(root, *words, cwd=None, without=("BENCHMARK_DATA",), **environment):
    """The same as `main` by `python -m benchmark`, in a process of its own."""
    asks_help = {"--help", "-h"} & set(words)
    given = {name: value for name, value in os.environ.items() if name not in without}
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *words, *([] if asks_help else _places(root))],
        env=given | environment, cwd=cwd or root, capture_output=True, text=True,
    )  # fmt: skip


def _places(root):
    return [f"results={root / 'results'}", f"datasets={root / 'datasets'}"]


def call(words, root, without=(), environment=()):
    """The same, with these words alone."""
    out, err = io.StringIO(), io.StringIO()
    with (
        untouched_state(),
        _forgotten_modules(root),
        contextlib.chdir(root),
        mock.patch.object(sys, "argv", ["benchmark", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(console.out, "_width", 200),  # as for a pipe, also with `pytest -s`
        mock.patch.object(console.err, "_width", 200),
    ):
        for name in without:
            os.environ.pop(name, None)
        os.environ.update(environment)
        try:
            status = command_line.main()
        except SystemExit as end:
            status = end.code or 0
    return CompletedProcess(["benchmark", *words], status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def untouched_state():
    """What the command line leaves behind in a process, taken back: a process ends after it."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton

    hydras = GlobalHydra.instance()
    path, level = list(sys.path), logging.root.level
    with (
        mock.patch.dict(os.environ),
        mock.patch.dict(Singleton._instances),
        mock.patch.object(hydras, "hydra", None),  # importing sam2 leaves one there
    ):
        Singleton._instances.pop(HydraConfig, None)
        try:
            yield
        finally:
            sys.path[:] = path
            # Others stay: the backport of importlib.metadata adds one, and takes the standard
            # library's way of finding distributions away.
            sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, LastPlace)]
            logging.root.setLevel(level)
            gc.unfreeze()


@contextlib.contextmanager
def _forgotten_modules(root):
    """A user's modules, found in the working directory, are not there for the next test."""
    yield
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if root != CHECKOUT and file and Path(file).is_relative_to(root):
            del sys.modules[name]
