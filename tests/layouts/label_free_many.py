"""Fixtures of label-free cells that need more than a hundred images: most are tiny and empty."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells, rgb
from layouts.parts import Pair, archive, field, middle, png, tiff

EMPTY: Pair = (np.full((48, 64), 30, np.uint8), np.zeros((48, 64), np.int32))


def write_vicar(root: Path) -> None:
    """A zip of five cell types; the hundred-and-first of all images is of the second one."""
    shape = (600, 600)
    drawn = {
        0: field(shape, 25, 1, "float32"),
        1: middle(shape, 4, 2, "float32"),
        2: middle(shape, 2, 3, "float32"),
        **{k: field(shape, 20, k, "float32") for k in (60, 99, 100, 101, 108)},
        104: middle(shape, 4, 4, "float32"),
        110: middle(shape, 3, 5, "float32"),
    }
    kinds = ["A2058"] * 60 + ["G361"] * 44 + ["HOB"] * 3 + ["PC3"] * 2 + ["PNT1A"] * 3
    members = []
    for k, kind in enumerate(kinds):
        image, labels = drawn.get(k, EMPTY)
        name = f"{kind}/{kind}_{k}"
        members.append((f"{name}_img.tif", tiff(image.astype(np.float32))))
        members.append((f"{name}_mask.png", png(labels.astype(np.uint8))))
    archive(root / "vicar" / "labelled.zip", members)


def write_toiam(root: Path) -> None:
    """A zip of five movies in the form of the Cell Tracking Challenge."""
    shape = (540, 600)
    drawn = {
        ("00", 0): cells(shape, 2, 1, "uint16"),
        ("00", 1): cells(shape, 4, 2, "uint16"),
        **{("00", k): cells(shape, 30, k, "uint16") for k in (2, 98, 99, 100)},
        **{("04", k): cells(shape, 40, k, "uint16") for k in (3, 4, 5, 203)},
        ("04", 6): cells(shape, 4, 3, "uint16"),
        ("04", 7): cells(shape, 3, 4, "uint16"),
    }
    members = []
    for movie, frames in (("00", 104), ("01", 2), ("02", 2), ("03", 2), ("04", 204)):
        for k in range(frames):
            image, labels = drawn.get((movie, k), EMPTY)
            members.append((f"{movie}/t{k:04}.tif", tiff(image.astype(np.uint16))))
            mask = f"{movie}_GT/SEG/man_seg{k:04}.tif"
            members.append((mask, tiff(labels.astype(np.uint16))))
    archive(root / "toiam" / "ctc_format.zip", members)


def write_deepseas(root: Path) -> None:
    """A zip; its masks are black and white, and ten label values are asked for."""
    shape = (1040, 1388)
    train = {
        0: cells(shape, 9, 1),
        1: cells(shape, 4, 2),
        **{k: cells(shape, 20, k) for k in (2, 99, 100, 102)},
    }
    test = {0: cells(shape, 25, 5), 1: cells(shape, 9, 6), 2: cells(shape, 8, 7)}
    members = []
    for split, drawn, count in (("train", train, 104), ("test", test, 5)):
        for k in range(count):
            image, labels = drawn.get(k, EMPTY)
            folder, mask = f"segmentation_dataset/{split}", (labels > 0) * np.uint8(255)
            members.append((f"{folder}/images/A11_z{k + 6}_c1.png", png(image)))
            members.append((f"{folder}/masks/A11_z{k + 6}_c1.png", png(mask)))
    archive(root / "deepseas" / "segmentation_dataset.zip", members)


def write_segpc(root: Path) -> None:
    """A zip of a zip for each split; a file for each cell: 20 is its cytoplasm, 40 its nucleus."""
    shape = (560, 640)
    train = {
        0: middle(shape, 4, 1),
        1: middle(shape, 2, 2),
        **{k: field(shape, 9, k) for k in (2, 99, 100, 102)},
    }
    validation = {0: field(shape, 12, 5), 1: middle(shape, 4, 6), 2: middle(shape, 3, 7)}
    inner = []
    for split, drawn, count in (("train", train, 104), ("validation", validation, 4)):
        packed = BytesIO()
        with ZipFile(packed, "w", ZIP_DEFLATED, compresslevel=1) as file:
            for name, content in _slides(split, drawn, count).items():
                file.writestr(name, content)
        inner.append((f"TCIA_SegPC_dataset/{split}.zip", packed.getvalue()))
    archive(root / "segpc" / "TCIA_SegPC_dataset.zip", inner)


def _slides(split: str, drawn: Mapping[int, Pair], count: int) -> dict[str, bytes]:
    files = {}
    for k in range(count):
        image, labels = drawn.get(k, EMPTY)
        files[f"{split}/x/{k + 5}.bmp"] = _bitmap(rgb(image))
        for number, value in enumerate(np.unique(labels[labels > 0]), start=1):
            cell = np.where(labels == value, 20, 0).astype(np.uint8)
            row, column = np.argwhere(cell).mean(axis=0).astype(int)
            nucleus = cell[row - 4 : row + 4, column - 4 : column + 4]
            nucleus[nucleus > 0] = 40
            files[f"{split}/y/{k + 5}_{number}.bmp"] = _bitmap(cell)
    return files


def _bitmap(array: NDArray[np.generic]) -> bytes:
    return bytes(iio.imwrite("<bytes>", array, extension=".bmp"))
