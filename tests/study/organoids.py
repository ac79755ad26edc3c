"""Organoids, read as their files are: the study's tables lack them, so it has no protocol.

The order is that of torch_em's loaders: some sort by name, some naturally.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from natsort import natsorted

from study.steps import Pairs


def _read(images: Sequence[Path], labels: Sequence[Path]) -> Pairs:
    return [(iio.imread(i), iio.imread(truth)) for i, truth in zip(images, labels, strict=True)]


def _stored(files: Sequence[Path], image_key: str, labels_key: str) -> Pairs:
    """Images and labels in HDF5 files, colours last."""
    import h5py

    pairs = []
    for path in files:
        with h5py.File(path) as file:
            image, labels = file[image_key][:], file[labels_key][:]
        pairs.append((np.moveaxis(image, 0, -1) if image.ndim == 3 else image, labels))
    return pairs


def orgasegment(root: Path, split: str) -> Pairs:
    folder = root / "orgasegment" / {"test": "eval", "val": "val"}[split]
    return _read(sorted(folder.glob("*_img.jpg")), sorted(folder.glob("*_masks_organoid.png")))


def organoidnet(root: Path, split: str) -> Pairs:
    folder = root / "organoidnet" / {"test": "Test", "val": "Validation"}[split]
    return _read(sorted(folder.glob("Images/*.tif")), sorted(folder.glob("Masks/*.tif")))


def orgaextractor(root: Path, split: str) -> Pairs:
    """Its validation images have no labels: the training images are in their place."""
    folder = root / "orgaextractor" / {"test": "test", "val": "train"}[split]
    return _read(natsorted(folder.glob("*.jpg")), natsorted(folder.glob("*.tif")))


def organoid(root: Path, split: str) -> Pairs:
    folder = root / "organoid" / "data" / "original" / split
    return _stored(natsorted(folder.glob("*.h5")), "raw", "labels")


def orgline(root: Path, split: str) -> Pairs:
    folders = [root / "orgline" / "data2" / organ / split for organ in ("stomach", "breast")]
    files = [file for folder in folders for file in sorted(folder.glob("*.h5"))]
    return _stored(files, "image", "masks")


EXPECTED: dict[str, Callable[[Path, str], Pairs]] = {
    "orgasegment": orgasegment,
    "organoidnet": organoidnet,
    "orgaextractor": orgaextractor,
    "organoid": organoid,
    "orgline": orgline,
}
