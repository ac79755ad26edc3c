"""Figures (b) and (e): sweeps of the µSAM family against the ideal, and against bare loops.

The ideal is what the sweep's own records say: each image encoded and decoded once, and of every
mode or point all other stages. The sweep is the whole command, start-up and reports included; it
begins with an empty cache. A bare loop is a process for each mode or point that encodes and
decodes anew, its imports and loading left out.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bench_parts.common import CHECKOUT, Figure, apart, command, ratio, seconds

POINTS: Mapping[str, Sequence[float]] = {
    "center_distance_threshold": (0.4, 0.45, 0.5, 0.55, 0.6),
    "boundary_distance_threshold": (0.4, 0.5, 0.6, 0.7),
}
"""20 points of APG."""

SHARED = ("encode", "decode")


class Sweep(NamedTuple):
    """A sweep: its words on the command line, and its jobs: models with their parameters."""

    words: Sequence[str]
    jobs: Sequence[tuple[str, Mapping[str, float]]]


MODES = Sweep(
    ["model=musam_amg,musam_ais,apg"], [(name, {}) for name in ("musam_amg", "musam_ais", "apg")]
)
PARAMETERS = Sweep(
    ["model=apg", *(f"model.{name}={','.join(map(str, some))}" for name, some in POINTS.items())],
    [("apg", dict(zip(POINTS, point, strict=True))) for point in product(*POINTS.values())],
)


class Round(NamedTuple):
    """What one round took, in seconds."""

    sweep: float
    ideal: float
    bare: float
    shared_ideal: float
    shared_bare: float


def figure(
    letter: str, what: str, sweep: Sweep, scratch: Path, *, images: int, rounds: int, weights: str
) -> Iterator[Figure]:
    """A sweep as a command, against the ideal by its own records and against bare loops."""
    words = [
        "data=synthetic", "data.source.styles=[fluorescent_nuclei]", "data.source.size=512",
        f"data.source.per_style={images}", "data.source.val_per_style=0", "device=cpu",
        f"datasets={scratch / 'datasets'}",
    ]  # fmt: skip
    # Prepared beforehand: that is not what is measured.
    command("-m", "benchmark", "model=empty", *words, f"results={scratch / 'empty'}")
    found = [_round(sweep, words, scratch, weights, turn) for turn in range(rounds)]
    jobs = f"{len(sweep.jobs)} jobs, {images} images"
    yield ratio(letter, f"{what}: sweep / ideal ({jobs})", [r.sweep / r.ideal for r in found], 1.10)

    def middle(values: Iterator[float]) -> float:
        return statistics.median(values)

    per_job = middle((r.sweep - r.ideal) / len(sweep.jobs) for r in found)
    yield Figure("", f"{what}: the ideal", f"{middle(r.ideal for r in found):.1f} s")
    yield Figure("", f"{what}: beyond it, for each job (start-up, report)", f"{per_job:.1f} s")
    yield Figure(
        "", f"{what}: bare loops / sweep", f"{middle(r.bare / r.sweep for r in found):.3f}"
    )
    shares = [middle(r.shared_ideal / r.ideal for r in found)]
    shares.append(middle(r.shared_bare / r.bare for r in found))
    told = f"{shares[0]:.1%} of the ideal, {shares[1]:.1%} of the bare loops"
    yield Figure("", f"{what}: encoder's and decoder's share", told)


def _round(sweep: Sweep, words: Sequence[str], scratch: Path, weights: str, turn: int) -> Round:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        run = [
            "-m", "benchmark", "-m", *sweep.words, *words,
            f"model.weights={weights}", f"results={place}",
        ]  # fmt: skip

        def whole() -> float:
            return seconds(lambda: command(*run, BENCHMARK_CACHE=str(Path(place, "cache"))))

        def loops() -> tuple[float, float]:
            told: tuple[float, float] = apart(
                "sweeps.loops", jobs=sweep.jobs, weights=weights, datasets=str(scratch / "datasets")
            )
            return told

        if turn % 2:
            (bare, shared_bare), took = loops(), whole()
        else:
            took, (bare, shared_bare) = whole(), loops()
        ideal, shared = _ideal(Path(place, "runs"), len(sweep.jobs))
    found = Round(took, ideal, bare, shared, shared_bare)
    print(f"  round {turn + 1}: {found}", file=sys.stderr)
    return found


def _ideal(runs: Path, jobs: int) -> tuple[float, float]:
    """Seconds of the whole, and of what all jobs share, by the records of a sweep."""
    from benchmark.store.store import RunStore

    shared: dict[tuple[str, str], float] = {}
    own = 0.0
    stores = RunStore.all(runs)
    if len(stores) != jobs:
        raise SystemExit(f"{len(stores)} runs are in {runs}, but {jobs} jobs were asked for")
    for store in stores:
        for record in store.records().values():
            for stage, took in record.stages.items():
                if stage not in SHARED:
                    own += took
                elif shared.setdefault((stage, record.sample), took) != took:
                    raise SystemExit(f"{stage} of {record.sample} was computed more than once")
    total = sum(shared.values())
    return own + total, total


def loops(
    jobs: Sequence[tuple[str, Mapping[str, float]]], weights: str, datasets: str
) -> tuple[float, float]:
    """Seconds of bare loops over `predict`, without a cache; and those of encoder and decoder."""
    from omegaconf import OmegaConf

    from benchmark.adapter import find_class
    from benchmark.data.prepared import PreparedData

    (folder,) = Path(datasets, "synthetic", "prepared").glob("[!.]*")
    data = PreparedData(folder, "synthetic", "test")
    images = [data.read(entry).image for entry in data.entries]
    total = shared = 0.0
    for name, parameters in jobs:
        described: Any = OmegaConf.to_container(
            OmegaConf.load(CHECKOUT / "configs" / "model" / f"{name}.yaml")
        )
        adapter: Any = find_class(described.pop("_target_"))
        plain = {k: v for k, v in described.items() if k not in ("name", "weights")}
        model = adapter(adapter.find_weights(weights).fetch(), "cpu", **plain | dict(parameters))

        begin = time.perf_counter()
        for image in images:
            model.predict(image)
            shared += sum(model.stages.get(stage, 0.0) for stage in SHARED)
        total += time.perf_counter() - begin
    return total, shared
