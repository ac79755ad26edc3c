"""Every adapter of the SAM family, and how a small one of each is built."""

import importlib.util
from functools import partial

import pytest
from helpers.small_musam import ALL_MASKS, GRID, SmallDecoder, SmallMasks, SmallSam
from helpers.small_prompted import SMALL_MASKS
from helpers.small_sam3 import needs_sam3

from models.apg import APG
from models.musam import AIS, AMG, SamAMG
from models.prompted import Prompted
from models.prompting.sources import Grid
from models.sam2 import Sam2
from models.sam3 import Sam3

ADAPTERS = [AMG, SamAMG, AIS, APG, Prompted, Sam2, Sam3]
needs_sam2 = pytest.mark.skipif(
    importlib.util.find_spec("sam2") is None, reason="sam2 is not installed"
)


def _sam2(request, **given):
    from helpers.small_sam2 import OPEN, SmallSam2, make_checkpoint

    path = make_checkpoint(request.getfixturevalue("tmp_path") / "small.pt")
    weights = SmallSam2.find_weights(str(path)).fetch()
    return SmallSam2(weights, points_per_side=2, **OPEN, **given)


def _sam3(request, **given):
    from helpers.small_sam3 import UNSURE, SmallSam3, make_checkpoint

    folder = request.getfixturevalue("tmp_path") / "sam3"
    folder.mkdir(exist_ok=True)
    make_checkpoint(folder)
    return SmallSam3(SmallSam3.find_weights(str(folder)).fetch(), threshold=UNSURE, **given)


def prompted(masks, request, **given):
    """The adapter that prompts a small model by a grid, by the value of `masks`."""
    adapter, make = SMALL_MASKS[masks]
    folder = request.getfixturevalue("tmp_path") / f"prompted_{masks}"
    if masks == "sam3":
        folder.mkdir(exist_ok=True)
    weights = adapter.find_weights(str(make(folder))).fetch()
    return adapter(weights, Grid(2), min_size=0, **given)


def _musam(adapter, **more):
    def build(request, **given):
        weights = adapter.find_weights(str(request.getfixturevalue("checkpoint"))).fetch()
        return adapter(weights, **more, **given)

    return build


BUILD = {
    "amg": _musam(SmallMasks, **GRID, **ALL_MASKS),
    "sam": _musam(SmallSam, **GRID, **ALL_MASKS),
    "ais": _musam(SmallDecoder),
    "apg": lambda request, **given: APG(APG.find_weights("demo").fetch(), **given),
    "prompted": partial(prompted, "musam"),
    "sam2": _sam2,
    "sam3": _sam3,
}
EVERY = [
    pytest.param(name, marks={"sam2": needs_sam2, "sam3": needs_sam3}.get(name, ()))
    for name in BUILD
]
