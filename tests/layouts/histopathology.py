"""Fixtures of histopathology as torch_em's loaders find them right after a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from layouts.histopathology_outlined import write_monuseg, write_puma
from layouts.histopathology_parts import (
    archive,
    clear,
    field,
    files,
    middle,
    npy,
    png,
    stained,
    tiff,
    turned,
)

PATCH = (512, 512)


def write_ihc_tma(root: Path) -> None:
    """The zip; positive and negative nuclei are numbered apart, in a channel each."""
    members = []
    for fold, count in (("fold1", 1), ("fold2", 4), ("fold3", 11)):
        for k in range(count):
            image, labels = stained((256, 256), 1 if k == 2 else 10 + k, 20 * count + k)
            labels[:] = 0 if k == 3 else labels  # images without nuclei are used too
            sides = [np.where((labels > 0) & (labels % 2 == side), labels, 0) for side in (0, 1)]
            masks = np.stack([*sides, labels == 0]).astype(np.int64)
            members.append((f"IHC_TMA_dataset/images/{fold}_{k + 1}.png", png(image)))
            members.append((f"IHC_TMA_dataset/masks/{fold}_{k + 1}.npy", npy(masks)))
    archive(root / "ihc_tma" / "IHC_TMA_dataset.zip", members)


def write_lynsec(root: Path) -> None:
    """The zip: image, nuclei and their classes (none in part 2) are channels of one array."""
    drawn = stained(PATCH, 30, 1)
    members = []
    for part, count in (("1", 12), ("2", 1), ("3", 1)):
        for k in range(count):
            image, labels = turned(drawn, k) if k % 4 == 0 else middle(PATCH, 3 + k, k)
            array = np.dstack([image, labels, 1 + labels % 2 * (labels > 0)]).astype(np.int32)
            array = array[..., :4] if part == "2" else array
            members.append((f"lynsec {part}/{k}_l{part}.npy", npy(array)))
    archive(root / "lynsec" / "lynsec.zip", members)


def write_pannuke(root: Path) -> None:
    """Fold 2 as converted before, fold 3 as its zip: with both as zips the loader fails."""
    import h5py

    folder = root / "pannuke"
    drawn = [stained((256, 256), count, count) for count in (12, 4, 2, 9, 5, 20)]
    pairs = [*drawn, middle((256, 256), 0, 1), *(turned(drawn[k % 4], k) for k in range(4, 8))]
    images = np.stack([image for image, _ in pairs]).astype(np.float64)
    labels = np.stack([labels for _, labels in pairs])
    masks = [np.where(labels % 4 == kind, labels, 0) for kind in range(4)]  # none of the fifth
    stack = np.stack([*masks, labels * 0, labels == 0], -1).astype(np.float64)
    members = [
        ("Fold 3/images/fold3/images.npy", npy(images)),
        ("Fold 3/images/fold3/types.npy", npy(np.array(["Breast"] * len(pairs)))),
        ("Fold 3/masks/fold3/masks.npy", npy(stack)),
        ("Fold 3/masks/by-nc-sa.md", b"CC BY-NC-SA 4.0\n"),
    ]
    archive(folder / "fold_3.zip", members)
    # Most images are empty. The 101st has too few nuclei, so that the limit of 100 never holds;
    # the first 200 were chosen before it.
    nuclei = {0: 12, 1: 4, 2: 2, 57: 6, 99: 7, 100: 3, 101: 8, 150: 4, 199: 9, 200: 10, 202: 11}
    count, size = 203, (256, 256)
    with h5py.File(folder / "pannuke_fold_2.h5", "w") as f:
        packed = {"compression": "gzip", "compression_opts": 1}
        for key, channels in (("images", 3), ("labels/masks", 6)):
            chunks = (channels, 1, *size)
            f.create_dataset(key, (channels, count, *size), "f8", chunks=chunks, **packed)
        for key in ("labels/instances", "labels/semantic"):
            f.create_dataset(key, (count, *size), "f8", chunks=(1, *size), **packed)
        for k, its in nuclei.items():
            image, truth = stained(size, its, k)
            f["images"][:, k] = image.transpose(2, 0, 1)
            f["labels/instances"][k] = truth


def write_tnbc(root: Path) -> None:
    """The zip; images are RGBA, masks black and white, and macOS left its folder."""
    drawn = stained(PATCH, 16, 1)
    members = [("__MACOSX/TNBC_NucleiSegmentation/._Slide_01", b"\0")]
    for k in range(20):
        count = {1: 2}.get(k, 9 if k % 3 == 2 else 11)  # of at least ten label values
        image, labels = turned(drawn, k) if k % 7 == 0 else middle(PATCH, count, k)
        slide, name = f"{k // 4 + 1:02}", f"{k // 4 + 1:02}_{k % 4 + 1}"
        mask = np.where(labels > 0, 255, 0).astype(np.uint8)
        members.append((f"TNBC_NucleiSegmentation/Slide_{slide}/{name}.png", png(clear(image))))
        members.append((f"TNBC_NucleiSegmentation/GT_{slide}/{name}.png", png(mask)))
    archive(root / "tnbc" / "TNBC_NucleiSegmentation.zip", members)


def write_cryonuseg(root: Path) -> None:
    """The unpacked folder: the zip is only looked for once it was downloaded."""
    folder = root / "cryonuseg"
    for k in range(12):
        image, labels = stained(PATCH, 20, k) if k % 4 == 0 else middle(PATCH, 1 + k, k)
        organ = ("AdrenalGland", "Larynx", "LymphNodes", "Pleura")[k // 3]
        name = f"Human_{organ}_{k % 3 + 1:02}.tif"
        truth = f"Annotator 1 (biologist)/label masks modify/{name}"
        members = [(f"tissue images/{name}", tiff(image)), (truth, tiff(labels.astype(np.uint16)))]
        files(folder, members)


def write_nuinsseg(root: Path) -> None:
    """The unpacked folder of three tissues, the second on both sides of the cut at 50."""
    folder = root / "nuinsseg" / "data"
    tissues = ["human bladder"] * 30 + ["human melanoma"] * 24 + ["mouse spleen"] * 6
    drawn = stained(PATCH, 24, 1)
    few = {7: 9, 8: 2, 52: 9, 53: 2, 57: 9}  # of at least ten label values
    for k, tissue in enumerate(tissues):
        count = few.get(k, 10 + k % 4)
        image, labels = turned(drawn, k) if k in (0, 49, 50) else middle(PATCH, count, k)
        image = clear(image) if k in (4, 51) else image  # four channels: left out
        name = f"{tissue.replace(' ', '_')}_{k - tissues.index(tissue) + 1:02}"
        members = [
            (f"{tissue}/tissue images/{name}.png", png(image)),
            (f"{tissue}/label masks modify/{name}.tif", tiff(labels.astype(np.uint16))),
        ]
        files(folder, members)


def write_cytodark0(root: Path) -> None:
    """The zip of both magnifications; the natural order of names is not the alphabetic one."""
    members = []
    for power, side, folds in (("20x", 1024, (0, 1, 1, 1, 2, 2, 2, 2, 2, 2)), ("40x", 2048, (0,))):
        shape, top = (side, side), f"cytoDArk0/{power}/{side}x{side}"
        drawn = field(shape, 20, 1) if power == "20x" else middle(shape, 6, 1)
        few = {2: 4, 3: 2, 5: 4, 7: 2}  # of at least five label values
        rows = ["img_id,fold"]
        for k, fold in enumerate(folds):
            image, labels = turned(drawn, k)
            if k in few or k == 6:
                image, labels = middle(shape, few.get(k, 6), k)
            name = f"cortex_{power}_{k + 5}"
            rows.append(f"{name},{fold}")
            members.append((f"{top}/image/{name}.png", png(image)))
            members.append((f"{top}/label/{name}.tiff", tiff(labels.astype(np.uint16))))
            members.append((f"{top}/graymask4/{name}.png", png((labels > 0).astype(np.uint8))))
        members.append((f"{top}/folds.csv", ("\n".join(rows) + "\n").encode()))
    archive(root / "cytodark0" / "cytoDArk0.zip", members)


WRITERS: dict[str, Callable[[Path], None]] = {
    "ihc_tma": write_ihc_tma,
    "lynsec": write_lynsec,
    "pannuke": write_pannuke,
    "monuseg": write_monuseg,
    "tnbc": write_tnbc,
    "cryonuseg": write_cryonuseg,
    "nuinsseg": write_nuinsseg,
    "puma": write_puma,
    "cytodark0": write_cytodark0,
}
