"""Named pairs of label images, small enough to be scored by hand, and random ones.

The expected numbers are derived by hand, with the reasoning beside them; none was printed
by the code and pasted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from benchmark.scoring.protocol import Protocol

Labels = NDArray[np.integer]
Number = Fraction | int | None

PAPER = Protocol("paper", threshold_grid="drifting", both_empty="zero")
CLEAN = Protocol(
    "clean", threshold_grid="exact", both_empty="exclude", mask_order="score", library_quirks=False
)
PROTOCOLS = (PAPER, CLEAN)

# The same examples on every run and no deadline: the first call may compile.
repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=100)


def draw(*rows: str, dtype: type = np.int32) -> Labels:
    """A label image from text: a digit is an object's id, a dot is background."""
    pixels = [[0 if pixel == "." else int(pixel) for pixel in row] for row in rows]
    return np.array(pixels, dtype).reshape(len(rows), -1)


def row(*runs: tuple[int, int]) -> Labels:
    """A 1 x N label image from runs of (id, pixels)."""
    ids, lengths = zip(*runs, strict=True)
    return np.repeat(np.array(ids, np.uint64), lengths)[np.newaxis]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A truth, a prediction, and what they score.

    Attributes:
        objects: true, predicted, and matched at IoU 0.5.
        tp: true positives at 0.50, 0.55, ..., 0.95 as the nearest floats (clean).
        msa: the mean of SA over these thresholds.
        paper_tp: true positives on the drifting grid of the paper, where they differ.
        paper_msa: likewise.
    """

    name: str
    true: Labels
    predicted: Labels
    objects: tuple[int, int, int]
    split: int = 0
    merged: int = 0
    tp: tuple[int, ...]
    msa: Number
    pq: Number
    sq: Number
    rq: Number
    aji: Number
    mean_matched_iou: Number
    paper_tp: tuple[int, ...] | None = None
    paper_msa: Number = None


def first(n: int, matched: int = 1) -> tuple[int, ...]:
    """So many matched at the first n thresholds, none at the others."""
    return (matched,) * n + (0,) * (10 - n)


def perfect(name: str, true: Labels, n: int, predicted: Labels | None = None) -> Case:
    """A prediction that is the truth, perhaps under other ids: 1 throughout."""
    return Case(
        name=name,
        true=true,
        predicted=true if predicted is None else predicted,
        objects=(n, n, n),
        tp=first(10, n),
        **dict.fromkeys(SCORES, 1),
    )


def apart(name: str, true: Labels, predicted: Labels, n: int, m: int) -> Case:
    """Nothing overlaps: 0 throughout, and no matched IoU to average."""
    zeros = dict.fromkeys(SCORES, 0) | {"mean_matched_iou": None}
    return Case(name=name, true=true, predicted=predicted, objects=(n, m, 0), tp=first(0), **zeros)


def at_threshold(k: int) -> Case:
    """20 pixels against k of them: the IoU is exactly k / 20, one of the thresholds.

    np.arange(0.5, 1, 0.05) is 0.5, 0.55, 0.6000000000000001, ..., 0.9500000000000004: from
    the third on each threshold lies above its name, and this pair is not matched at it.
    """
    iou, paper = Fraction(k, 20), k - 9 if k <= 11 else k - 10
    return Case(
        name=f"IoU exactly {k / 20:.2f}",
        true=row((1, 20), (0, 5)),
        predicted=row((1, k), (0, 25 - k)),
        objects=(1, 1, 1),
        tp=first(k - 9),
        msa=Fraction(k - 9, 10),
        pq=iou,
        sq=iou,
        rq=1,
        aji=iou,
        mean_matched_iou=iou,
        paper_tp=first(paper),
        paper_msa=Fraction(paper, 10),
    )


SCORES = ("msa", "pq", "sq", "rq", "aji", "mean_matched_iou")
BLANK = draw("....", "....")
TWO = draw("11..", "11.2")
NO_PIXELS = np.zeros((0, 5), np.int32)

CASES = (
    apart("both empty", BLANK, BLANK, 0, 0),
    apart("empty truth", BLANK, TWO, 0, 2),
    apart("empty prediction", TWO, BLANK, 2, 0),
    apart("no pixels", NO_PIXELS, NO_PIXELS, 0, 0),
    apart("side by side", draw("11.."), draw("..11"), 1, 1),
    perfect("identical", TWO, 2),
    perfect("one object covers everything", draw("111", "111"), 1),
    perfect("cut by every side", draw(".11.", "2..3", ".44."), 4),
    perfect("sparse ids", row((7, 3), (0, 1), (1000, 2)), 2, row((500_000, 3), (0, 1), (3, 2))),
    perfect("ids beyond 2^31", row((2**31, 3), (2**31 + 1, 2)), 2, row((1, 3), (2, 2))),
    perfect(
        "ids up to 2^64 - 1",  # 2^63 and its successor are the same number in float64
        row((1, 1), (2**63, 2), (2**63 + 1, 3), (2**64 - 1, 4)),
        4,
        row((2**64 - 1, 1), (2**53 + 1, 2), (2**53, 3), (2**32 + 1, 4)),
    ),
    Case(
        name="shift",
        true=draw(".11111."),
        predicted=draw("..11111"),  # I = 4, U = 6: matched up to 0.65
        objects=(1, 1, 1),
        tp=first(4),
        msa=Fraction(4, 10),
        pq=Fraction(2, 3),
        sq=Fraction(2, 3),
        rq=1,
        aji=Fraction(2, 3),
        mean_matched_iou=Fraction(2, 3),
    ),
    Case(
        name="split in halves",
        true=draw("1111"),
        predicted=draw("1122"),  # IoU 2/4 twice, and one of them is matched
        objects=(1, 2, 1),
        split=1,
        tp=first(1),
        msa=Fraction(1, 20),  # SA is 1 / (1 + 2 - 1) at 0.50 and 0 at the nine others
        pq=Fraction(1, 3),  # 2 * 0.5 / (1 + 2)
        sq=Fraction(1, 2),
        rq=Fraction(2, 3),
        aji=Fraction(1, 3),  # one half joins, the other is unused: 2 / (4 + 2)
        mean_matched_iou=Fraction(1, 2),
    ),
    Case(
        name="two halves merged",
        true=draw("1122"),
        predicted=draw("1111"),
        objects=(2, 1, 1),
        merged=1,
        tp=first(1),
        msa=Fraction(1, 20),
        pq=Fraction(1, 3),
        sq=Fraction(1, 2),
        rq=Fraction(2, 3),
        aji=Fraction(1, 2),  # both true objects join the same one: (2 + 2) / (4 + 4)
        mean_matched_iou=Fraction(1, 2),
    ),
    Case(
        name="split beside merged",
        true=draw("11112233"),
        predicted=draw("11223333"),
        objects=(3, 3, 2),
        split=1,
        merged=1,
        tp=first(1, 2),
        msa=Fraction(1, 20),  # SA is 2 / (3 + 3 - 2) at 0.50
        pq=Fraction(1, 3),  # 2 * (0.5 + 0.5) / (3 + 3)
        sq=Fraction(1, 2),
        rq=Fraction(2, 3),
        aji=Fraction(3, 7),  # (2 + 2 + 2) / (4 + 4 + 4, and 2 unused)
        mean_matched_iou=Fraction(1, 2),
    ),
    Case(
        name="split unevenly",
        true=draw("11111"),
        predicted=draw("11122"),  # IoU 3/5 and 2/5: the larger part alone is matched
        objects=(1, 2, 1),
        split=1,
        tp=first(3),
        msa=Fraction(3, 20),
        pq=Fraction(2, 5),  # 2 * 0.6 / (1 + 2)
        sq=Fraction(3, 5),
        rq=Fraction(2, 3),
        aji=Fraction(3, 7),  # 3 / (5 + 2)
        mean_matched_iou=Fraction(3, 5),
        paper_tp=first(2),  # its "0.6" is 0.6000000000000001
        paper_msa=Fraction(1, 10),
    ),
    Case(
        name="objects of one pixel",
        true=draw("1.2", ".3."),
        predicted=draw("5.6", "..."),
        objects=(3, 2, 2),
        tp=first(10, 2),
        msa=Fraction(2, 3),
        pq=Fraction(4, 5),  # 2 * (1 + 1) / (3 + 2)
        sq=1,
        rq=Fraction(4, 5),
        aji=Fraction(2, 3),
        mean_matched_iou=1,
    ),
    Case(
        name="the background predicted as an object",
        true=draw("....", ".11.", ".11."),
        predicted=draw("1111", "1111", "1111"),  # it holds one true object: nothing is merged
        objects=(1, 1, 0),
        tp=first(0),
        msa=0,
        pq=0,
        sq=0,
        rq=0,
        aji=Fraction(1, 3),  # 4 / 12; AJI asks for no least IoU
        mean_matched_iou=None,
    ),
    Case(
        name="hit, miss and spurious",
        true=draw("11.", "222", "..."),
        predicted=draw("44.", "...", "..9"),
        objects=(2, 2, 1),
        tp=first(10),
        msa=Fraction(1, 3),  # 1 / (2 + 2 - 1) throughout
        pq=Fraction(1, 2),  # 2 * 1 / (2 + 2)
        sq=1,
        rq=Fraction(1, 2),
        aji=Fraction(1, 3),  # 2 / (2 + 3 missed + 1 unused)
        mean_matched_iou=1,
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


def tied_pair(rng: np.random.Generator, size: int, ids: int) -> tuple[Labels, Labels]:
    """A small random truth and halves of its objects: IoUs of 1/2, 1/3, 2/3, ...

    Some halves are swapped for their neighbours.
    """
    true = rng.integers(0, ids + 1, (size, size)).repeat(2, axis=1)
    predicted = 2 * true + np.tile([0, 1], (size, size)) * rng.integers(0, 2, true.shape)
    return true, np.where(rng.random(true.shape) < 0.1, np.roll(predicted, 1), predicted)


def predictions_from(true: Labels) -> dict[str, Labels]:
    """The kinds of error that segmentations make, made on purpose."""
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
