"""A recipe's steps run in their order; tiles cover an image once; slips are named."""

import numpy as np
import pytest

from benchmark.data.transforms import TRANSFORMS, apply, steps_that_need_labels
from benchmark.errors import DataError, UsageError


@pytest.mark.parametrize("shape", [(8, 9), (7, 11), (2, 3), (100, 31)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3), (1, 3)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiles_cover_every_pixel_once_and_keep_ids(shape, rows, columns, channels):
    labels = np.arange(np.prod(shape)).reshape(shape) * 1000
    image = np.random.default_rng(0).random((*shape, *channels))
    pieces = list(apply([{"tiles": {"rows": rows, "columns": columns}}], image, labels))
    assert [suffix for suffix, *_ in pieces] == [
        f"_r{r}c{c}" for r in range(rows) for c in range(columns)
    ]
    for place, whole in ((1, image), (2, labels)):
        grid = [
            np.concatenate([piece[place] for piece in pieces[r * columns :][:columns]], axis=1)
            for r in range(rows)
        ]
        np.testing.assert_array_equal(np.concatenate(grid), whole)
    heights, widths = zip(*(labels.shape for *_, labels in pieces), strict=True)
    assert max(heights) - min(heights) <= 1 and max(widths) - min(widths) <= 1


def test_steps_run_one_after_the_other():
    step = {"tiles": {"rows": 1, "columns": 2}}
    image = np.zeros((4, 8))
    assert [s for s, *_ in apply([], image, image)] == [""]
    assert [(s, i.shape) for s, i, _ in apply([step, step], image, image)] == [
        (f"_r0c{a}_r0c{b}", (4, 2)) for a in (0, 1) for b in (0, 1)
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"tile": {}}, r"\{'tile': \{\}\} is .* Names: tiles"),
        ({"tiles": {"rows": 1, "columns": 1}, "crop": {}}, ".*"),
        ("tiles", "'tiles'"),
        ({}, r"\{\}"),
        ({"tiles": {"rows": 2}}, "step 'tiles': .* 'columns'"),
        ({"tiles": {"rows": 2, "columns": 2, "depth": 2}}, "step 'tiles': .* 'depth'"),
        (
            {"tiles": {"rows": 2, "columns": 2}, "when": "false"},
            "step 'tiles': when is 'false'; it must be true or false",
        ),
        ({"tiles": {"rows": 2, "columns": 2}, "when": None}, "step 'tiles': when is None"),
        ({"tiles": None}, "step 'tiles': .* 'rows' and 'columns'"),
        ({"tiles": 2}, "step 'tiles': .*mapping"),
        ({"tiles": {"rows": "two", "columns": 2}}, "step 'tiles': "),
        ({"tiles": {"rows": 0, "columns": 2}}, "step 'tiles': 0 rows, 2 columns: give 1 or more"),
        ({"tiles": {"rows": 2, "columns": -1}}, "step 'tiles': 2 rows, -1 columns: give 1"),
    ],
    ids=str,
)
def test_a_slip_in_the_recipe_is_named(step, said):
    image = np.zeros((8, 8))
    with pytest.raises(UsageError, match=f"data.recipe: {said}"):
        list(apply([step], image, image))


def test_an_image_smaller_than_its_tiles_is_refused():
    image = np.zeros((3, 8))
    with pytest.raises(DataError, match=r"3 x 8 .*4 x 2 tiles"):
        list(apply([{"tiles": {"rows": 4, "columns": 2}}], image, image))


EVERY_STEP = {
    "tiles": {"rows": 2, "columns": 1},
    "center_crop": {"shape": [10, 12], "cut_objects": "split"},
    "crop_around_labels": {"shape": [10, 12]},
    "pad": {"shape": [40, 50]},
    "resize": {"shape": [10, 12], "label_resize": "nearest"},
    "ignore_label": {"value": 1},
    "connected_components": None,
    "min_objects": {"count": 2, "counting": "objects"},
    "only_channels": {"count": 1},
    "scale_channels": None,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_step_needs_labels_if_its_images_depend_on_them(name):
    image = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    none, some = np.zeros((2, 32, 32), np.uint8)
    some[:4, :4], some[4:9, :3], some[1:3, 20:] = 1, 2, 3
    recipe = [{name: EVERY_STEP[name]}]
    outcomes = [
        [(suffix, made.tolist()) for suffix, made, _ in apply(recipe, image, labels)]
        for labels in (none, some)
    ]
    assert steps_that_need_labels(recipe) == ([name] if outcomes[0] != outcomes[1] else [])
    assert steps_that_need_labels([{**recipe[0], "when": False}]) == []
