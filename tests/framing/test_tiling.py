"""Tiles with halos: objects are joined across borders, and counted once."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.framing.tiling import pieces, predict_tiled
from models.otsu import OtsuWatershed


def disks(shape, seed, radii=(3, 9), count=60):
    """Disks apart from each other, as a label image."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    rows, columns = np.indices(shape)
    for number in range(1, count + 1):
        radius = random.integers(*radii)
        y, x = random.integers(shape[0]), random.integers(shape[1])
        disk = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        if not labels[ndimage.binary_dilation(disk, iterations=2)].any():
            labels[disk] = number
    return labels


def components(image):
    """Segments at a fixed level: what a tile has does not depend on the others."""
    return ndimage.label(image > 0)[0]


def up_to_numbering(labels):
    """The label image with ids in the order of their first pixels."""
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(values == 0, -1, first)))
    order = order if (values == 0).any() else order + 1
    return order[inverse].reshape(labels.shape)


def assert_equal(found, expected):
    assert np.array_equal(up_to_numbering(found), up_to_numbering(expected))


def assert_consecutive(labels):
    assert np.array_equal(np.unique(labels[labels > 0]), 1 + np.arange(labels.max()))


@given(length=st.integers(1, 300), tile=st.integers(1, 80), halo=st.integers(0, 80))
def test_tiles_cover_a_side_once_and_lie_in_windows_of_one_length(length, tile, halo):
    found = pieces(length, tile, halo)
    assert [found[0].tile[0], found[-1].tile[1]] == [0, length]
    assert all(a.tile[1] == b.tile[0] for a, b in itertools.pairwise(found))
    assert {b - a for _, (a, b) in found} == {min(length, tile + 2 * halo)}
    for (a, b), (first, last) in found:
        assert 0 <= first <= a < b <= last <= length
        assert a - first >= min(halo, a) and last - b >= min(halo, length - b)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    tile=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    halo=st.integers(1, 12),
    seed=st.integers(0, 10**6),
)
def test_an_ideal_segmenter_of_the_truth_gives_the_truth(shape, tile, halo, seed):
    """Connected objects of any shape and size, and any halo: those cut several times as well."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    truth = ndimage.label(noise > 0)[0]
    found = predict_tiled(truth, tile, (halo, halo), lambda window: window)
    assert_equal(found, truth)
    assert_consecutive(found)


@settings(max_examples=40, deadline=None)
@given(
    tile=st.tuples(st.integers(20, 60), st.integers(20, 60)),
    seed=st.integers(0, 10**6),
)
def test_halos_larger_than_any_object_give_what_no_tiles_give(tile, seed):
    image = disks((130, 110), seed, radii=(2, 7))
    halo = 16
    found = predict_tiled(image, tile, (halo, halo), components)
    assert_equal(found, components(image))
    assert_consecutive(found)


def test_touching_objects_stay_apart():
    truth = np.kron(1 + np.arange(64).reshape(8, 8), np.ones((7, 7), int))
    assert_equal(predict_tiled(truth, (10, 13), (3, 3), lambda window: window), truth)


def test_an_object_on_the_corner_of_four_tiles_is_one():
    truth = np.zeros((40, 40), int)
    truth[14:26, 15:25] = 5
    found = predict_tiled(truth, (20, 20), (8, 8), components)
    assert found.max() == 1 and np.array_equal(found > 0, truth > 0)


def test_an_object_across_many_tiles_is_one():
    truth = np.zeros((100, 100), int)
    truth[5, 5:95] = truth[95, 5:95] = truth[5:96, 5] = 1
    found = predict_tiled(truth, (16, 16), (4, 4), components)
    assert found.max() == 1 and np.array_equal(found > 0, truth > 0)


def test_without_a_halo_objects_are_cut_at_borders():
    truth = np.zeros((40, 40), int)
    truth[10:30, 10:15] = 1
    assert predict_tiled(truth, (20, 20), (0, 0), components).max() == 2


def beside_a_border(first_column):
    """An object of 20 columns; tiles are of 40 columns, halos of 25."""
    truth = np.zeros((40, 160), int)
    truth[10:30, first_column : first_column + 20] = 1
    return truth


def predicted_by(image, *by_window):
    """Of each of the first windows how it predicts; the others find nothing."""
    ways = iter(by_window)
    return predict_tiled(
        image, (40, 40), (0, 25), lambda w: next(ways, lambda window: window * 0)(w)
    )


def missing(window):
    return np.zeros_like(window)


@pytest.mark.parametrize(("column", "ways"), [(26, "found missed"), (34, "missed found")])
def test_what_one_window_misses_is_kept_whole_by_the_tile_that_has_most_of_it(column, ways):
    truth = beside_a_border(column)
    chosen = [{"found": components, "missed": missing}[way] for way in ways.split()]
    found = predicted_by(truth, *chosen)
    assert np.array_equal(found, truth)


@pytest.mark.parametrize(("column", "ways"), [(26, "missed found"), (34, "found missed")])
def test_what_the_window_of_the_smaller_part_alone_finds_is_dropped(column, ways):
    chosen = [{"found": components, "missed": missing}[way] for way in ways.split()]
    assert predicted_by(beside_a_border(column), *chosen).max() == 0


@pytest.mark.parametrize("column", [22, 34])
def test_an_object_that_windows_draw_so_differently_that_they_disagree_is_one(column):
    def upper(window):
        labels = components(window)
        labels[16:] = 0
        return labels

    truth = beside_a_border(column)
    for ways in ((components, upper), (upper, components)):
        assert predicted_by(truth, *ways).max() == 1


def test_ids_are_consecutive_and_large_ones_of_a_window_do_no_harm():
    truth = disks((90, 90), 3).astype(np.uint64)
    truth[truth > 0] += np.uint64(2**60)
    found = predict_tiled(truth, (30, 30), (20, 20), lambda window: window)
    assert_equal(found, truth)
    assert_consecutive(found)
    assert found.dtype == np.int32


def test_a_window_is_an_array_of_its_own_with_all_channels():
    image = np.zeros((50, 60, 3), np.uint8)
    seen = []

    def predict(window):
        seen.append((window.shape, window.dtype, window.flags.c_contiguous))
        return np.zeros(window.shape[:2], int)

    assert predict_tiled(image, (20, 20), (5, 5), predict).shape == (50, 60)
    assert set(seen) == {((30, 30, 3), np.dtype(np.uint8), True)} and len(seen) == 9


def test_predictions_are_the_same_each_time():
    random = np.random.default_rng(0)
    image = ndimage.gaussian_filter(random.normal(size=(150, 150)), 2)
    one, other = (predict_tiled(image, (40, 40), (9, 9), OtsuWatershed().predict) for _ in range(2))
    assert np.array_equal(one, other)
    assert_consecutive(one)


def test_otsu_is_equal_where_every_window_has_the_threshold_of_the_whole():
    """Two grey levels: any threshold between them is the same, but Otsu's has to be defined."""
    image = disks((160, 160), 1, radii=(4, 7), count=400)
    image = np.where(image > 0, 200, 10).astype(np.uint8)
    model = OtsuWatershed(sigma=0.0, foreground="bright", min_distance=4, min_size=0)
    windows = []

    def predict(window):
        windows.append(np.unique(window).tolist())
        return model.predict(window)

    found = predict_tiled(image, (40, 40), (30, 30), predict)
    assert windows == [[10, 200]] * len(windows) and len(windows) > 4
    whole = model.predict(image)
    assert_equal(found, whole)
    assert whole.max() > 50
