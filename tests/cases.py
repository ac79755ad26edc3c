"""Named pairs of label images, small enough to be scored by hand, and random ones.

The expected numbers are derived by hand, with the reasoning beside them; none was printed
by the code and pasted here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from benchmark.protocol import Protocol

Labels = NDArray[np.integer]
Number = Fraction | int | None

PAPER = Protocol("paper", threshold_grid="drifting", both_empty="zero")
CLEAN = Protocol("clean", threshold_grid="exact", both_empty="exclude")
PROTOCOLS = (PAPER, CLEAN)

# The same examples on every run and no deadline: the first call may compile.
repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=150)


def draw(*rows: str, dtype: type = np.int32) -> Labels:
    """A label image from text: a digit is an object's id, a dot is background."""
    pixels = [[0 if pixel == "." else int(pixel) for pixel in row] for row in rows]
    return np.array(pixels, dtype).reshape(len(rows), -1)


def row(*runs: tuple[int, int]) -> Labels:
    """A 1 x N label image from runs of (id, pixels)."""
    ids, lengths = zip(*runs, strict=True)
    return np.repeat(np.array(ids, np.uint64), lengths)[np.newaxis]


@dataclass(frozen=True)
class Case:
    """A truth, a prediction, and what they score.

    Attributes:
        tp: true positives at 0.50, 0.55, ..., 0.95 as the nearest floats (clean).
        sa: SA at the first of these thresholds, where n objects are matched (the others
            follow from `tp` in the same way).
        msa: mean over the ten thresholds.
        paper_tp: the same on the drifting grid of the paper; None: the same numbers.
        paper_msa: likewise.
    """

    name: str
    true: Labels = field(repr=False)
    predicted: Labels = field(repr=False)
    n_true: int
    n_predicted: int
    matched: int
    split: int
    merged: int
    tp: tuple[int, ...]
    msa: Number
    pq: Number
    sq: Number
    rq: Number
    aji: Number
    mean_matched_iou: Number
    paper_tp: tuple[int, ...] | None = None
    paper_msa: Number = None


def ones(n: int, many: int = 1) -> tuple[int, ...]:
    """`many` at the first n thresholds, 0 at the others."""
    return (many,) * n + (0,) * (10 - n)


def perfect(name: str, labels: Labels, n: int, predicted: Labels | None = None) -> Case:
    """A prediction that is the truth, perhaps under other ids: 1 throughout."""
    predicted = labels if predicted is None else predicted
    return Case(name, labels, predicted, n, n, n, 0, 0, ones(10, n), 1, 1, 1, 1, 1, 1)


def nothing_matched(name: str, true: Labels, predicted: Labels, n: int, m: int) -> Case:
    """Nothing overlaps: 0 throughout, and no matched IoU to average."""
    return Case(name, true, predicted, n, m, 0, 0, 0, ones(0), 0, 0, 0, 0, 0, None)


def at_threshold(k: int) -> Case:
    """20 pixels against k of them: the IoU is exactly k / 20, one of the thresholds.

    np.arange(0.5, 1, 0.05) is 0.5, 0.55, 0.6000000000000001, ..., 0.9500000000000004: from
    the third on each threshold lies above its name, and this pair is not matched at it.
    """
    iou, paper = Fraction(k, 20), k - 9 if k <= 11 else k - 10
    return Case(
        f"IoU exactly {k / 20:.2f}",
        row((1, 20), (0, 5)),
        row((1, k), (0, 25 - k)),
        *(1, 1, 1, 0, 0),
        tp=ones(k - 9),
        msa=Fraction(k - 9, 10),
        pq=iou,
        sq=iou,
        rq=1,
        aji=iou,
        mean_matched_iou=iou,
        paper_tp=ones(paper),
        paper_msa=Fraction(paper, 10),
    )


HALF, THIRD, TWO_THIRDS = Fraction(1, 2), Fraction(1, 3), Fraction(2, 3)
TWENTIETH = Fraction(1, 20)  # SA is 1/2 at 0.50 and 0 at the nine others

BLANK = draw("....", "....")
TWO = draw("11..", "11.2")

CASES = (
    nothing_matched("both empty", BLANK, BLANK, 0, 0),
    nothing_matched("empty truth", BLANK, TWO, 0, 2),
    nothing_matched("empty prediction", TWO, BLANK, 2, 0),
    nothing_matched("side by side", draw("11.."), draw("..11"), 1, 1),
    perfect("identical", TWO, 2),
    perfect("sparse ids", row((7, 3), (0, 1), (1000, 2)), 2, row((500_000, 3), (0, 1), (3, 2))),
    perfect("ids beyond 2^31", row((2**31, 3), (2**31 + 1, 2)), 2, row((1, 3), (2, 2))),
    perfect(
        "ids up to 2^64 - 1",  # the middle two are one in float64, all are one in 32 bits
        row((1, 1), (2**63, 2), (2**63 + 1, 3), (2**64 - 1, 4)),
        4,
        row((2**64 - 1, 1), (2**53 + 1, 2), (2**53, 3), (2**32 + 1, 4)),
    ),
    perfect("one object covers everything", draw("111", "111"), 1),
    perfect("cut by every side", draw(".11.", "2..3", ".44."), 4),
    nothing_matched("no pixels", *(np.zeros((0, 5), np.int32),) * 2, 0, 0),
    # I = 4, U = 6 of 5 + 5 pixels; matched at 0.50, 0.55, 0.60, 0.65.
    Case(
        "shift",
        draw(".11111."),
        draw("..11111"),
        *(1, 1, 1, 0, 0),
        *(ones(4), Fraction(4, 10), TWO_THIRDS, TWO_THIRDS, 1, TWO_THIRDS, TWO_THIRDS),
    ),
    # Both halves have IoU 2/4, one of them is matched. AJI: the first half joins, the other
    # is unused, 2 / (4 + 2). PQ: 2 * 0.5 / 3.
    Case(
        "split in halves",
        draw("1111"),
        draw("1122"),
        *(1, 2, 1, 1, 0),
        *(ones(1), TWENTIETH, THIRD, HALF, TWO_THIRDS, THIRD, HALF),
    ),
    # The mirror image, but AJI lets both true objects join the same one: (2 + 2) / (4 + 4).
    Case(
        "two halves merged",
        draw("1122"),
        draw("1111"),
        *(2, 1, 1, 0, 1),
        *(ones(1), TWENTIETH, THIRD, HALF, TWO_THIRDS, HALF, HALF),
    ),
    # As knotted as ties at 0.5 get. SA@0.5: 2 / (3 + 3 - 2). PQ: 2 * (0.5 + 0.5) / 6.
    # AJI: (2 + 2 + 2) / (4 + 4 + 4, and 2 unused).
    Case(
        "split beside merged",
        draw("11112233"),
        draw("11223333"),
        *(3, 3, 2, 1, 1),
        *(ones(1, 2), TWENTIETH, THIRD, HALF, TWO_THIRDS, Fraction(3, 7), HALF),
    ),
    # 3/5 and 2/5: the larger part alone is matched, at 0.50 and 0.55, at 0.60 on the exact
    # grid only. SA there is 1 / (1 + 2 - 1). PQ: 2 * 0.6 / 3. AJI: 3 / (5 + 2).
    Case(
        "split unevenly",
        draw("11111"),
        draw("11122"),
        *(1, 2, 1, 1, 0),
        *(ones(3), Fraction(3, 20), Fraction(2, 5), Fraction(3, 5), TWO_THIRDS),
        *(Fraction(3, 7), Fraction(3, 5)),
        paper_tp=ones(2),
        paper_msa=Fraction(1, 10),
    ),
    # Two are matched, the third is missed: SA = 2/3 everywhere. PQ: 2 * 2 / 5. AJI: 2 / 3.
    Case(
        "objects of one pixel",
        draw("1.2", ".3."),
        draw("5.6", "..."),
        *(3, 2, 2, 0, 0),
        *(ones(10, 2), TWO_THIRDS, Fraction(4, 5), 1, Fraction(4, 5), TWO_THIRDS, 1),
    ),
    # The background is annotated as nothing, and predicted as one object: 4 of 12 pixels.
    # It holds the true object, yet it merges nothing. AJI: 4 / 12.
    Case(
        "one prediction covers everything",
        draw("....", ".11.", ".11."),
        draw("1111", "1111", "1111"),
        *(1, 1, 0, 0, 0),
        *(ones(0), 0, 0, 0, 0, THIRD, None),
    ),
    # One hit (IoU 1), one miss, one spurious. SA = 1 / 3. PQ: 2 * 1 / 4. AJI: 2 / (2 + 3 + 1).
    Case(
        "hit, miss and spurious",
        draw("11.", "222", "..."),
        draw("44.", "...", "..9"),
        *(2, 2, 1, 0, 0),
        *(ones(10), THIRD, HALF, 1, HALF, THIRD, 1),
    ),
    *(at_threshold(k) for k in range(10, 20)),
)


@st.composite
def label_pairs(draw: st.DrawFn, largest: int = 4) -> tuple[Labels, Labels]:
    """A random label image, and a prediction that agrees with it in most pixels."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7))
    ids = hnp.arrays(np.int64, shape, elements=st.integers(0, largest))
    true, other = draw(ids), draw(ids)
    differs = draw(hnp.arrays(bool, shape, elements=st.booleans(), fill=st.just(False)))
    return true, np.where(differs, other, true)


def predictions_from(true: Labels) -> dict[str, Labels]:
    """The kinds of error that segmentations make, made on purpose."""
    from scipy import ndimage
    from skimage.segmentation import expand_labels

    true = true.astype(np.int64)
    inside = ndimage.minimum_filter(true, 3) == ndimage.maximum_filter(true, 3)
    # Each object's pixels in raster order, counted from 0: the first half becomes an object
    # and so does the second. Of an even area both have IoU exactly 0.5.
    order = np.argsort(true, axis=None, kind="stable")
    areas = np.bincount(true.ravel())
    rank = np.empty(true.size, np.int64)
    rank[order] = np.arange(true.size) - np.repeat(np.cumsum(areas) - areas, areas)
    second = (2 * rank >= areas[true.ravel()]).reshape(true.shape)
    return {
        "the truth itself": true,
        "shifted": np.roll(true, (2, 1), axis=(0, 1)),
        "shifted far": np.roll(true, (7, -5), axis=(0, 1)),
        "eroded": np.where(inside, true, 0),
        "grown": expand_labels(true, 3),
        "every third dropped": np.where(true % 3 == 0, 0, true),
        "merged in pairs": (true + 1) // 2,
        "split in halves": np.where(true > 0, 2 * true + second, 0),
        "nothing": np.zeros_like(true),
    }
