"""Outlines of the site's viewer enclose their objects, and each object is of the right kind."""

import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cases import PAPER, tied_pair
from matplotlib.path import Path as Polygon
from skimage.measure import label

from benchmark.data.formats.images import read_labels
from benchmark.report.site.outlines import UNITS, outlines
from benchmark.scoring.match import match
from benchmark.scoring.metrics import score
from benchmark.scoring.object_outcomes import object_outcomes


def filled(path, shape):
    """Which pixel centres a path encloses (even-odd), by matplotlib from the path's text."""
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(len(centres), bool)
    for ring in re.findall(r"M([^z]+)z", path):
        start, steps = ring.split("l")
        x, y = map(int, start.split())
        numbers = list(map(int, re.findall(r"-?\d+", steps)))
        points = [(x, y)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            points.append((points[-1][0] + dx, points[-1][1] + dy))
        inside ^= Polygon(np.array(points) / UNITS).contains_points(centres)
    return inside.reshape(shape)


def test_outlines_enclose_the_objects(data_folder):
    labels = read_labels(sorted((data_folder / "u20s" / "labels").iterdir())[0])[:200, :200]
    ids = [int(i) for i in np.unique(labels) if i]
    paths = outlines(labels)
    assert len(paths) == len(ids) > 5
    for path, i in zip(paths, ids, strict=True):
        drawn_pixels, true = filled(path, labels.shape), labels == i
        assert (drawn_pixels & true).sum() / (drawn_pixels | true).sum() > 0.93 or true.sum() < 20


@pytest.fixture(scope="module")
def data_folder():
    folder = Path(os.environ.get("BENCHMARK_DATA", "nowhere"))
    if not (folder / "u20s").exists():
        pytest.skip("BENCHMARK_DATA names no folder with u20s")
    return folder


def test_outlines_of_pieces_holes_single_pixels_and_borders():
    labels = np.zeros((30, 40), np.uint16)
    labels[2:12, 2:12] = 9
    labels[5:8, 5:8] = 0  # a hole
    labels[20:24, 30:40] = 9  # a second piece, at the border
    labels[15, 15] = 1000
    labels[0, :3] = 4
    paths = outlines(labels)
    assert [path.count("z") for path in paths] == [1, 3, 1]  # ids 4, 9, 1000
    for path, i in zip(paths, (4, 9, 1000), strict=True):
        assert (filled(path, labels.shape) == (labels == i)).all(), i
    assert outlines(np.zeros((4, 4), int)) == []
    assert len(outlines(np.ones((4, 4), int))) == 1  # no background at all


def test_coarser_outlines_stay_near():
    rows, columns = np.indices((400, 400))
    disk = ((rows - 200) ** 2 + (columns - 180) ** 2 < 150**2).astype(int)
    sizes = [len(outlines(disk, down)[0]) for down in (1, 4, 32)]
    assert all(fine > 1.5 * coarse for fine, coarse in pairwise(sizes))
    drawn_pixels = filled(outlines(disk, 4)[0], disk.shape)
    assert (drawn_pixels & (disk > 0)).sum() / (drawn_pixels | (disk > 0)).sum() > 0.98


def test_kinds_of_single_cases():
    true, predicted = np.zeros((20, 60), int), np.zeros((20, 60), int)
    true[2:8, 2:8], predicted[2:8, 2:8] = 1, 11  # matched
    true[2:8, 12:18] = 2  # missed
    predicted[2:8, 22:28] = 13  # spurious
    true[2:8, 32:44], predicted[2:8, 32:37], predicted[2:8, 38:43] = 4, 14, 15  # split
    true[12:18, 2:7], true[12:18, 8:13], predicted[12:18, 2:13] = 5, 6, 16  # merged
    assert object_outcomes(match(true, predicted)) == ("mxpgg", "msppg")
    half = np.zeros((4, 4), int)
    half[0, :2] = 1
    whole = np.zeros((4, 4), int)
    whole[0, :4] = 1
    assert object_outcomes(match(half, whole)) == ("m", "m")  # an IoU of exactly one half
    assert object_outcomes(match(whole * 0, half)) == ("", "s")


def touching(seed):
    """Random blobs, and the same with holes and cuts: many are split, some merged."""
    rng = np.random.default_rng(seed)
    true = label(rng.random((60, 60)) < 0.62, connectivity=1)
    return true, label((true > 0) & (rng.random((60, 60)) < 0.9), connectivity=1)


def tied(seed):
    rng = np.random.default_rng(seed)
    return tied_pair(rng, 2 + seed % 5, 1 + seed)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("pair", [touching, tied])
def test_pictures_agree_with_the_counts_of_the_score(pair, seed):
    true, predicted = pair(seed)
    for overlap in (match(true, predicted), match(predicted, true)):
        of_true, of_predicted = object_outcomes(overlap)
        counts = score(overlap, PAPER).metrics
        assert of_true.count("p") == counts["split"]
        assert of_predicted.count("g") == counts["merged"]
        pairs = overlap.matched_pairs
        matched = {int(i) for i in overlap.true_index[pairs]}
        hit = {int(i) for i in overlap.predicted_index[pairs]}
        assert len(pairs) == len(matched) == len(hit) == counts["matched"]
        # A matched object that is split or merged as well is shown as that.
        assert {i for i, kind in enumerate(of_true) if kind == "m"} == {
            i for i in matched if of_true[i] != "p"
        }
        assert {i for i, kind in enumerate(of_predicted) if kind == "m"} == {
            i for i in hit if of_predicted[i] != "g"
        }
        lost = [kind for i, kind in enumerate(of_true) if i not in matched]
        assert len(lost) == counts["missed"] and set(lost) <= set("xpg")
        surplus = [kind for i, kind in enumerate(of_predicted) if i not in hit]
        assert len(surplus) == counts["spurious"] and set(surplus) <= set("spg")


def test_the_random_images_hold_ties_and_every_kind():
    pairs = [pair(seed) for pair in (touching, tied) for seed in range(20)]
    overlaps = [match(*way) for pair in pairs for way in (pair, pair[::-1])]
    assert sum(int((overlap.iou == 0.5).sum()) for overlap in overlaps) > 100
    kinds = ["".join(object_outcomes(overlap)) for overlap in overlaps]
    assert set("".join(kinds)) == set("mxspg")
