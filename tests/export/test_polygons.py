"""Polygons run along borders of pixels: rasterised by GDAL, they are the label image again."""

import numpy as np
import pytest
import shapely.geometry
from cases import draw, repeatable
from helpers.exported import CASES, rasterised
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from benchmark.export.polygons import doubled_area, polygons


def shapes(labels):
    """Id -> the polygons of its parts, as shapely has them."""
    return {
        number: [shapely.geometry.Polygon(part.outer, part.holes) for part in parts]
        for number, parts in polygons(labels)
    }


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES)
def test_polygons_are_valid_and_give_the_label_image_again(labels):
    found = shapes(labels)
    assert list(found) == [number for number in np.unique(labels) if number]
    np.testing.assert_array_equal(rasterised(found, labels.shape), labels)
    for number, parts in found.items():
        whole = shapely.geometry.MultiPolygon(parts)
        assert whole.is_valid, shapely.is_valid_reason(whole)
        assert whole.area == np.count_nonzero(labels == number)


@repeatable
@given(
    hnp.arrays(
        np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)
    )
)
def test_random_images_survive(labels):
    test_polygons_are_valid_and_give_the_label_image_again(labels)


def test_coordinates_are_corners_of_pixels_x_first():
    ((number, (part,)),) = polygons(draw("....", "..7.", "..7."))
    assert number == 7 and not part.holes
    assert set(part.outer) == {(2, 1), (3, 1), (3, 3), (2, 3)}, "only corners, no point twice"
    assert doubled_area(part.outer) == 4, "outer rings are positive"


def test_holes_are_negative_and_ids_may_be_large():
    labels = draw("111", "1.1", "111").astype(np.uint64) * (2**40 + 3)
    ((number, (part,)),) = polygons(labels)
    assert number == 2**40 + 3
    assert [doubled_area(hole) for hole in part.holes] == [-2]


def test_a_part_is_connected_by_sides():
    labels = np.random.default_rng(0).integers(0, 2, (40, 50))
    ((_, parts),) = polygons(labels)
    assert len(parts) == label(labels, connectivity=1).max()
