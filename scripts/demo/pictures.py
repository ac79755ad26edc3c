"""The images that the demo weights are trained and validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.measure import label

from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError
from models.common.images import to_rgb8

STYLES = (
    "phase_contrast_cells",
    "rod_bacteria",
    "bright_field_organoids",
    "fluorescent_nuclei",
)
HELD_OUT = 24  # images of dsb/train: validation
VALIDATED = 12  # of them, at intervals during training
_DRAWN = 150  # images of each style
_DRAWN_SIZE = 256
# Far from the seeds that configs/data/synthetic.yaml draws what is scored from.
_DRAWING_SEED = 715_517

# By the first twelve digits of their names. Stage 1 of the Data Science Bowl and BBBC039 share
# images, and some of its images are neighbours in depth; tests/test_demo_pictures.py looks for
# such pairs.
EXCLUDED = {
    **dict.fromkeys(
        (
            "2cfa61bef654",
            "61dc249314d7",
            "62057502c387",
            "76faaed50ed6",
            "dd54adb80393",
            "e7a3a7c99483",
        ),
        "the same image is in u20s",
    ),
    **dict.fromkeys(
        ("20b20ab04937", "538b7673d507", "a102535b0e88"),
        "the same field as one of dsb/test, at another depth",
    ),
    "4dbbb275960a": "stardist packages a crop of it: nuclei_demo",
}


class Picture(NamedTuple):
    """An image with its truth.

    Attributes:
        grey: H x W, uint8, stretched over its range as every adapter does it before SAM.
        labels: H x W, int32, ids consecutive from 1, every object one piece.
        drawn: whether it is synthetic.
    """

    grey: NDArray[np.uint8]
    labels: NDArray[np.int32]
    drawn: bool = False


@dataclass(frozen=True)
class Source:
    """A folder of images.

    Attributes:
        root: `data.root`, which has `dsb/train/images` and `dsb/train/masks`.
        names: the images to train on, without `.tif`, in order.
        held_out: those to validate on.
    """

    root: Path
    names: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def scored(self) -> tuple[str, ...]:
        """The images of `dsb/test`, which no training reads: by name, in order."""
        return tuple(sorted(path.stem for path in (self.root / "dsb/test/images").glob("*.tif")))

    def picture(self, name: str) -> Picture:
        """One image of `dsb/train`."""
        image, masks = read(self.root / "dsb" / "train", name)
        return picture(image, masks)


def find(root: Path) -> Source:
    """Which images of `dsb/train` there are, and which of them are for training.

    Their names are digests of no meaning, so the first in order are a random choice.

    Raises:
        UsageError: there are none, or too few.
    """
    names = sorted(path.stem for path in (root / "dsb" / "train" / "images").glob("*.tif"))
    names = [name for name in names if name[:12] not in EXCLUDED]
    if len(names) <= HELD_OUT:
        raise UsageError(
            f"{root / 'dsb/train/images'} holds {len(names)} images that can be used; "
            f"more than {HELD_OUT} are needed. data.root is the folder that holds `dsb`."
        )
    return Source(root, tuple(names[HELD_OUT:]), tuple(names[:HELD_OUT]))


def read(folder: Path, name: str) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """An image and its labels as they are stored, torch_em's layout of dsb."""
    paths = (folder / kind / f"{name}.tif" for kind in ("images", "masks"))
    image, masks = (tifffile.imread(path) for path in paths)
    return image, masks


def picture(
    image: NDArray[np.integer], labels: NDArray[np.integer], drawn: bool = False
) -> Picture:
    """What training needs of an image and its labels."""
    # A grey image's three channels are equal.
    return Picture(to_rgb8(image)[..., 0], pieces(labels), drawn)


def pieces(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Labels with an id for every connected piece, consecutive from 1."""
    found: NDArray[np.int32] = label(labels).astype(np.int32)
    return found


@cache
def drawn(style: str, index: int) -> Picture:
    """A synthetic image; none of those that the data set `synthetic` scores.

    Args:
        style: one of `STYLES`.
        index: 0 to 149.
    """
    return picture(*draw(style, index, _DRAWING_SEED, _DRAWN_SIZE), drawn=True)


@dataclass(frozen=True)
class Collection:
    """All that is trained on, held in memory.

    Attributes:
        real: images of `dsb/train`.
        weights: the probability of each.
        share_drawn: the probability of a synthetic one.
    """

    real: Sequence[Picture]
    weights: NDArray[np.float64]
    share_drawn: float

    def choose(self, rng: np.random.Generator) -> Picture:
        """One at random."""
        if rng.random() < self.share_drawn:
            return drawn(STYLES[rng.integers(len(STYLES))], int(rng.integers(_DRAWN)))
        return self.real[rng.choice(len(self.real), p=self.weights)]


def collect(source: Source, share_drawn: float) -> Collection:
    """Read all images for training."""
    real = [source.picture(name) for name in source.names]
    # A large image has more to show than a small one, though not in proportion.
    weights = np.sqrt([one.grey.size for one in real])
    return Collection(real, weights / weights.sum(), share_drawn)
