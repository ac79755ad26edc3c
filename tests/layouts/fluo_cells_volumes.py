"""Fixtures of fluorescent cells in volumes; most of their slices are empty, for speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells
from layouts.fluo_cells_parts import DARK, Pair, archive, h5, inner, tiff, whole

Depths = Mapping[str, tuple[int, Mapping[int, str]]]
"""File name -> its number of slices, and which drawing a slice shows."""


def write_plantseg_root(root: Path) -> None:
    """The zips of two splits; 1 is the background, and one file needs the loader's repairs.

    Slice 400 of all lies inside the last volume of a split; slice 100 of val is left out.
    """
    shape = (530, 600)
    drawn = {
        "full": whole(shape, 16, 1),
        "other": _divided(whole(shape, 12, 2)),
        "4 cells": inner(shape, 4, 3),
        "few": inner(shape, 2, 4),
    }
    splits: dict[str, Depths] = {
        "val": {
            "Movie1_t00000_crop_gt": (
                230,
                {3: "full", 50: "4 cells", 60: "few", 99: "other", 150: "full", 229: "4 cells"},
            ),
            "Movie2_T00004_crop_gt": (190, {0: "other", 169: "full", 170: "other", 180: "4 cells"}),
        },
        "test": {
            "Movie1_t00006_crop_gt": (180, {5: "full", 100: "other"}),
            # The loader removes the last 32 and 50 slices, and makes the id 411 background.
            "Movie2_T00010_crop_gt": (232, {0: "4 cells", 199: "full", 200: "other"}),
            "Movie2_T00020_crop_gt": (
                80,
                {19: "other", 20: "full", 22: "4 cells", 24: "few", 28: "other", 45: "full"},
            ),
        },
    }
    for split, volumes in splits.items():
        members = []
        for name, (depth, slices) in volumes.items():
            outside = 411 if name == "Movie2_T00020_crop_gt" else 1
            arrays = {}
            for z, drawing in slices.items():
                image, labels = drawn[drawing]
                labels = np.where(labels == 0, outside, labels)
                if outside == 411:
                    labels[:40] = 1
                arrays[z] = {"raw": image, "label": labels}
            keys = {"raw": "uint8", "label": "uint16"}
            members.append((f"{name}.h5", h5((depth, *shape), keys, arrays)))
        archive(root / "plantseg" / f"root_{split}.zip", members)


def _divided(pair: Pair) -> Pair:
    """With a cell so long that the crop leaves the background in two pieces."""
    image, labels = pair
    middle = labels.shape[0] // 2
    around = labels[middle - 5 : middle + 15, 30:-30]
    removed = np.isin(labels, around[around > 0])
    labels[removed], image[removed] = 0, DARK
    labels[middle : middle + 10, 34:-34], image[middle : middle + 10, 34:-34] = 900, image.max()
    return image, labels


def write_plantseg_ovules(root: Path) -> None:
    """The zips of two splits; a region without annotation is -1 in one of the two label arrays.

    Slice 600 of all lies inside the last volume of a split; slice 100 of val is kept.
    """
    shape = (520, 580)
    drawn = {
        "full": _ovule(whole(shape, 45, 1, "uint16")),
        "other": _ovule(whole(shape, 40, 2, "uint16")),
        "24 cells": _ovule(inner(shape, 24, 3, "uint16"), ignore=False),
        "23 cells": _ovule(inner(shape, 23, 4, "uint16"), corner=True),
        "few": _ovule(inner(shape, 8, 5, "uint16")),
    }
    splits: dict[str, Depths] = {
        "val": {
            # The loader removes its last slice.
            "N_420_ds2x": (
                311,
                {0: "full", 40: "23 cells", 41: "24 cells", 99: "few", 100: "other", 310: "full"},
            ),
            "N_464_ds2x": (305, {0: "24 cells", 289: "other", 290: "full"}),
        },
        "test": {
            "N_294_final_crop_ds2": (320, {7: "full", 319: "other"}),
            "N_435_final_crop_ds2": (
                300,
                {279: "other", 280: "full", 285: "23 cells", 290: "24 cells", 291: "few"},
            ),
        },
    }
    keys = {"raw": "uint16", "label": "uint16", "label_with_ignore": "int32"}
    for split, volumes in splits.items():
        members = [
            (f"{name}.h5", h5((depth, *shape), keys, {z: drawn[d] for z, d in slices.items()}))
            for name, (depth, slices) in volumes.items()
        ]
        archive(root / "plantseg" / f"ovules_{split}.zip", members)


def _ovule(pair: Pair, ignore: bool = True, corner: bool = False) -> dict[str, NDArray[Any]]:
    """Its cells in the lower right are not annotated, or (`corner`) none of them is there."""
    image, labels = pair
    region = np.zeros(labels.shape, bool)
    region[-16 if corner else -120 :, -46 if corner else -160 :] = ignore
    found = np.unique(labels[region])
    region |= np.isin(labels, found[found > 0])
    annotated = np.where(region, 0, labels)
    return {
        "raw": image,
        "label": annotated,
        "label_with_ignore": np.where(region, -1, annotated),
    }


def write_mouse_embryo(root: Path) -> None:
    """The unpacked archive: the loader takes a folder that exists for complete.

    Slice 100 of the validation volumes lies inside the second one.
    """
    shape = (540, 570)
    drawn = {
        "full": whole(shape, 20, 1, "uint16"),
        "other": whole(shape, 15, 2, "uint16"),
        "9 cells": inner(shape, 9, 3, "uint16"),
        "few": inner(shape, 4, 4, "uint16"),
    }
    volumes: dict[str, Depths] = {
        "Membrane/val": {
            "tp00050": (70, {10: "full", 11: "9 cells", 12: "few", 69: "other"}),
            "tp00060": (60, {29: "full", 30: "other", 31: "9 cells", 45: "full", 50: "few"}),
        },
        "Membrane/train": {
            "tp00020": (60, {0: "full", 20: "9 cells", 59: "other"}),
            "tp00040": (65, {39: "full", 40: "other", 41: "full"}),
        },
        "Nuclei/train": {"tp00020": (2, {0: "full"})},
        "Nuclei/test": {"tp00060": (2, {1: "full"})},
    }
    for split, files in volumes.items():
        folder = root / "mouse_embryo" / split
        folder.mkdir(parents=True)
        for time, (depth, slices) in files.items():
            arrays = {
                z: dict(zip(("raw", "label"), drawn[name], strict=True))
                for z, name in slices.items()
            }
            content = h5((depth, *shape), {"raw": "uint16", "label": "uint16"}, arrays)
            (folder / f"fused_paral_stack0_chan2_{time}_raw_crop_bg_noise.h5").write_bytes(content)


def write_pnas_arabidopsis(root: Path) -> None:
    """The zip of TIFF volumes of six plants; 1 is the background, and one has no labels.

    In the order of names as text the volumes at 8 hours are the last ones, those of the
    plants 13, 15 and 18 come before plant 1's, and slice 100 lies in the fifth volume.
    """
    shape = (480, 512)
    full, other = cells(shape, 60, 1), cells(shape, 54, 2)
    drawn = {
        "full": full,
        "other": other,
        "49 cells": cells(shape, 49, 3),
        "few": cells(shape, 12, 4),
    }
    first: Mapping[int, str] = {0: "full", 9: "49 cells", 12: "other", 13: "full", 20: "few"}
    later: Mapping[int, str] = {0: "other", 1: "few", 2: "49 cells"}
    plants = (1, 2, 4, 13, 15, 18)
    volumes: dict[tuple[int, int], tuple[int, Mapping[int, str]]] = {
        **{(0, plant): (22, first) for plant in plants},
        **{(8, plant): (4, later) for plant in plants},
        **{(84, plant): (3, later) for plant in plants[:4]},
    }
    members = []
    for number, ((hours, plant), (depth, slices)) in enumerate(volumes.items()):
        raw = np.zeros((depth, *shape), np.uint8)
        labels = np.ones((depth, *shape), np.uint16)
        for z, name in slices.items():
            image, ids = drawn[name]
            raw[z] = np.roll(image, 7 * number, axis=1)  # no two volumes are alike
            labels[z] = np.roll(np.where(ids == 0, 1, ids), 7 * number, axis=1)
        stem = f"{hours}hrs_plant{plant}_trim-acylYFP"
        folder = f"PNAS/plant{plant}"
        members += [
            (f"{folder}/processed_tiffs/{stem}.tif", tiff(raw)),
            (
                f"{folder}/segmentation_tiffs/{stem}_hmin_2_asf_1_s_2.00_clean_3.tif",
                tiff(labels),
            ),
        ]
    unlabelled = np.zeros((2, *shape), np.uint8)
    members.append(("PNAS/plant4/processed_tiffs/4hrs_plant4_trim-acylYFP.tif", tiff(unlabelled)))
    archive(root / "pnas_arabidopsis" / "PNAS.zip", members)
