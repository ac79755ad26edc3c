"""Fluorescent nuclei as the study stored them, written down a second time.

Source: `prepare_data_paths` and `get_image_label_paths` in micro-sam's
scripts/apg_experiments/util.py. What it read in the order of a folder is read in natural order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
from natsort import natsorted

from study.fluo_nuclei_volumes import gonuclear, nis3d, parhyale_regen
from study.steps import Pairs, limit, middle, stored


def _files(folder: Path, pattern: str) -> list[Path]:
    return natsorted(folder.glob(pattern))


def dynamicnuclearnet(root: Path, split: str) -> Pairs:
    import zarr

    files = [zarr.open(str(p), mode="r") for p in _files(root / "dynamicnuclearnet" / split, "*")]
    return stored(((f["raw"][:], f["labels"][:]) for f in files), 5, limit(split))


def u20s(root: Path, split: str) -> Pairs:
    images, labels = (_files(root / "u20s" / part, "*.tif") for part in ("images", "labels"))
    part = slice(None, 25) if split == "val" else slice(25, None)
    return _cropped(images[part], labels[part], split)


def arvidsson(root: Path, split: str) -> Pairs:
    name = {"val": "development_nuclei", "test": "test_nuclei"}[split]
    images = _files(root / "arvidsson" / name / "images", "*.png")
    labels = _files(root / "arvidsson" / name / "annotations", "*_preprocessed.tif")
    return _cropped(images, labels, split)


def ifnuclei(root: Path, split: str) -> Pairs:
    images = _files(root / "ifnuclei" / "rawimages", "*.tif")
    labels = _files(root / "ifnuclei" / "groundtruth", "*")
    part = slice(None, 10) if split == "val" else slice(10, None)
    return _cropped(images[part], labels[part], split)


def _cropped(images: list[Path], labels: list[Path], split: str) -> Pairs:
    """Every image is cropped, then asked for five values."""
    pairs = zip(images, labels, strict=True)
    return stored(
        ((middle(iio.imread(i)), middle(iio.imread(m))) for i, m in pairs), 5, limit(split)
    )


def dsb(root: Path, split: str) -> Pairs:
    """As they are, all of them; the split called `val` is the training split."""
    folder = root / "dsb" / {"val": "train", "test": "test"}[split]
    return _as_they_are(_files(folder / "images", "*.tif"), _files(folder / "masks", "*.tif"))


def bitdepth_nucseg(root: Path, split: str) -> Pairs:
    """As they are: the first four of each magnification, or the rest."""
    pairs = []
    for power in ("20x", "40x air", "40x oil", "63x oil"):
        folder = root / "bitdepth_nucseg" / "data" / power
        images = _files(folder / "images_16bit", "*.tif")
        labels = _files(folder / "label masks", "*.tif")
        part = slice(None, 4) if split == "val" else slice(4, None)
        pairs += _as_they_are(images[part], labels[part])
    return pairs


def _as_they_are(images: list[Path], labels: list[Path]) -> Pairs:
    return [(iio.imread(i), iio.imread(m)) for i, m in zip(images, labels, strict=True)]


EXPECTED: dict[str, Callable[[Path, str], Pairs]] = {
    "dynamicnuclearnet": dynamicnuclearnet,
    "u20s": u20s,
    "arvidsson": arvidsson,
    "ifnuclei": ifnuclei,
    "gonuclear": gonuclear,
    "nis3d": nis3d,
    "parhyale_regen": parhyale_regen,
    "dsb": dsb,
    "bitdepth_nucseg": bitdepth_nucseg,
}
