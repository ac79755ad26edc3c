"""Figure (h): the µSAM family over six small data sets, against an ideal that repeats no work.

The ideal is one process that imports the library and loads the weights once, and encodes each
image once; it scores, stores and reports like every other. A sweep is the command of a user. Both
begin with an empty cache, which holds the images of one data set but not of all, as is the case in
the study. Seconds are those of the processor, start-up included. A process for each job, model by
model, is what sweeps were before: it is counted, not timed against the ideal.

Imports, loads and encodings are counted in all three, in whatever process they happen, by a
`sitecustomize` that all of them find. All three have to give the same label images.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from bench_parts.common import Figure, apart, command, ratio
from bench_parts.sweeps import processor_seconds_of_children
from benchmark.store.store import RunStore

MODELS = ("demo_amg", "demo_ais", "demo_apg")
SETS = tuple(f"drawn_{number}" for number in range(6))
KEPT_MB = 3
"""Of an image of 256 x 256 pixels: its embedding, and the decoder's maps."""


class Counts(NamedTuple):
    """How often something was done, in all processes together."""

    imports: int
    loads: int
    encodings: int

    def __str__(self) -> str:
        return f"{self.imports} imports, {self.loads} loads, {self.encodings} encodings"


class Turn(NamedTuple):
    """What one way of doing all jobs took.

    Attributes:
        seconds: of the processor.
        counts: what was done.
        labels: by data set, model and sample the digest of the label image.
    """

    seconds: float
    counts: Counts
    labels: dict[str, str]


def figure_h(scratch: Path, images: int, rounds: int) -> Iterator[Figure]:
    """A sweep of three methods on six data sets against the ideal, and what is done in each.

    Args:
        scratch: a folder for data and results.
        images: of each data set.
        rounds: turns of sweep and ideal.
    """
    scratch.mkdir()
    _write_data(scratch / "configs", images)
    for data in SETS:  # prepared beforehand: that is not what is measured
        words = ("model=empty", f"data={data}", f"results={scratch / 'empty'}")
        command("-m", "benchmark", *words, *_places(scratch))

    def sweep(results: Path) -> None:
        chosen = (f"model={','.join(MODELS)}", f"data={','.join(SETS)}")
        command("-m", "benchmark", "-m", *chosen, *_words(scratch, results, images))

    def ideal(results: Path) -> None:
        apart("family.ideal", words=_words(scratch, results, images))

    def one_by_one(results: Path) -> None:
        for model, data in product(MODELS, SETS):
            chosen = (f"model={model}", f"data={data}")
            command("-m", "benchmark", *chosen, *_words(scratch, results, images))

    turns = []
    for turn in range(rounds):
        ways = [sweep, ideal][:: 1 if turn % 2 else -1]
        took = {way: _turn(scratch, way) for way in ways}
        turns.append((took[sweep], took[ideal]))
    before = _turn(scratch, one_by_one)
    after, least = turns[-1]
    if not all(each.labels == before.labels for pair in turns for each in pair):
        raise SystemExit("the label images differ")
    what = f"{len(MODELS)} methods on {len(SETS)} data sets of {images} images"
    yield ratio("h", f"{what}: sweep / ideal", [s.seconds / i.seconds for s, i in turns], 1.15)
    yield Figure("", "the ideal", f"{least.seconds:.1f} s", rounds=str(least.counts))
    yield Figure("", "the sweep", f"{after.seconds:.1f} s", rounds=str(after.counts))
    yield Figure("", "a process for each job", f"{before.seconds:.1f} s", rounds=str(before.counts))


def ideal(words: Sequence[str]) -> None:
    """All jobs in this process, data set by data set."""
    import contextlib

    from benchmark.actions import run
    from benchmark.cli.compose import Composer
    from benchmark.cli.hydra_config import config_loader

    sys.argv[1:] = [word for word in words if word.startswith("--config-dir")]
    overrides = [word for word in words if not word.startswith("--config-dir")]
    composer = Composer(config_loader(), {"model", "data"})
    for data, model in product(SETS, MODELS):
        job = composer.job([f"model={model}", f"data={data}", *overrides])
        with contextlib.redirect_stdout(sys.stderr):
            if run.perform(job):
                raise SystemExit(f"{model} on {data} is not done")


def _turn(scratch: Path, way: Callable[[Path], None]) -> Turn:
    """Do all jobs in one way, with an empty cache."""
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        results, counted = Path(place, "results"), Path(place, "counted")
        Path(place, "sitecustomize.py").write_text(_HOOK)
        variables = {"PYTHONPATH": place, "BENCHMARK_CACHE": place, _COUNTED: str(counted)}
        before = processor_seconds_of_children()
        with mock.patch.dict(os.environ, variables):
            way(results)
        seconds = processor_seconds_of_children() - before
        done = Counter(counted.read_text().split())
        turn = Turn(seconds, Counts(*(done[name] for name in Counts._fields)), _labels(results))
    print(f"  {way.__name__}: {turn.seconds:.1f} s, {turn.counts}", file=sys.stderr)
    return turn


def _write_data(folder: Path, images: int) -> None:
    """A YAML for each data set: drawn nuclei, of another seed in each."""
    (folder / "data").mkdir(parents=True)
    for seed, name in enumerate(SETS):
        source = (
            f"{{styles: [fluorescent_nuclei], per_style: {images}, val_per_style: 0, seed: {seed}}}"
        )
        text = f"# Drawn nuclei\ndefaults: [synthetic]\nname: {name}\nsource: {source}\n"
        (folder / "data" / f"{name}.yaml").write_text(text)


def _words(scratch: Path, results: Path, images: int) -> list[str]:
    """What the command line of each way says besides models and data sets."""
    size = f"cache={2 * images * KEPT_MB}MB"  # more than for one data set, less than for all
    return [*_places(scratch), f"results={results}", size, "device=cpu"]


def _places(scratch: Path) -> list[str]:
    return [f"--config-dir={scratch / 'configs'}", f"datasets={scratch / 'datasets'}"]


def _labels(results: Path) -> dict[str, str]:
    """By run and sample the digest of the label image."""
    return {
        f"{store.path.name}/{sample}": str(record.prediction)
        for store in RunStore.all(results / "runs")
        for sample, record in store.records().items()
    }


_COUNTED = "BENCH_COUNTED"

_HOOK = f'''
"""Counts what is done in a process: imports of micro-sam, loads of weights, encodings."""
import importlib.machinery, os, sys


def count(what):
    with open(os.environ["{_COUNTED}"], "a") as file:
        file.write(what + "\\n")


def counted(what, function):
    def call(*arguments, **named):
        count(what)
        return function(*arguments, **named)
    return call


def of_backbone(module):
    module._build = counted("loads", module._build)
    module.Backbone._encode = counted("encodings", module.Backbone._encode)


AFTER = {{"micro_sam": lambda module: count("imports"), "models.backbone": of_backbone}}


class Finder:
    """Finds two modules as the others do; and does something after they are imported."""

    def find_spec(self, name, path=None, target=None):
        found = importlib.machinery.PathFinder.find_spec(name, path) if name in AFTER else None
        if found is None:
            return None
        execute = found.loader.exec_module

        def exec_module(module):
            execute(module)
            AFTER[name](module)

        found.loader.exec_module = exec_module
        return found


sys.meta_path.insert(0, Finder())
'''
