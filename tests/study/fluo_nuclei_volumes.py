"""Fluorescent nuclei in volumes as the study stored their slices, written down a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np
from natsort import natsorted

Array = np.ndarray[Any, Any]
Pairs = list[tuple[Array, Array]]


def _slices(files: list[Path], key: str) -> list[Array]:
    """The slices of all volumes, one after the other."""
    slices: list[Array] = []
    for path in files:
        with h5py.File(path) as file:
            slices += list(file[key][:])
    return slices


def _window(array: Array, top: int, left: int) -> Array:
    """Cut 512 x 512 pixels out, or as many as there are; the window is moved inside first."""
    height, width = min(512, array.shape[0]), min(512, array.shape[1])
    top = max(0, min(top, array.shape[0] - height))
    left = max(0, min(left, array.shape[1] - width))
    return array[top : top + height, left : left + width]


def _middle(array: Array) -> Array:
    height, width = min(512, array.shape[0]), min(512, array.shape[1])
    return _window(array, (array.shape[0] - height) // 2, (array.shape[1] - width) // 2)


def _stored(pairs: Pairs, minimum: int, split: str) -> Pairs:
    """Few values leave an image out; the limit acts only where an image was stored."""
    stored = []
    for i, (image, label) in enumerate(pairs):
        values = len(np.unique(label))
        if values == 1 or values < minimum:
            continue
        stored.append((image, label))
        if split == "val" and i == 100:
            break
    return stored


def gonuclear(root: Path, split: str) -> Pairs:
    files = sorted((root / "gonuclear" / "gonuclear_datasets").glob("*.h5"))
    images, labels = _slices(files, "raw/nuclei"), _slices(files, "labels/nuclei")
    part = slice(None, 250) if split == "val" else slice(250, None)
    cropped = [(_middle(i), _middle(m)) for i, m in zip(images[part], labels[part], strict=True)]
    return _stored(cropped, 20, split)


def nis3d(root: Path, split: str) -> Pairs:
    """The crop lies around the middle of the box that holds all labels."""
    folder = root / "nis3d" / "NIS3D" / "suggestive splitting" / "cross-image"
    folder /= {"val": "train", "test": "test"}[split]
    images = [z for p in natsorted(folder.glob("*/data.tif")) for z in iio.imread(p)]
    labels = [z for p in natsorted(folder.glob("*/GroundTruth.tif")) for z in iio.imread(p)]
    cropped = []
    for image, label in zip(images, labels, strict=True):
        if not (label != 0).any():
            cropped.append((_middle(image), _middle(label)))
            continue
        rows, columns = np.where(label != 0)
        height, width = min(512, label.shape[0]), min(512, label.shape[1])
        top = (rows.min() + rows.max()) // 2 - height // 2
        left = (columns.min() + columns.max()) // 2 - width // 2
        cropped.append((_window(image, top, left), _window(label, top, left)))
    return _stored(cropped, 20, split)


def parhyale_regen(root: Path, split: str) -> Pairs:
    files = natsorted((root / "parhyale_regen" / "preprocessed").glob("*.h5"))
    images, labels = _slices(files, "raw"), _slices(files, "labels")
    part = slice(None, 40) if split == "val" else slice(40, None)
    return _stored(list(zip(images[part], labels[part], strict=True)), 10, split)
