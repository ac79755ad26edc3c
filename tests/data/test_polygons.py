"""Outlines become the pixels whose centres they contain, as GDAL draws them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.formats.polygons import inside

SHAPE = (32, 44)


def drawn(*rings):
    mask = np.zeros(SHAPE, bool)
    rows, columns, window = inside(rings, SHAPE)
    mask[rows, columns] = window
    return mask


def test_edges_on_pixel_borders_are_exact():
    expected = np.zeros(SHAPE, bool)
    expected[3:7, 5:9] = True
    for ring in ([(5, 3), (9, 3), (9, 7), (5, 7)], [(5, 3), (5, 7), (9, 7), (9, 3), (5, 3)]):
        np.testing.assert_array_equal(drawn(ring), expected)


def test_what_touches_shares_no_pixel_even_where_an_edge_meets_centres():
    corners = [(0, 0), (20, 0), (20, 20), (0, 20)]
    halves = [drawn([corners[0], corners[1], corners[2]]), drawn([corners[0], *corners[2:]])]
    assert not (halves[0] & halves[1]).any()
    np.testing.assert_array_equal(halves[0] | halves[1], drawn(corners))
    assert halves[0].diagonal()[:20].all()  # to the right of the edge


coordinates = st.integers(-20, 120).map(lambda number: number / 2)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8), st.integers(0, 7))
def test_a_polygon_cut_in_two_is_the_sum_of_its_parts(points, cut):
    """Inside is what an odd number of outlines contain, so parts add up wherever they overlap."""
    cut = min(cut, len(points) - 1)
    first, second = points[: cut + 1], [points[0], *points[cut:]]
    np.testing.assert_array_equal(drawn(first) ^ drawn(second), drawn(points))


def test_any_polygon_is_drawn_as_gdal_draws_it():
    features = pytest.importorskip("rasterio.features")
    geometry = pytest.importorskip("shapely.geometry")
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(200):
        hull = geometry.MultiPoint(rng.random((rng.integers(3, 20), 2)) * [60, 45] - 8)
        polygon = hull.convex_hull.difference(geometry.Point(rng.random(2) * 30).buffer(4))
        if polygon.geom_type != "Polygon" or polygon.is_empty:
            continue
        rings = [np.array(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
        expected = features.rasterize([polygon], out_shape=SHAPE)
        np.testing.assert_array_equal(drawn(*rings), expected)
        compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    "rings", [[], [[]], [[(1, 1)]], [[(1, 1), (5, 5)]], [[(-9, -9), (-5, -9), (-5, -5)]]]
)
def test_what_has_no_area_in_the_image_has_no_pixel(rings):
    if rings == [[]]:
        with pytest.raises(ValueError, match="points"):
            drawn(*rings)
    else:
        assert not drawn(*rings).any()
