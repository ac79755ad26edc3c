"""Fluorescent cells as the study stored them, written down a second time.

Source: `prepare_data_paths` and `get_image_label_paths` in micro-sam's
scripts/apg_experiments/util.py. What it read in the order of a folder is read in natural order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
from natsort import natsorted
from skimage.transform import resize

from study.fluo_cells_volumes import (
    mouse_embryo,
    plantseg_ovules,
    plantseg_root,
    pnas_arabidopsis,
)
from study.steps import Pairs, limit, middle, stored

DAMAGED = {
    "HH799999864GO_W8_36_62-img.tif",
    "X98668W8-x10151_y9176_w256_h256-instancemask.tif",
    "Z98801V5-x15153_y13890_w256_h256-instancemask.tif",
    "HH799999356_M1-x1536_y9216_w512_h512-instancemask.tif",
    "X97754Z3-x17024_y19696_w512_h512-instancemask.tif",
}
"""Files of CellBinDB that torch_em leaves out with their partners."""


def cellpose(root: Path, split: str) -> Pairs:
    """The training images are val; all are used as they are."""
    folder = root / "cellpose" / "cyto" / {"val": "train", "test": "test"}[split]
    images, labels = natsorted(folder.glob("*_img.png")), natsorted(folder.glob("*_masks.png"))
    return [(iio.imread(i), iio.imread(m)) for i, m in zip(images, labels, strict=True)]


def cellbindb(root: Path, split: str) -> Pairs:
    """The first 20 readable pairs of each stain are val."""
    pairs: Pairs = []
    for stain in ("10\N{MULTIPLICATION SIGN}Genomics_DAPI", "DAPI", "mIF"):
        folder = root / "cellbindb" / "Other" / stain
        images = natsorted(folder.glob("*/*-img.tif"))
        labels = natsorted(folder.glob("*/*-instancemask.tif"))
        readable = [
            (iio.imread(i), iio.imread(m))
            for i, m in zip(images, labels, strict=True)
            if not {i.name, m.name} & DAMAGED and _is_tiff(i) and _is_tiff(m)
        ]
        pairs += readable[:20] if split == "val" else readable[20:]
    return pairs


def _is_tiff(path: Path) -> bool:
    try:
        tifffile.imread(path)
    except Exception:  # whatever is raised, the loader leaves the pair out
        return False
    return True


def tissuenet(root: Path, split: str) -> Pairs:
    import zarr

    pairs = []
    for path in natsorted((root / "tissuenet" / split).glob("*.zarr")):
        file = zarr.open(str(path), mode="r")
        image = file["raw/rgb"][:].transpose(1, 2, 0).astype("float32")
        image -= image.min(axis=(0, 1))
        image /= image.max(axis=(0, 1)) + 1e-7
        image *= 255
        pairs.append((image.astype("uint8"), file["labels/cell"][:]))
    return stored(pairs, 10, limit(split))


def covid_if(root: Path, split: str) -> Pairs:
    import h5py

    files = sorted((root / "covid_if").glob("*.h5"))
    pairs = []
    for path in files[:10] if split == "val" else files[10:]:
        with h5py.File(path) as file:
            cell, nuclei = file["raw/serum_IgG/s0"][:], file["raw/nuclei/s0"][:]
            label = file["labels/cells/s0"][:]
        image = np.stack([cell, nuclei, np.zeros_like(cell)], axis=-1)
        pairs.append((middle(image), middle(label)))
    return stored(pairs, 10, limit(split))


def hpa(root: Path, split: str) -> Pairs:
    """The training images are test; ids are interpolated as if they were intensities."""
    import h5py

    pairs = []
    shape = (512, 512)
    for path in natsorted((root / "hpa" / {"val": "val", "test": "train"}[split]).glob("*.h5")):
        with h5py.File(path) as file:
            image, label = file["raw/protein"][:], file["labels"][:]
        assert image.ndim == 2 and image.shape[0] == image.shape[1]
        resized = resize(image, shape, anti_aliasing=True, preserve_range=True)
        ids = resize(label, shape, anti_aliasing=False, preserve_range=True)
        pairs.append((resized.astype(image.dtype), ids.astype(label.dtype)))
    return stored(pairs, 3, limit(split))


EXPECTED: dict[str, Callable[[Path, str], Pairs]] = {
    "cellpose": cellpose,
    "cellbindb": cellbindb,
    "tissuenet": tissuenet,
    "plantseg_root": plantseg_root,
    "covid_if": covid_if,
    "hpa": hpa,
    "mouse_embryo": mouse_embryo,
    "plantseg_ovules": plantseg_ovules,
    "pnas_arabidopsis": pnas_arabidopsis,
}
