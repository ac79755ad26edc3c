"""Histopathology as the study prepared it, written down from its code, step by step."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pandas as pd
from natsort import natsorted

from study.steps import Array, Pairs, limit, middle, stored

SIZE = 512


def padded(array: Array) -> Array:
    result = np.zeros((SIZE, SIZE, *array.shape[2:]), array.dtype)
    result[: array.shape[0], : array.shape[1]] = array
    return result


def container(path: Path, labels: str) -> tuple[Array, Array]:
    import h5py

    with h5py.File(path, "r") as f:
        return f["raw"][:].transpose(1, 2, 0), f[labels][:]


def files(image: Path, labels: Path) -> tuple[Array, Array]:
    return imageio.imread(image), imageio.imread(labels)


def drawn_lots(csv: Path, split: str) -> list[str]:
    # The names that the loader drew for a split; the order they were drawn in means nothing.
    names: list[str] = ast.literal_eval(pd.read_csv(csv)[split][0])
    return natsorted(names)


def ihc_tma(root: Path, split: str) -> Pairs:
    folder = root / "ihc_tma" / "IHC_TMA_dataset"
    fold = {"val": "fold2", "test": "fold3"}[split]
    images = natsorted((folder / "images").glob(f"{fold}_*.png"))
    labels = natsorted((folder / "preprocessed_labels").glob(f"{fold}_*.tif"))
    return [files(*pair) for pair in zip(images, labels, strict=True)]


def lynsec(root: Path, split: str) -> Pairs:
    folder = root / "lynsec" / "data" / "ihc"
    names = drawn_lots(root / "lynsec" / "lynsec_ihc_split.csv", split)
    return [files(folder / f"images/{name}.tif", folder / f"labels/{name}.tif") for name in names]


def pannuke(root: Path, split: str) -> Pairs:
    import h5py

    fold = {"val": "fold_2", "test": "fold_3"}[split]
    with h5py.File(root / "pannuke" / f"pannuke_{fold}.h5", "r") as f:
        images, labels = f["images"], f["labels/instances"]
        chosen = range(images.shape[1])
        if split == "val":
            chosen = chosen[:200]
        pairs = ((padded(images[:, i].transpose(1, 2, 0)), padded(labels[i])) for i in chosen)
        return stored(pairs, 5, limit(split))


def monuseg(root: Path, split: str) -> Pairs:
    folder = {"val": "train", "test": "test"}[split]
    images = sorted((root / "monuseg" / "images" / folder).iterdir())
    labels = sorted((root / "monuseg" / "labels" / folder).iterdir())
    if split == "val":
        images, labels = images[:20], labels[:20]
    pairs = (files(*pair) for pair in zip(images, labels, strict=True))
    return stored(((middle(image), middle(truth)) for image, truth in pairs), 5, limit(split))


def tnbc(root: Path, split: str) -> Pairs:
    names = drawn_lots(root / "tnbc" / "tnbc_split.csv", split)
    folder = root / "tnbc" / "preprocessed"
    pairs = (container(folder / f"{name}.h5", "labels/instances") for name in names)
    return stored(pairs, 10, limit(split))


def cryonuseg(root: Path, split: str) -> Pairs:
    folder = root / "cryonuseg"
    truth = folder / "Annotator 1 (biologist)" / "label masks modify"
    names = drawn_lots(folder / "cryonuseg_split.csv", split)
    return [files(folder / f"tissue images/{name}.tif", truth / f"{name}.tif") for name in names]


def nuinsseg(root: Path, split: str) -> Pairs:
    # The study took the tissues in the order of its file system.
    tissues = natsorted((root / "nuinsseg" / "data").iterdir())
    images = [p for t in tissues for p in natsorted((t / "tissue images").glob("*.png"))]
    labels = [p for t in tissues for p in natsorted((t / "label masks modify").glob("*.tif"))]
    part = slice(None, 50) if split == "val" else slice(50, None)
    pairs = [files(*pair) for pair in zip(images[part], labels[part], strict=True)]
    pairs = [(image, truth) for image, truth in pairs if image.ndim == 3 and image.shape[-1] == 3]
    return stored(pairs, 10, limit(split))


def puma(root: Path, split: str) -> Pairs:
    paths = natsorted((root / "puma" / split / "preprocessed").glob("*.h5"))
    pairs = (container(path, "labels/instances/nuclei") for path in paths)
    return stored(((middle(image), middle(truth)) for image, truth in pairs), 10, limit(split))


def cytodark0(root: Path, split: str) -> Pairs:
    paths = natsorted((root / "cytodark0" / "preprocessed" / "20x" / split).glob("*.h5"))
    pairs = (container(path, "labels/instances") for path in paths)
    return stored(((middle(image), middle(truth)) for image, truth in pairs), 5, limit(split))


EXPECTED: dict[str, Callable[[Path, str], Pairs]] = {
    "ihc_tma": ihc_tma,
    "lynsec": lynsec,
    "pannuke": pannuke,
    "monuseg": monuseg,
    "tnbc": tnbc,
    "cryonuseg": cryonuseg,
    "nuinsseg": nuinsseg,
    "puma": puma,
    "cytodark0": cytodark0,
}
