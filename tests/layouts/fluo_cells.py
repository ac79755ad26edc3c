"""Fixtures of fluorescent cells as torch_em's loaders find them right after a download."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from layouts.draw import cells, rgb
from layouts.fluo_cells_parts import archive, inner, png, whole
from layouts.fluo_cells_volumes import (
    write_mouse_embryo,
    write_plantseg_ovules,
    write_plantseg_root,
    write_pnas_arabidopsis,
)

TENX = "10\N{MULTIPLICATION SIGN}Genomics_DAPI"


def write_cellpose(root: Path) -> None:
    """The zips of two splits: PNGs of several sizes, with two, three and four channels."""
    sizes = [(383, 512), (512, 512), (250, 300), (520, 696)]
    for split, count, seed in (("train", 12, 0), ("test", 11, 50)):
        members = []
        for k in range(count):
            count_here = 1 if k == 5 else 6 + k
            image, labels = cells(sizes[k % 4], count_here, seed + k)
            nuclei, empty = image[::-1], np.zeros_like(image)
            channels = [empty, image, empty] if k % 3 else [nuclei, image, empty]
            if k == 3:
                channels = [image, nuclei]
            elif k == 7:
                channels = [*channels, empty + 255]
            members.append((f"{split}/{k:03}_img.png", png(np.stack(channels, -1))))
            members.append((f"{split}/{k:03}_masks.png", png(labels.astype(np.uint16))))
        archive(root / "cellpose" / f"{split}.zip", members)


def write_cellbindb(root: Path) -> None:
    """The unpacked folders of three stains; two files among the first 20 can't be read."""
    other = root / "cellbindb" / "Other"
    stains = {TENX: "G10X12", "DAPI": "X98668W", "mIF": "HH799999864GO_W"}
    for first, (stain, chip) in enumerate(stains.items()):
        for k in range(23):
            size = 512 if k % 6 == 0 else 256
            name = f"{chip}{k // 9 + 1}-x{9 * k}_y{100 - k}_w{size}_h{size}"
            if stain == "mIF" and k == 21:
                name = f"{chip}8_36_62"
            elif stain == "DAPI" and k == 2:  # a file that is damaged where it is published
                name = "X97754Z3-x17024_y19696_w512_h512"
            dtype = "uint8" if k % 3 or stain == "mIF" else "uint16"
            image, labels = cells((size, size), 5 + k % 4, 100 * first + k, dtype)
            folder = other / stain / name
            folder.mkdir(parents=True)
            pixels = rgb(image) if stain == "mIF" else image
            order = ">" if k % 2 else "<"
            tifffile.imwrite(folder / f"{name}-img.tif", pixels, byteorder=order)
            truth = folder / f"{name}-instancemask.tif"
            tifffile.imwrite(truth, labels.astype(np.uint16), compression="zlib")
            mask = ((labels > 0) * 255).astype(np.uint8)
            tifffile.imwrite(folder / f"{name}-mask.tif", mask, compression="zlib")
            if name.startswith("X97754Z3"):
                truth.write_bytes(b"no TIFF")
            elif stain == "mIF" and k == 4:
                (folder / f"{name}-img.tif").write_bytes(b"II*\0")


def write_tissuenet(root: Path) -> None:
    """The zip of npz files; 105 validation images, as the limit of 100 shows only then."""
    counts = {
        "train": {0: 12},
        "val": {0: 14, 1: 9, 2: 4, 50: 20, 99: 9, 100: 12, 101: 15, 104: 11},
        "test": {0: 16, 3: 9, 4: 12, 5: 3, 9: 13, 11: 9},
    }
    members = []
    for seed, (split, few) in enumerate(counts.items()):
        size, number = {"train": (512, 1), "val": (256, 105), "test": (256, 12)}[split]
        x = np.zeros((number, size, size, 2), np.float32)
        y = np.zeros((number, size, size, 2), np.int32)
        for k, count in few.items():
            image, labels = cells((size, size), count, 200 * seed + k, "float32")
            nuclei = np.roll(labels, 2, axis=1) * (labels > 0)
            x[k, ..., 0] = (nuclei > 0) * 700 + 5 + k  # 0: nuclei, 1: cells
            x[k, ..., 1] = image.round()
            y[k, ..., 0], y[k, ..., 1] = labels, nuclei  # the other way round
        meta = np.array([["filename", "tissue_type"], *[["a.npz", "skin"]] * number], object)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, X=x, y=y, meta=meta)
        members.append((f"tissuenet_v1.1_{split}.npz", buffer.getvalue()))
    archive(root / "tissuenet" / "tissuenet_v1.1.zip", members)


def write_covid_if(root: Path) -> None:
    """The unpacked archive: the loader takes a folder that exists for complete."""
    import h5py

    shape = (1024, 1024)
    full = whole(shape, 36, 1, "uint16")
    left, few, small = (inner(shape, count, 2 + count, "uint16") for count in (9, 3, 10))
    drawn = [full, left, few, small, full, left, full, few, small, full, left, full, few, small]
    folder = root / "covid_if"
    folder.mkdir(parents=True)
    for k, (image, labels) in enumerate(drawn):
        pixels, ids = (np.flip(a, 0) if k % 2 else a for a in (image, labels))
        nuclei = np.roll(ids, 3, axis=0) * (ids > 0)
        arrays = {
            "raw/serum_IgG/s0": pixels + np.uint16(k),
            "raw/nuclei/s0": ((nuclei > 0) * 500 + 20).astype(np.uint16),
            "raw/marker/s0": pixels // 2,
            "labels/cells/s0": ids.astype(np.uint32),
            "labels/nuclei/s0": nuclei.astype(np.uint32),
        }
        with h5py.File(folder / f"gt_image_{k:03}.h5", "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array, compression="gzip", compression_opts=1)


def write_hpa(root: Path) -> None:
    """The zip of images and outlines; as many as the loader counts, few of a real size."""
    drawn = {
        "train": {3: (1024, 9), 40: (900, 2), 41: (900, 1), 100: (1024, 0), 101: (800, 6)},
        "valid": {0: (900, 8), 1: (900, 2), 2: (900, 1), 5: (800, 0), 8: (1024, 5)},
        "test": {},
    }
    members = []
    for split, number in (("train", 257), ("test", 10), ("valid", 9)):
        for k in range(number):
            size, count = drawn[split].get(k, (24, -1))
            plate = {"train": 1239, "test": 1852, "valid": 1640}[split]
            well = f"{'ABCDEFGH'[k // 36]}{k // 3 % 12 + 1}"  # three fields of each
            folder = f"hpa_dataset_v2/{split}/{3000 + k // 3}_{plate}_{well}_{k % 3 + 1}"
            image, outlines = _outlined(size, count, k)
            for shift, channel in enumerate(("microtubules", "protein", "nuclei", "er")):
                content = png(np.roll(image, shift, axis=0))
                members.append((f"{folder}/{channel}.png", content))
            if split != "test":
                annotation = {"type": "FeatureCollection", "features": outlines}
                members.append((f"{folder}/annotation.json", json.dumps(annotation).encode()))
    archive(root / "hpa" / "data.zip", members)


def _outlined(
    size: int, count: int, seed: int
) -> tuple[NDArray[np.uint8], list[dict[str, object]]]:
    """An image and the outlines of its cells; their y axis points upwards.

    With a count of 0 a cell covers another one, whose id is then missing.
    """
    image = np.full((size, size), 20, np.uint8)
    if count < 0:
        return image, []
    rng = np.random.default_rng(seed)
    boxes = []
    for k in range(max(count, 1)):
        y, x = (k // 3 + 0.2) * size / 3, (k % 3 + 0.2) * size / 3
        boxes.append((int(y), int(x), *(int(v) for v in rng.uniform(0.12, 0.2, 2) * size)))
    if not count:
        y, x, height, width = boxes[0]
        boxes.append((y - 5, x - 5, height + 15, width + 15))
    outlines: list[dict[str, object]] = [
        {"geometry": {"type": "Point", "coordinates": [[1, 1]]}, "properties": {}}
    ]
    for y, x, height, width in boxes:
        image[y : y + height, x : x + width] = 180
        corners = [(y, x), (y, x + width), (y + height, x + width), (y + height, x + width // 3)]
        ring = [[float(column), float(size - row)] for row, column in [*corners, corners[0]]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        outlines.append({"geometry": geometry, "properties": {"label": "cell"}})
    return image, outlines


WRITERS: dict[str, Callable[[Path], None]] = {
    "cellpose": write_cellpose,
    "cellbindb": write_cellbindb,
    "tissuenet": write_tissuenet,
    "plantseg_root": write_plantseg_root,
    "covid_if": write_covid_if,
    "hpa": write_hpa,
    "mouse_embryo": write_mouse_embryo,
    "plantseg_ovules": write_plantseg_ovules,
    "pnas_arabidopsis": write_pnas_arabidopsis,
}
