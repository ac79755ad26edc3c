"""What automatic mask generation costs besides the mask decoder: `models.musam.AMG` and micro-sam.

    python scripts/bench_amg.py [--sizes 512,1024] [--side 16] > results/baselines/amg.txt

micro-sam's `AutomaticMaskGenerator` and the adapter segment the same drawn images with the demo
weights. The decoder answers from what it said first, so that all else is measured: resizing and
filtering masks, coding them, suppressing and merging. Both take turns, each first in every other
round; medians of the processor's seconds, on one thread, and of the highest memory above what the
process held before. Label images are compared to the bit. What upstream would need more than
6 GB for is not run by it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from micro_sam.instance_segmentation import AutomaticMaskGenerator

from benchmark.data.sources.synthetic import draw
from benchmark.profiling import PeakMemory
from benchmark.store.provenance import library_versions, processor_name
from models.common import memory
from models.common.images import to_rgb8
from models.musam import AMG

THRESHOLDS = ("pred_iou_thresh", "stability_score_thresh")
BATCH = 64
_MOST = 6e9  # bytes
_BYTES = 6  # of upstream for a pixel of a mask: a logit, and two that are true or false


class Case(NamedTuple):
    """What is asked of both.

    Attributes:
        name: for people.
        settings: of `predict_each`; upstream makes masks once, and generates for each.
    """

    name: str
    settings: list[dict[str, float]]


def _thresholds(stop: float) -> list[float]:
    return np.arange(0.6, stop, 0.025).tolist()


CASES = [
    Case("default thresholds", [{}]),
    Case("both at 0.6", [dict.fromkeys(THRESHOLDS, 0.6)]),
    Case("none (both at 0)", [dict.fromkeys(THRESHOLDS, 0.0)]),
]
GRID = Case(
    "the study's grid, 210 points",
    [
        dict(zip(THRESHOLDS, values, strict=True))
        for values in itertools.product(_thresholds(0.926), _thresholds(0.951))
    ],
)


class Recorded:
    """A mask decoder that answers from what it said first; the seconds that it took are counted."""

    def __init__(self, decoder: Any) -> None:
        self._decode, self._answers = decoder.forward, dict[bytes, Any]()
        self.seconds = 0.0
        decoder.forward = self

    def __call__(self, *, sparse_prompt_embeddings: Any, **given: Any) -> Any:
        """What the decoder says to these prompts."""
        begin = time.process_time()
        key = sparse_prompt_embeddings.numpy().tobytes()
        if key not in self._answers:
            self._answers[key] = self._decode(
                sparse_prompt_embeddings=sparse_prompt_embeddings, **given
            )
        self.seconds += time.process_time() - begin
        return self._answers[key]

    def forget(self) -> None:
        """Forget all answers: another image comes."""
        self._answers.clear()


class Measured(NamedTuple):
    """Of one call.

    Attributes:
        labels: its label images.
        seconds: without the decoder's.
        memory: bytes above those held before.
    """

    labels: list[Any]
    seconds: float
    memory: int


def measure(run: Callable[[], list[Any]], decoder: Recorded) -> Measured:
    """Call it."""
    memory.release()
    with PeakMemory() as before:
        pass
    decoder.seconds = 0.0
    begin = time.process_time()
    with PeakMemory() as peak:
        labels = run()
    seconds = time.process_time() - begin - decoder.seconds
    return Measured(labels, seconds, peak.memory["host"] - before.memory["host"])


def by_upstream(adapter: AMG, rgb: Any, side: int, settings: list[Mapping[str, float]]) -> Any:
    """micro-sam's class, called directly."""
    with adapter.predicting():
        embeddings = adapter._backbone.encode(rgb, adapter)
        generator = AutomaticMaskGenerator(adapter._backbone.predictor, side, BATCH)
        generator.initialize(rgb, embeddings)
        return [generator.generate(**setting) for setting in settings]


def compare(adapter: AMG, decoder: Recorded, size: int, side: int, rounds: int) -> None:
    """Print the lines of one size."""
    image = draw("fluorescent_nuclei", 1, seed=0, size=size)[0]
    rgb = to_rgb8(image)
    decoder.forget()
    list(adapter.predict_each(rgb, [{}]))  # the decoder's answers, and the embedding
    runs = {"ours": lambda case: list(adapter.predict_each(rgb, case.settings))}
    if BATCH * 3 * max(size, 1024) ** 2 * _BYTES < _MOST:
        runs["upstream"] = lambda case: by_upstream(adapter, rgb, side, case.settings)
    for case in [*CASES, GRID] if size == 512 else CASES:
        found: dict[str, list[Measured]] = {name: [] for name in runs}
        for turn in range(rounds if case is not GRID else 1):
            for name in list(runs)[:: -1 if turn % 2 else 1]:
                found[name].append(measure(partial(runs[name], case), decoder))
        print(line(case, size, found), flush=True)


def line(case: Case, size: int, found: Mapping[str, list[Measured]]) -> str:
    """One line of the table."""
    seconds = {name: statistics.median(one.seconds for one in each) for name, each in found.items()}
    peaks = {name: statistics.median(one.memory for one in each) for name, each in found.items()}
    ours = found["ours"][0].labels
    theirs = found["upstream"][0].labels if "upstream" in found else None
    cells = {
        "size": size,
        "thresholds": case.name,
        "objects": max(int(one.max()) for one in ours),
        "s before": f"{seconds['upstream']:.2f}" if theirs else "-",
        "s after": f"{seconds['ours']:.2f}",
        "ratio": f"{seconds['upstream'] / seconds['ours']:.1f}" if theirs else "-",
        "MB before": f"{peaks['upstream'] / 1e6:.0f}" if theirs else "-",
        "MB after": f"{peaks['ours'] / 1e6:.0f}",
        "equal": f"{sum(map(np.array_equal, theirs, ours))}/{len(ours)}" if theirs else "-",
    }
    return _row(cells.values())


_WIDTHS = (4, -29, 7, 8, 7, 5, 9, 8, 7)
_HEADER = ("size", "thresholds", "objects", "s before", "s after", "ratio", "MB before", "MB after",
           "equal")  # fmt: skip


def _row(cells: Iterable[Any]) -> str:
    pairs = zip(map(str, cells), _WIDTHS, strict=True)
    return " ".join(cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in pairs)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="512,1024,2048,4096")
    parser.add_argument("--side", type=int, default=16, help="points along each side")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = AMG.find_weights("demo").fetch()
    adapter = AMG(weights, points_per_side=given.side, batch_size=BATCH)
    decoder = Recorded(adapter._backbone.predictor.model.mask_decoder)
    versions = library_versions(("torch", "micro-sam", "numpy"))
    print(f"{processor_name()}, one thread; {', '.join(f'{k} {v}' for k, v in versions.items())}")
    print(
        f"Demo weights, {given.side} x {given.side} points, {BATCH} at a time; no decoder\n"
        "Seconds of the processor, and MB above those held before: by micro-sam's class (before)\n"
        f"and by the adapter (after); medians of {given.rounds} rounds, interleaved"
    )
    print(_row(_HEADER))
    for size in map(int, given.sizes.split(",")):
        compare(adapter, decoder, size, given.side, given.rounds)


if __name__ == "__main__":
    main()
