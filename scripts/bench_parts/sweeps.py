"""Figures (b) and (e): sweeps of the µSAM family against the ideal, and against bare loops.

The ideal is one process that has loaded the models and does for each image what all jobs ask for:
encode and decode it once, decode each distinct prompt once, and then the rest of every mode or
point (`predict_each`). A sweep predicts each job by itself, and shares encoder and decoder alone; a
search of the same points is `action=tune`. Both are whole commands, start-up and reports included,
and begin with an empty cache. A bare loop is a process for each mode or point that encodes and
decodes again, its imports and loading left out. Seconds are those of the processor, so that they
count what is done, whatever else the machine does meanwhile.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bench_parts.common import CHECKOUT, Figure, apart, command, ratio

POINTS: Mapping[str, Sequence[float]] = {
    "center_distance_threshold": (0.4, 0.45, 0.5, 0.55, 0.6),
    "boundary_distance_threshold": (0.4, 0.5, 0.6, 0.7),
}
"""20 points of APG."""


class Sweep(NamedTuple):
    """A sweep.

    Attributes:
        words: on the command line.
        jobs: models with their parameters.
        grid: the same points as an override of `action=tune`; empty where there is none.
    """

    words: Sequence[str]
    jobs: Sequence[tuple[str, Mapping[str, float]]]
    grid: str = ""


MODES = Sweep(
    ["model=musam_amg,musam_ais,apg"], [(name, {}) for name in ("musam_amg", "musam_ais", "apg")]
)
PARAMETERS = Sweep(
    ["model=apg", *(f"model.{name}={','.join(map(str, some))}" for name, some in POINTS.items())],
    [("apg", dict(zip(POINTS, point, strict=True))) for point in product(*POINTS.values())],
    f"tune.grid={{{','.join(f'{name}:{list(some)}' for name, some in POINTS.items())}}}".replace(
        " ", ""
    ),
)


class Round(NamedTuple):
    """What one round took, in seconds of the processor.

    Attributes:
        sweep: the command.
        tune: a search of its points, as a command; 0 where its jobs are no points of one model.
        ideal: all jobs by one process.
        bare: the bare loops.
        prompts: that SAM was asked for by all jobs.
        decodes: those that the ideal made of them.
    """

    sweep: float
    tune: float
    ideal: float
    bare: float
    prompts: int
    decodes: int


def figure(
    letter: str, what: str, sweep: Sweep, scratch: Path, *, images: int, rounds: int, weights: str
) -> Iterator[Figure]:
    """A sweep as a command, against the ideal and against bare loops."""
    words = [
        "data=synthetic", "data.source.styles=[fluorescent_nuclei]", "data.source.size=512",
        "data.source.per_style=1", f"data.source.val_per_style={images}", "data.split=val",
        "device=cpu", f"datasets={scratch / 'datasets'}",
    ]  # fmt: skip
    # Prepared beforehand: that is not what is measured.
    command("-m", "benchmark", "model=empty", *words, f"results={scratch / 'empty'}")
    (data,) = (scratch / "datasets" / "synthetic" / "prepared").glob("[!.]*")
    found = [_round(sweep, words, scratch, data, weights, turn) for turn in range(rounds)]
    jobs = f"{len(sweep.jobs)} jobs, {images} images"
    of_sweep = [r.sweep / r.ideal for r in found]
    if sweep.grid:
        yield ratio(letter, f"{what}: search / ideal ({jobs})", [r.tune / r.ideal for r in found],
                    1.10)  # fmt: skip
        values = ", ".join(f"{one:.3f}" for one in of_sweep)
        middle = f"{statistics.median(of_sweep):.3f}"
        yield Figure("", f"{what}: sweep / ideal", middle, rounds=values)
    else:
        yield ratio(letter, f"{what}: sweep / ideal ({jobs})", of_sweep, 1.10)

    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    yield Figure("", f"{what}: the ideal", f"{median(r.ideal for r in found):.1f} s")
    prompts = f"{found[0].prompts} asked for, {found[0].decodes} decoded"
    yield Figure("", f"{what}: prompts", prompts)
    bare = median(r.bare / r.ideal for r in found)
    yield Figure("", f"{what}: bare loops / ideal", f"{bare:.3f}")


def _round(
    sweep: Sweep, words: Sequence[str], scratch: Path, data: Path, weights: str, turn: int
) -> Round:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        given = [*words, f"model.weights={weights}", f"results={place}"]
        took: dict[str, tuple[float, ...]] = {}

        def run(name: str, *overrides: str) -> tuple[float, ...]:
            cache = str(Path(place, f"cache-{name}"))
            before = processor_seconds_of_children()
            command("-m", "benchmark", *overrides, *given, BENCHMARK_CACHE=cache)
            return (processor_seconds_of_children() - before,)

        def within(function: str) -> tuple[float, ...]:
            found: tuple[float, ...] = apart(
                f"sweeps.{function}",
                jobs=sweep.jobs, weights=weights, data=str(data),
            )  # fmt: skip
            return found

        parts: dict[str, Callable[[], tuple[float, ...]]] = {
            "sweep": lambda: run("sweep", "-m", *sweep.words),
            "ideal": lambda: within("ideal"),
            "bare": lambda: within("loops"),
        }
        if sweep.grid:
            parts["tune"] = lambda: run("tune", "action=tune", "model=apg", sweep.grid)
        for name in sorted(parts, reverse=bool(turn % 2)):
            took[name] = parts[name]()
    [whole], [tune] = took["sweep"], took.get("tune", (0.0,))
    ideal_took, prompts, decodes = took["ideal"]
    [bare] = took["bare"]
    found = Round(whole, tune, ideal_took, bare, int(prompts), int(decodes))
    print(f"  round {turn + 1}: {found}", file=sys.stderr)
    return found


def processor_seconds_of_children() -> float:
    """Seconds of the processor of all commands so far, and of their own processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ideal(
    jobs: Sequence[tuple[str, Mapping[str, float]]], weights: str, data: str
) -> tuple[float, int, int]:
    """Seconds of all jobs by one process, prompts that they ask for, and those decoded."""
    points: dict[str, list[Mapping[str, float]]] = {}
    for name, parameters in jobs:
        points.setdefault(name, []).append(parameters)
    models = {name: _build(name, weights) for name in points}
    images, prompts, decodes = _images(data), 0, 0
    begin = time.process_time()
    for image in images:
        for name, model in models.items():
            for _ in model.predict_each(image, points[name]):
                pass
            prompts += model.details.get("prompts", 0)
            decodes += model.details.get("decodes", 0)
    return time.process_time() - begin, prompts, decodes


def loops(jobs: Sequence[tuple[str, Mapping[str, float]]], weights: str, data: str) -> tuple[float]:
    """Seconds of bare loops over `predict`, without a cache."""
    images, total = _images(data), 0.0
    for name, parameters in jobs:
        model = _build(name, weights, **parameters)
        begin = time.process_time()
        for image in images:
            model.predict(image)
        total += time.process_time() - begin
        del model  # and with it the embedding that the next would find
    return (total,)


def _images(data: str) -> list[Any]:
    from benchmark.data.prepared import PreparedData

    prepared = PreparedData(Path(data), "synthetic", "val")
    return [prepared.read(entry).image for entry in prepared.entries]


def _build(name: str, weights: str, **parameters: Any) -> Any:
    """A model by the name of its YAML."""
    from omegaconf import OmegaConf

    from benchmark.adapter import find_class

    described: Any = OmegaConf.to_container(
        OmegaConf.load(CHECKOUT / "configs" / "model" / f"{name}.yaml")
    )
    adapter: Any = find_class(described.pop("_target_"))
    plain = {k: v for k, v in described.items() if k not in ("name", "weights")}
    return adapter(adapter.find_weights(weights).fetch(), "cpu", **plain | parameters)
