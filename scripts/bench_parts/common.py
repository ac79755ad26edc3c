"""What the figures share: a stand-in model, runs in this process, and commands that are timed."""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        letter: as the README calls it.
        what: what was compared, in words.
        value: as measured.
        limit: what it has to be at most (at least where it begins with `>=`); for people.
        holds: whether it is; None for a figure without a limit.
        rounds: the single measurements, for people.
    """

    letter: str
    what: str
    value: str
    limit: str = ""
    holds: bool | None = None
    rounds: str = ""


def ratio(
    letter: str, what: str, ratios: Sequence[float], limit: float, least: bool = False
) -> Figure:
    """The median of some ratios, held to a limit."""
    middle = statistics.median(ratios)
    holds = middle >= limit if least else middle <= limit
    values = ", ".join(f"{one:.3f}" for one in ratios)
    return Figure(
        letter, what, f"{middle:.3f}", f"{'>=' if least else '<='} {limit:g}", holds, values
    )


def seconds(run: Callable[[], object]) -> float:
    """Wall time of a call."""
    gc.collect()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def turns(rounds: int, *runs: Callable[[], float]) -> list[tuple[float, ...]]:
    """What each of some functions gives in each round; every round begins with another one."""
    found = []
    for turn in range(rounds):
        order = [(turn + k) % len(runs) for k in range(len(runs))]
        values = {k: runs[k]() for k in order}
        found.append(tuple(values[k] for k in range(len(runs))))
        print(f"  round {turn + 1}: {', '.join(f'{v:.2f}' for v in found[-1])}", file=sys.stderr)
    return found


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python command of this checkout, run to its end."""
    paths = [str(CHECKOUT / "scripts"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | variables
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=CHECKOUT, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}")
    return done


def apart(function: str, **arguments: Any) -> Any:
    """What a function of `bench_parts` gives in a process of its own: `module.name`."""
    code = (
        "import json, sys\n"
        "from bench_parts.common import find\n"
        "print(json.dumps(find(sys.argv[1])(**json.loads(sys.argv[2]))))"
    )
    # -P: in the checkout, its folder `datasets` would pass for Hugging Face's package.
    finished = command("-P", "-W", "ignore", "-c", code, function, json.dumps(arguments))
    print(finished.stderr, end="", file=sys.stderr)
    return json.loads(finished.stdout.splitlines()[-1])


def find(function: str) -> Callable[..., Any]:
    """A function of `bench_parts`."""
    module, _, name = function.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"bench_parts.{module}"), name)
    return found


class StandIn:
    """Something that takes a model's time: smoothing, over and over, and then regions.

    Args:
        repeats: how often an image is smoothed.
    """

    def __init__(self, repeats: int = 1) -> None:
        self.repeats = repeats

    def predict(self, image: Any) -> Any:
        """Bright regions."""
        import numpy as np
        from scipy import ndimage

        grey = image.astype(np.float32)
        grey = grey.mean(axis=2) if grey.ndim == 3 else grey
        for _ in range(self.repeats):
            smooth = ndimage.gaussian_filter(grey, 2)
        return ndimage.label(smooth > smooth.mean())[0]


def repeats_for(target: float, image: Any) -> int:
    """How often the stand-in has to smooth an image to take so many seconds."""
    StandIn(2).predict(image)
    each = min(seconds(lambda: StandIn(10).predict(image)) for _ in range(10)) / 10
    return max(1, round(target / each))


def make_job(scratch: Path, results: str, *, size: int, samples: int, **model: Any) -> Any:
    """A stand-in on drawn images, as the command line would configure it.

    Args:
        scratch: where the data lie, and the results.
        results: the folder of this run.
        size: of the images, in pixels.
        samples: how many.
        model: the stand-in's parameters; `_target_` for another model.
    """
    from benchmark.job import Job
    from benchmark.settings import Action, Settings

    source = {
        "_target_": "benchmark.data.sources.SyntheticSource", "styles": ["fluorescent_nuclei"],
        "per_style": samples, "val_per_style": 0, "size": size, "seed": 0,
    }  # fmt: skip
    settings = Settings(
        data={"name": f"drawn_{size}_{samples}", "split": "test", "source": source, "recipe": []},
        protocol={"name": "paper", "threshold_grid": "drifting", "both_empty": "zero"},
        model={"name": "stand_in", "_target_": "bench_parts.common.StandIn"} | model,
        action=Action.run, results=str(scratch / results), datasets=str(scratch / "datasets"),
    )  # fmt: skip
    return Job(settings, (), _build)


def _build(described: Mapping[str, Any], **objects: Any) -> Any:
    given = {key: value for key, value in described.items() if key != "_target_"} | objects
    module, _, name = str(described["_target_"]).rpartition(".")
    return getattr(importlib.import_module(module), name)(**given)


@contextmanager
def writing(job: Any) -> Any:
    """The right to add to a job's run."""
    with job.store.writing(job.describe(), dict) as writer:
        yield writer


def harness(job: Any) -> None:
    """What `action=run` does between loading the model and the report."""
    from benchmark.run import Runner

    with writing(job) as writer:
        outcome = Runner(
            job.data, job.store, writer, job.load_model, model="stand_in", protocol=job.protocol,
            basis=job.score_basis, seed=0,
        ).run(job.requested, "missing", 0)  # fmt: skip
    if not outcome.complete:
        raise SystemExit(f"the run is not complete: {outcome}")
