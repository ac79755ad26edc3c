"""Label-free cells as the study stored them, written down a second time.

Source: `prepare_data_paths` in micro-sam's scripts/apg_experiments/util.py, and for LIVECell
`_get_livecell_paths` in micro_sam/evaluation/livecell.py. What they read in the order of a
folder is read in natural order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio.v3 as iio
from natsort import natsorted
from skimage.measure import label as components

from study.steps import Array, Pairs, limit, middle, stored


def _files(folder: Path, pattern: str) -> list[Path]:
    return list(natsorted(folder.glob(pattern)))


def _read(files: Sequence[Path]) -> list[Array]:
    return [iio.imread(file) for file in files]


def livecell(root: Path, split: str) -> Pairs:
    """Val: five of each cell type, as val.json lists them; then all of them by name."""
    folder = root / "livecell"
    if split == "test":
        place = "livecell_test_images"
        names = [path.name for path in (folder / "images" / place).iterdir()]
    else:
        place = "livecell_train_val_images"
        names, seen = [], Counter[str]()
        for entry in json.loads((folder / "val.json").read_text())["images"]:
            kind = entry["file_name"].split("_")[0]
            if seen[kind] < 5:
                names.append(entry["file_name"])
                seen[kind] += 1
    images = sorted(folder / "images" / place / name for name in names)
    truths = sorted(folder / "annotations" / place / name.split("_")[0] / name for name in names)
    return stored(
        zip(map(middle, _read(images)), map(middle, _read(truths)), strict=True), 5, limit(split)
    )


def omnipose(root: Path, split: str) -> Pairs:
    """Val is the training split, without a limit: it was called `train` by then."""
    part, data = {"val": "train", "test": "test"}[split], root / "omnipose" / "data"
    images: list[Path] = []
    truths: list[Path] = []
    for folder, pattern in (
        (data / "bact_phase" / f"{part}_sorted", "*/*.tif"),
        (data / "worm" / part, "*"),
    ):
        files = _files(folder, pattern)
        truths += [file for file in files if file.stem.endswith("_masks")]
        images += [file for file in files if not file.stem.endswith(("_masks", "_flows"))]
    return stored(zip(map(middle, _read(images)), map(middle, _read(truths)), strict=True), 3)


def deepbacs(root: Path, split: str) -> Pairs:
    """Val is what the loader drew when it unpacked the archive."""
    folder = root / "deepbacs" / "mixed" / split
    images, truths = (_read(_files(folder / part, "*.tif")) for part in ("source", "target"))
    return stored(zip(map(middle, images), map(middle, truths), strict=True), 5, limit(split))


def usiigaci(root: Path, split: str) -> Pairs:
    """Test is the training split: the sets, then the frames of the movie."""
    clone = root / "usiigaci" / "Usiigaci"
    sets = clone / "Mask R-CNN" / {"test": "train", "val": "val"}[split]
    images, truths = _files(sets, "set*/raw.tif"), _files(sets, "set*/instances_ids.png")
    if split == "test":
        images += _files(clone / "ExampleData" / "T98G_sample", "*.tif")
        truths += _files(clone / "ExampleData" / "T98G_sample_mask_avg", "*.png")
    return stored(
        zip(map(middle, _read(images)), map(middle, _read(truths)), strict=True), 3, limit(split)
    )


def vicar(root: Path, split: str) -> Pairs:
    """Test is all images, and val the first of them."""
    images: list[Path] = []
    truths: list[Path] = []
    for kind in ("A2058", "G361", "HOB", "PC3", "PNT1A"):
        images += _files(root / "vicar" / "labelled" / kind, "*_img.tif")
        truths += _files(root / "vicar" / "labelled" / kind, "*_mask.png")
    return stored(
        zip(map(middle, _read(images)), map(middle, _read(truths)), strict=True), 5, limit(split)
    )


def toiam(root: Path, split: str) -> Pairs:
    """The first hundred frames of all movies, or the last two hundred; as they are."""
    part = slice(None, 100) if split == "val" else slice(-200, None)
    images = _files(root / "toiam" / "data", "0*/*.tif")[part]
    truths = _files(root / "toiam" / "data", "0*_GT/SEG/man_*.tif")[part]
    return stored(zip(_read(images), _read(truths), strict=True), 5, limit(split))


def deepseas(root: Path, split: str) -> Pairs:
    """The masks are black and white: the components of the white are the cells."""
    part = {"val": "train", "test": "test"}[split]
    folder = root / "deepseas" / "segmentation_dataset" / part
    images = _read(_files(folder / "images", "*.png"))
    truths = [components(mask) for mask in _read(_files(folder / "masks", "*.png"))]
    return stored(zip(images, truths, strict=True), 10, limit(split))


def yeaz(root: Path, split: str) -> Pairs:
    """The split is what the loader drew, and wrote down."""
    folder = root / "yeaz" / "gold-standard-BF-V-1"
    names = json.loads((root / "yeaz" / "yeaz_bf_splits.json").read_text())[split]
    images = _read([folder / name for name in names])
    truths = _read([folder / name.replace("_im.tif", "_mask.tif") for name in names])
    return stored(zip(map(middle, images), map(middle, truths), strict=True), 5, limit(split))


def segpc(root: Path, split: str) -> Pairs:
    """The test split has no labels: the validation split is tested, and val is from train."""
    import h5py

    part = {"val": "train", "test": "validation"}[split]
    images, truths = [], []
    for path in _files(root / "segpc" / "TCIA_SegPC_dataset" / part / "preprocessed", "*.h5"):
        with h5py.File(path) as file:
            images.append(file["raw"][:].transpose(1, 2, 0))
            truths.append(file["labels/cells"][:])
    return stored(zip(map(middle, images), map(middle, truths), strict=True), 5, limit(split))


EXPECTED: dict[str, Callable[[Path, str], Pairs]] = {
    "livecell": livecell,
    "omnipose": omnipose,
    "deepbacs": deepbacs,
    "usiigaci": usiigaci,
    "vicar": vicar,
    "toiam": toiam,
    "deepseas": deepseas,
    "yeaz": yeaz,
    "segpc": segpc,
}
