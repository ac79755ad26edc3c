"""Fluorescent nuclei in volumes as the study stored their slices, written down a second time."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
from natsort import natsorted

from study.steps import Array, Pairs, limit, middle, stored, window


def _slices(files: list[Path], key: str) -> list[Array]:
    """The slices of all volumes, one after the other."""
    import h5py

    slices: list[Array] = []
    for path in files:
        with h5py.File(path) as file:
            slices += list(file[key][:])
    return slices


def gonuclear(root: Path, split: str) -> Pairs:
    files = sorted((root / "gonuclear" / "gonuclear_datasets").glob("*.h5"))
    images, labels = _slices(files, "raw/nuclei"), _slices(files, "labels/nuclei")
    part = slice(None, 250) if split == "val" else slice(250, None)
    cropped = [(middle(i), middle(m)) for i, m in zip(images[part], labels[part], strict=True)]
    return stored(cropped, 20, limit(split))


def nis3d(root: Path, split: str) -> Pairs:
    """The crop lies around the middle of the box that holds all labels."""
    folder = root / "nis3d" / "NIS3D" / "suggestive splitting" / "cross-image"
    folder /= {"val": "train", "test": "test"}[split]
    images = [z for p in natsorted(folder.glob("*/data.tif")) for z in iio.imread(p)]
    labels = [z for p in natsorted(folder.glob("*/GroundTruth.tif")) for z in iio.imread(p)]
    cropped = []
    for image, label in zip(images, labels, strict=True):
        if not (label != 0).any():
            cropped.append((middle(image), middle(label)))
            continue
        rows, columns = np.where(label != 0)
        height, width = min(512, label.shape[0]), min(512, label.shape[1])
        top = (rows.min() + rows.max()) // 2 - height // 2
        left = (columns.min() + columns.max()) // 2 - width // 2
        cropped.append((window(image, top, left), window(label, top, left)))
    return stored(cropped, 20, limit(split))


def parhyale_regen(root: Path, split: str) -> Pairs:
    files = natsorted((root / "parhyale_regen" / "preprocessed").glob("*.h5"))
    images, labels = _slices(files, "raw"), _slices(files, "labels")
    part = slice(None, 40) if split == "val" else slice(40, None)
    return stored(list(zip(images[part], labels[part], strict=True)), 10, limit(split))
