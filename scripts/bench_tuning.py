"""What a grid search costs by `predict_each`, against a loop that predicts point by point.

    BENCHMARK_DATA=<folder> python scripts/bench_tuning.py [--images 2] [--points 20] [apg ais amg]

The study's grids (750, 525 and 210 points) and the demo weights, on the first images of u20s and
dsb, cut to 256 pixels. Of the grid, points drawn at random are predicted one by one as well, half
of them before and half after, and have to be equal to the bit. Seconds are those of the processor,
on one thread. The loop is measured twice: with the embedding of the image kept between points, as
our own adapters do, and with all of it repeated, as the study does.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import yaml  # type: ignore[import-untyped]

from benchmark.choices import CONFIGS
from benchmark.data.formats.images import read_image
from benchmark.store.provenance import processor_name
from benchmark.types import Image
from models.apg import APG
from models.musam import AIS, AMG

_SIDE = 256  # pixels
_SETS = {"u20s": "u20s/images/*.tif", "dsb": "dsb/test/images/*.tif"}


class Case(NamedTuple):
    """A method, and the study's grid for it."""

    adapter: type[APG] | type[AIS] | type[AMG]
    parameters: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]

    def points(self) -> list[dict[str, Any]]:
        """The points of the grid."""
        return [
            dict(zip(self.grid, values, strict=True))
            for values in itertools.product(*self.grid.values())
        ]


_GRIDS: dict[str, dict[str, Any]] = yaml.safe_load(
    (CONFIGS / "grid" / "study.yaml").read_text(encoding="utf-8")
)
CASES = {
    "apg": Case(APG, {}, _GRIDS["models.apg.APG"]),
    "ais": Case(AIS, {}, _GRIDS["models.musam.AIS"]),
    "amg": Case(AMG, {"points_per_side": 16}, _GRIDS["models.musam.AMG"]),
}


class Cost(NamedTuple):
    """What the grid on one image cost.

    Attributes:
        prompts: that a loop over the points would decode.
        decodes: that were made.
        distinct: label images that differ.
        together: seconds of all points at once.
        kept: mean seconds of one point by itself, with the embedding kept.
        repeated: the same, with nothing kept.
        compared: points that were equal to the bit.
    """

    prompts: int
    decodes: int
    distinct: int
    together: float
    kept: float
    repeated: float
    compared: int


def images(pattern: str, number: int) -> Iterator[Image]:
    """The first images of a set, their middle."""
    for path in sorted(Path(os.environ["BENCHMARK_DATA"]).glob(pattern))[:number]:
        image = read_image(path)
        top, left = (max(0, (side - _SIDE) // 2) for side in image.shape[:2])
        yield image[top : top + _SIDE, left : left + _SIDE]


def measure(case: Case, image: Image, drawn: int, rng: np.random.Generator) -> Cost:
    """Search the grid on one image, and predict some points one by one.

    Raises:
        AssertionError: a point is not equal.
    """
    weights = case.adapter.find_weights("demo").fetch()
    model = case.adapter(weights, **case.parameters)
    points = case.points()
    some = rng.choice(len(points), drawn, replace=False).tolist()
    kept, repeated, alone = [], [], {}

    def one_by_one(numbers: Sequence[int]) -> None:
        for number in numbers:
            single = case.adapter(weights, **{**case.parameters, **points[number]})
            model._backbone._last.clear()
            start = time.process_time()
            alone[number] = single.predict(image)
            repeated.append(time.process_time() - start)
            start = time.process_time()
            single.predict(image)
            kept.append(time.process_time() - start)

    one_by_one(some[: drawn // 2])
    model._backbone._last.clear()
    start = time.process_time()
    found = list(model.predict_each(image, points))
    together = time.process_time() - start
    details = dict(model.details)
    one_by_one(some[drawn // 2 :])
    for number in some:
        assert np.array_equal(found[number], alone[number]), points[number]
    return Cost(
        details.get("prompts", 0),
        details.get("decodes", 0),
        len({id(labels) for labels in found}),
        together,
        float(np.mean(kept)),
        float(np.mean(repeated)),
        len(some),
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--images", type=int, default=2, help="images of each set")
    parser.add_argument("--points", type=int, default=20, help="points predicted one by one")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{processor_name()}, one thread, torch {torch.__version__}; demo weights")
    print(
        f"{'method':6} {'set':5} {'image':>5} {'points':>6} {'prompts':>8} {'decodes':>7} "
        f"{'ratio':>6} {'distinct':>8} {'s, all':>7} {'s, loop':>8} {'ratio':>6} "
        f"{'s, repeated':>11} {'ratio':>6} {'equal':>6}"
    )
    for name in given.methods:
        case = CASES[name]
        size = len(case.points())
        for data, pattern in _SETS.items():
            for number, image in enumerate(images(pattern, given.images)):
                cost = measure(case, image, given.points, rng)
                loop, repeated = cost.kept * size, cost.repeated * size
                ratio = f"{cost.prompts / cost.decodes:.0f}" if cost.decodes else "-"
                print(
                    f"{name:6} {data:5} {number:5} {size:6} {cost.prompts:8} {cost.decodes:7} "
                    f"{ratio:>6} {cost.distinct:8} {cost.together:7.2f} {loop:8.1f} "
                    f"{loop / cost.together:6.0f} {repeated:11.1f} {repeated / cost.together:6.0f} "
                    f"{cost.compared:3}/{given.points}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
