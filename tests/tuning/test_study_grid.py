"""The study's grids are those of micro-sam's own search, to the last bit of each value."""

import itertools

import pytest
import yaml

from benchmark.choices import CONFIGS
from models.apg import APG
from models.musam import AIS, AMG

upstream = pytest.importorskip("micro_sam.evaluation.instance_segmentation")
STUDY = yaml.safe_load((CONFIGS / "grid" / "study.yaml").read_text(encoding="utf-8"))
THEIRS = {
    APG: upstream.default_grid_search_values_apg,
    AIS: upstream.default_grid_search_values_instance_segmentation_with_decoder,
    AMG: upstream.default_grid_search_values_amg,
}


def points(axes):
    return {tuple(sorted(zip(axes, p, strict=True))) for p in itertools.product(*axes.values())}


@pytest.mark.parametrize(("adapter", "size"), [(APG, 750), (AIS, 525), (AMG, 210)])
def test_points_are_micro_sams(adapter, size):
    """Its ranges end beyond their last value where a step of floats is a little too short."""
    ours = STUDY[f"{adapter.__module__}.{adapter.__qualname__}"]
    theirs = {
        name: [getattr(value, "item", lambda value=value: value)() for value in values]
        for name, values in THEIRS[adapter]().items()
    }
    used = {name: values for name, values in theirs.items() if name in ours}
    assert all(len(values) == 1 for name, values in theirs.items() if name not in ours)
    assert points(ours) == points(used) and len(points(ours)) == size


def test_what_floats_add_is_in_them():
    assert max(STUDY["models.musam.AMG"]["pred_iou_thresh"]) == 0.925
    assert max(STUDY["models.musam.AIS"]["distance_smoothing"]) == 2.2
