"""Speed of our scoring against elf and stardist, side by side on the same label images.

    python scripts/bench_metrics.py

Touching cells (a Voronoi tessellation); the prediction is a shifted copy with a tenth of
the objects dropped. All three compute mSA; a last column is ours when it computes all
metrics, for some of which the images are matched again without boundaries, against elf's
mSA. They take turns, each with as many calls in a row as fill 0.2 s of elf's time; a ratio
is the median over the turns of (theirs / ours). Then, for integers of each kind, the time of
matching alone against one plain pass over the same two images, which reads every pixel once
and adds them up. Needs the `test` extra.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numba
import numpy as np
from elf.evaluation import mean_segmentation_accuracy as elf_accuracy
from scipy.spatial import cKDTree
from stardist.matching import matching

from benchmark.scoring.interior import match_interior
from benchmark.scoring.match import match
from benchmark.scoring.metrics import mean_segmentation_accuracy, score, true_positives
from benchmark.scoring.protocol import Protocol

PAPER = Protocol("paper", threshold_grid="drifting", both_empty="zero")
CASES = ((200, 512, 15), (1000, 512, 15), (5000, 2048, 50))  # objects, size, ratio asked for


def touching_cells(n: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A Voronoi tessellation of n cells, and a shifted copy of it with a tenth missing."""
    rng = np.random.default_rng(seed)
    yx = np.moveaxis(np.mgrid[:size, :size], 0, -1).reshape(-1, 2)
    _, nearest = cKDTree(rng.uniform(0, size, (n, 2))).query(yx)
    true = (nearest + 1).reshape(size, size).astype(np.uint32)
    predicted = np.roll(true, (2, 1), axis=(0, 1))
    dropped = rng.choice(np.arange(1, n + 1), n // 10, replace=False)
    predicted[np.isin(predicted, dropped)] = 0
    return true, predicted


def seconds(function: Callable[[], object], calls: int) -> float:
    """Wall time of one call, as the mean of several in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def plain_pass(true: np.ndarray, predicted: np.ndarray) -> np.uint64:
    """Add up every pixel of two images: the least that reading them takes."""
    total = np.uint64(0)
    for i in range(len(true)):
        total += np.uint64(true[i]) ^ np.uint64(predicted[i])
    return total


def print_kinds(turns: int) -> None:
    """Print, for integers of each kind, the time of matching against one plain pass."""
    n, size, _ = CASES[-1]
    images = touching_cells(n, size)
    for kind in ("uint16", "uint32", "int32", "int64"):
        true, predicted = (image.astype(kind) for image in images)
        rows = [image.reshape(-1).view(f"u{image.itemsize}") for image in (true, predicted)]
        functions = (partial(match, true, predicted), partial(plain_pass, *rows))
        for function in functions:
            function()
        times = [[seconds(function, 3) for function in functions] for _ in range(turns)]
        print(
            f"matching {n} objects at {size}^2 as {kind:6}: "
            f"{1000 * median(row[0] for row in times):6.2f} ms, "
            f"{median(row[0] / row[1] for row in times):5.1f} plain passes",
            flush=True,
        )


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="interleaved turns per case")
    turns = parser.parse_args().turns
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores")
    for n, size, asked in CASES:
        true, predicted = touching_cells(n, size)

        def ours(true: np.ndarray = true, predicted: np.ndarray = predicted) -> float:
            overlap = match(true, predicted)
            sizes = len(overlap.true), len(overlap.predicted)
            return mean_segmentation_accuracy(true_positives(overlap, PAPER.thresholds), *sizes)

        def whole(true: np.ndarray = true, predicted: np.ndarray = predicted) -> float | None:
            interior = match_interior(true, predicted)
            return score(match(true, predicted), PAPER, interior).metrics["msa"]

        def elf(true: np.ndarray = true, predicted: np.ndarray = predicted) -> float:
            return float(elf_accuracy(predicted, true))

        def stardist(true: np.ndarray = true, predicted: np.ndarray = predicted) -> float:
            found = matching(true, predicted, thresh=PAPER.thresholds)
            return float(np.mean([one.accuracy for one in found]))

        if not ours() == whole() == elf():  # also the warm-up: ours compiles here
            raise SystemExit(f"mSA differs: ours {ours()}, elf {elf()}")
        stardist()
        calls = max(1, round(0.2 / seconds(elf, 1)))  # a turn of some 0.2 s of elf's
        times = [[seconds(f, calls) for f in (ours, elf, stardist, whole)] for _ in range(turns)]
        elf_ours, stardist_ours, elf_whole = (
            median(row[a] / row[b] for row in times) for a, b in ((1, 0), (2, 0), (1, 3))
        )
        print(
            f"{n:5d} objects at {size:4d}^2: ours {1000 * median(r[0] for r in times):7.2f} ms, "
            f"{elf_ours:6.1f}x elf's speed (asked: {asked}x), {stardist_ours:6.1f}x stardist's; "
            f"all metrics {elf_whole:6.1f}x",
            flush=True,
        )
    print_kinds(turns)


if __name__ == "__main__":
    main()
