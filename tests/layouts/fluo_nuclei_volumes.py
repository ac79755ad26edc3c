"""Fixtures of fluorescent nuclei in volumes; most of their slices are empty, for speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells
from layouts.parts import Pair, archive, field, middle, tiff

Volume = tuple[NDArray[np.uint8], NDArray[np.uint16]]


def write_gonuclear(root: Path) -> None:
    """The zip of TIFF volumes; labels upside down, and with a slice too many in one of them.

    Slice 250 of all lies in the third volume, slice 100 is empty.
    """
    shape = (530, 600)
    drawn = {
        "full": field(shape, 30, 1),
        "19 left": middle(shape, 19, 2),
        "few": middle(shape, 5, 3),
        "other": field(shape, 25, 4),
    }
    volumes: dict[str, tuple[int, dict[int, str]]] = {
        "1135": (100, {40: "full", 41: "19 left", 60: "few", 99: "other"}),
        "1136": (90, {1: "other", 50: "full"}),
        "1137": (80, {10: "full", 58: "19 left", 59: "other", 60: "full", 61: "19 left"}),
        "1139": (60, {20: "other", 30: "few"}),
        "1170": (20, {5: "full", 18: "19 left", 19: "full"}),  # the loader drops the last one
    }
    folder = "Training image dataset_Tiff Files"
    members = []
    for sample, (depth, slices) in volumes.items():
        raw, labels = _volume(shape, depth, {z: drawn[name] for z, name in slices.items()})
        if sample == "1136":
            labels = np.concatenate([labels, labels[:1]])
        tiny = np.ones((depth, 8, 8), np.uint8)  # cells are in no data set of the study
        for name, array in (
            ("n_H2BtdTomato", raw),
            ("n_stain_StarDist_goldGT", labels[:, ::-1]),
            ("cellwall", tiny),
            ("cellseg", tiny),
        ):
            suffix = "tiff" if sample == "1139" else "tif"
            members.append((f"{folder}/{sample}/{sample}_{name}.{suffix}", tiff(array)))
    archive(root / "gonuclear" / "gonuclear.zip", members)


def write_nis3d(root: Path) -> None:
    """The zip of TIFF volumes; one label file of the real ones has another name.

    Slice 100 of the training volumes, where the study stopped, is kept.
    """
    shape = (560, 620)
    drawn = {
        "full": field(shape, 30, 1),
        "corner": _corner(shape, 24, 2),
        "19 left": _corner(shape, 19, 3),
        "few": _corner(shape, 6, 4),
    }
    volumes: dict[str, tuple[int, dict[int, str]]] = {
        "train/Drosophila_2": (60, {5: "full", 6: "corner", 7: "19 left", 8: "few"}),
        "train/MusMusculus_2": (40, {0: "corner", 39: "full"}),
        "train/Zebrafish_2": (6, {0: "corner", 1: "full", 2: "19 left"}),
        "test/Drosophila_1": (6, {1: "full", 2: "19 left", 3: "corner"}),
        "test/MusMusculus_1": (5, {0: "few", 2: "corner"}),
        "test/Zebrafish_1": (5, {1: "full"}),
    }
    members = []
    for place, (depth, slices) in volumes.items():
        raw, labels = _volume(shape, depth, {z: drawn[name] for z, name in slices.items()})
        folder = f"NIS3D/suggestive splitting/cross-image/{place}"
        truth = "gt" if place.endswith("MusMusculus_2") else "GroundTruth"
        members += [
            (f"{folder}/data.tif", tiff(raw)),
            (f"{folder}/{truth}.tif", tiff(labels)),
            (f"{folder}/Info.txt", b"Resolution: 1 x 1 x 1"),
        ]
    archive(root / "nis3d" / "NIS3D.zip", members)


def write_parhyale_regen(root: Path) -> None:
    """The converted volumes: the loader converts only what it has downloaded itself.

    Slice 40 of all lies in the third time point.
    """
    import h5py

    folder = root / "parhyale_regen"
    (folder / "data").mkdir(parents=True)
    (folder / "preprocessed").mkdir()
    for seed, time in enumerate((1, 11, 21, 31, 41, 50)):
        slices = {
            2: cells((512, 512), 20, seed),
            5: cells((512, 512), 9, 10 + seed),
            6: cells((512, 512), 4, 20 + seed),
            11: cells((512, 512), 14, 30 + seed),
            12: cells((512, 512), 12, 40 + seed),
        }
        raw, labels = _volume((512, 512), 14, slices)
        with h5py.File(folder / "preprocessed" / f"Parhyale_H2B-EGFP_{time}.h5", "w") as file:
            for key, array in (("raw", raw), ("labels", labels)):
                file.create_dataset(key, data=array, compression="gzip", compression_opts=1)


def _volume(shape: tuple[int, int], depth: int, slices: Mapping[int, Pair]) -> Volume:
    raw, labels = np.zeros((depth, *shape), np.uint8), np.zeros((depth, *shape), np.uint16)
    for z, (image, ids) in slices.items():
        raw[z], labels[z] = image, ids
    return raw, labels


def _corner(shape: tuple[int, int], count: int, seed: int) -> Pair:
    """All nuclei in the upper left: the middle of the image is not the middle of them."""
    image, labels = cells((440, 480), count, seed)
    rest = [(0, whole - part) for whole, part in zip(shape, labels.shape, strict=True)]
    return np.pad(image, rest, constant_values=30), np.pad(labels, rest)
