"""What the report's statistics do where the truth is known: rejections and coverage.

    python scripts/simulate_statistics.py > results/baselines/statistics.txt

First, two methods without any difference: how often each test finds one at 5 %. A score is
the image's difficulty (shared by both methods, in [0, 1]) plus what each method does with it;
in clusters, slices of one volume share most of both. Then intervals: how often they hold the
true mean. Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from benchmark.paper.significance import study_test
from benchmark.stats import bootstrap_interval, compare_pairs, sign_flip_p

Floats = NDArray[Any]
ALPHA = 0.05


# --- two methods without a difference ---------------------------------------------------


@dataclass(frozen=True)
class Null:
    """Scores of two methods that are equally good.

    Attributes:
        name: for the table.
        slices: images per group, from and to (inclusive).
        shared: the share of variance of what a method does that a group's images have in
            common: 0 for independent images.
        skewed: differences are lopsided: rarely large one way, often small the other way.
    """

    name: str
    slices: tuple[int, int] = (1, 1)
    shared: float = 0.0
    skewed: bool = False

    def draw(self, n_groups: int, rng: np.random.Generator) -> pd.DataFrame:
        """Pairs as `benchmark.stats.pair` returns them, groups as numbers."""
        low, high = self.slices
        group = np.repeat(np.arange(n_groups), rng.integers(low, high + 1, n_groups))

        def effects(draw: Callable[[int], Floats]) -> Floats:
            of_group, of_image = draw(n_groups)[group], draw(len(group))
            found: Floats = np.sqrt(self.shared) * of_group + np.sqrt(1 - self.shared) * of_image
            return found

        if self.skewed:
            b = rng.uniform(0.3, 0.7, len(group))
            a = b + effects(lambda n: 0.05 * (rng.exponential(size=n) - 1))
        else:
            difficulty = rng.beta(6, 3, n_groups)[group]
            a, b = (
                np.clip(difficulty + effects(lambda n: rng.normal(0, 0.08, n)), 0, 1) for _ in "ab"
            )
        return pd.DataFrame({"group": group, "a": a, "b": b, "difference": a - b})


NULLS = (
    Null("independent images"),
    Null("clusters of slices", slices=(5, 40), shared=0.5),
    Null("independent, skewed", skewed=True),
    Null("clusters, skewed", slices=(5, 40), shared=0.5, skewed=True),
)
TESTS = ("report's test", "Wilcoxon", "over slices", "study's own")


def rejections(null: Null, n_groups: int, trials: int, seed: int = 0) -> dict[str, float]:
    """How often each test rejects at 5 %: the report's, Wilcoxon beside it, and two others.

    `over slices` is the two-sided Wilcoxon test over images that ignores their groups;
    `study's own` is that too, one-sided in the direction picked from the data.
    """
    rng = np.random.default_rng([seed, n_groups])
    count = dict.fromkeys(TESTS, 0)
    for trial in range(trials):
        pairs = null.draw(n_groups, rng)
        differences = pairs["difference"].to_numpy()
        group = pairs["group"].to_numpy()
        # What `compare_pairs` tests, without what it works out besides.
        by_group = np.bincount(group, differences) / np.bincount(group)
        p_values = (
            sign_flip_p(by_group, seed=trial),
            wilcoxon(by_group, zero_method="pratt").pvalue,
            wilcoxon(differences).pvalue,
            study_test(differences).p,
        )
        if trial == 0:
            found = compare_pairs(pairs, seed=trial)
            reported = np.array([found.p, found.p_wilcoxon], float)
            assert np.allclose(reported, np.array(p_values[:2], float)), "not what is reported"
        for name, p in zip(TESTS, p_values, strict=True):
            count[name] += bool(p is not None and p <= ALPHA)
    return {name: n / trials for name, n in count.items()}


# --- intervals --------------------------------------------------------------------------


def one(n: int, rng: np.random.Generator) -> Floats:
    """Independent images."""
    return np.ones(n, int)


def uneven(n: int, rng: np.random.Generator) -> Floats:
    """1 to 20 images per group."""
    return rng.integers(1, 21, n)


def heavy(n: int, rng: np.random.Generator) -> Floats:
    """1 to 200 images per group: a few groups hold most of the images."""
    images: Floats = np.minimum(1 + np.ceil(3 * rng.pareto(1.2, n)), 200).astype(int)
    return images


def _beta(mean: Floats, concentration: float, rng: np.random.Generator) -> Floats:
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    drawn: Floats = rng.beta(mean * concentration, (1 - mean) * concentration)
    return drawn


def symmetric(group: Floats, rng: np.random.Generator) -> Floats:
    """Around 0.5; groups differ more than images within them."""
    of_group = rng.normal(0, 0.15, group.max() + 1)[group]
    scores: Floats = 0.5 + of_group + rng.normal(0, 0.1, len(group))
    return scores


def near_one(group: Floats, rng: np.random.Generator) -> Floats:
    """Most scores near 1, some far below."""
    of_group = _beta(np.full(group.max() + 1, 0.9), 8, rng)
    return _beta(of_group[group], 20, rng)


def with_zeros(group: Floats, rng: np.random.Generator) -> Floats:
    """Three groups in ten score 0 throughout."""
    n = group.max() + 1
    of_group = np.where(rng.random(n) < 0.3, 0, _beta(np.full(n, 0.6), 8, rng))
    return np.where(of_group[group] == 0, 0, _beta(of_group[group], 20, rng))


def lopsided(group: Floats, rng: np.random.Generator) -> Floats:
    """Differences of two methods: often a little below 0, rarely far above."""
    of_group = 0.05 * (rng.exponential(size=group.max() + 1) - 1)
    differences: Floats = of_group[group] + rng.normal(0, 0.03, len(group))
    return differences


SCORES = (symmetric, near_one, with_zeros, lopsided)
SIZES = (one, uneven, heavy)
GROUPS = (5, 10, 30, 100)


def percentile_interval(values: Floats, group: Floats, resamples: int) -> tuple[float, float]:
    """The plain clustered bootstrap, which ours is measured against."""
    rng = np.random.default_rng(0)
    sums, counts = np.bincount(group, values), np.bincount(group)
    drawn = rng.integers(len(sums), size=(resamples, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def coverage(
    scores: Callable[[Floats, np.random.Generator], Floats],
    sizes: Callable[[int, np.random.Generator], Floats],
    n_groups: int,
    trials: int,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How often the interval holds the true mean; the percentile's; our median width."""
    rng = np.random.default_rng([seed, n_groups])
    # Sizes say nothing about scores, so the true mean over images is that of one per group.
    truth = float(scores(np.arange(1_000_000), np.random.default_rng(1)).mean())
    names = np.array([f"{i:04d}" for i in range(n_groups)])
    ours = plain = 0
    widths = []
    for _ in range(trials):
        group = np.repeat(np.arange(n_groups), sizes(n_groups, rng))
        values = scores(group, rng)
        found = bootstrap_interval(values, names[group].tolist(), resamples=resamples)
        assert found is not None
        ours += found[0] <= truth <= found[1]
        low, high = percentile_interval(values, group, 1000)
        plain += low <= truth <= high
        widths.append(found[1] - found[0])
    return ours / trials, plain / trials, float(np.median(widths))


def lines(trials: int) -> Iterator[str]:
    """The whole output, line by line as it is worked out."""
    yield (
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; "
        f"{trials} simulated data sets per line, seeded"
    )
    error = 100 * np.sqrt(0.05 * 0.95 / trials)
    yield f"Standard error of a share near 5 % or 95 %: {error:.1f} %"
    yield ""
    yield "Two methods without a difference: rejected at 5 %, in %"
    yield (
        "report's test: sign flips of group means; Wilcoxon: over group means, zeros by Pratt; "
        "over slices: two-sided Wilcoxon over images; study's own: that, one-sided, direction "
        "picked from the data"
    )
    yield f"{'':22s}{'groups':>7s}" + "".join(f"{name:>15s}" for name in TESTS)
    for null in NULLS:
        for n_groups in (6, 10, 30, 100):
            found = rejections(null, n_groups, trials)
            numbers = "".join(f"{100 * found[name]:15.1f}" for name in TESTS)
            yield f"{null.name:22s}{n_groups:7d}{numbers}"
    yield ""
    yield "95 % intervals: how often they hold the true mean over images, in %"
    yield "in brackets: the plain percentile interval; width: median, in units of the score"
    yield "images per group: one; uneven: 1 to 20; heavy: 1 to 200, a few hold most of the images"
    yield f"{'scores':12s}{'images':8s}" + "".join(f"{f'{n} groups':>22s}" for n in GROUPS)
    for scores in SCORES:
        for sizes in SIZES:
            cells = [coverage(scores, sizes, n, trials) for n in GROUPS]
            numbers = "".join(
                f"{f'{100 * ours:.1f} ({100 * plain:.1f}) {width:.2f}':>22s}"
                for ours, plain, width in cells
            )
            yield f"{scores.__name__:12s}{sizes.__name__:8s}{numbers}"


def main() -> None:
    """Print the output; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, help="simulated data sets per line")
    for number, line in enumerate(lines(parser.parse_args().trials), start=1):
        print(line, flush=True)
        print(f"{number} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
