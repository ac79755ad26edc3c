"""The images that the demo weights are trained and validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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
_DRAWN = 150  # images of each style
_DRAWN_SIZE = 256
# Far from the seeds that configs/data/synthetic.yaml draws what is scored from.
_DRAWING_SEED = 715_517

_IN_U20S = "the same image is in u20s"
_IN_TEST = "the same field as one of dsb/test, at another depth"
# By the first twelve digits of their names. Stage 1 of the Data Science Bowl and BBBC039 share
# images, and some images are neighbours in depth; tests/scripts/test_demo_pictures.py looks for
# such pairs.
EXCLUDED = {
    "2cfa61bef654": _IN_U20S,
    "61dc249314d7": _IN_U20S,
    "62057502c387": _IN_U20S,
    "76faaed50ed6": _IN_U20S,
    "dd54adb80393": _IN_U20S,
    "e7a3a7c99483": _IN_U20S,
    "20b20ab04937": _IN_TEST,
    "538b7673d507": _IN_TEST,
    "a102535b0e88": _IN_TEST,
    "4dbbb275960a": "stardist packages a crop of it: nuclei_demo",
}


class Picture(NamedTuple):
    """An image of H x W with its truth."""

    grey: NDArray[np.uint8]  # stretched over its range as every adapter does it before SAM
    labels: NDArray[np.int32]  # ids consecutive from 1, every object one piece
    drawn: bool = False  # synthetic


@dataclass(frozen=True)
class Source:
    """The images of `dsb` below `data.root`, by name without `.tif`, in order."""

    root: Path
    names: tuple[str, ...]  # to train on
    held_out: tuple[str, ...]  # to validate on

    def read(self, name: str) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """An image of `dsb/train` and its labels as they are stored, torch_em's layout of dsb."""
        folder = self.root / "dsb/train"
        image, labels = (tifffile.imread(folder / k / f"{name}.tif") for k in ("images", "masks"))
        return image, labels

    def lists(self) -> dict[str, list[str] | dict[str, str]]:
        """What is trained on, held out, never read (`dsb/test`), and left out with the reason."""
        return {
            "training": list(self.names),
            "validation": list(self.held_out),
            "scored": _names(self.root / "dsb/test/images"),
            "left_out": EXCLUDED,
        }


def find(root: Path) -> Source:
    """Which images of `dsb/train` there are, and which of them are for training.

    Their names are digests of no meaning, so the first in order are a random choice.

    Raises:
        UsageError: there are none, or too few.
    """
    folder = root / "dsb/train/images"
    names = tuple(name for name in _names(folder) if name[:12] not in EXCLUDED)
    if len(names) <= HELD_OUT:
        raise UsageError(
            f"{folder} holds {len(names)} images that can be used; "
            f"more than {HELD_OUT} are needed. data.root is the folder that holds `dsb`."
        )
    return Source(root, names[HELD_OUT:], names[:HELD_OUT])


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.tif"))


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
    """Synthetic image 0 to 149 of a style; none of those that the data set `synthetic` scores."""
    return picture(*draw(style, index, _DRAWING_SEED, _DRAWN_SIZE), drawn=True)


@dataclass(frozen=True)
class Collection:
    """All that is trained on, held in memory."""

    real: Sequence[Picture]
    share_drawn: float  # the probability that a synthetic image is chosen

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The probability of each real image: a larger one shows more, not in proportion."""
        roots = np.sqrt([one.grey.size for one in self.real])
        shares: NDArray[np.float64] = roots / roots.sum()
        return shares

    def choose(self, rng: np.random.Generator) -> Picture:
        """One at random."""
        if rng.random() < self.share_drawn:
            return drawn(STYLES[rng.integers(len(STYLES))], int(rng.integers(_DRAWN)))
        return self.real[rng.choice(len(self.real), p=self.weights)]


def collect(source: Source, share_drawn: float) -> Collection:
    """Read all images for training."""
    return Collection([picture(*source.read(name)) for name in source.names], share_drawn)
