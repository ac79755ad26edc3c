"""Fixtures of organoids as torch_em's loaders find them right after a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells, rgb
from layouts.parts import archive, png, tiff


def write_orgasegment(root: Path) -> None:
    """A zip; images are JPEGs, and files of all kinds share a folder for each split."""
    members = []
    for split, count, seed in (("train", 1, 0), ("val", 2, 10), ("eval", 4, 20)):
        for k in range(count):
            image, labels = cells((640, 820), 14 - 3 * k, seed + k)
            name = f"OrganoidBasic_v20211206/{split}/2021072{k}_{26838 - k}_ckw3ig3xg{k}"
            members.append((f"{name}_img.jpg", _jpeg(image)))
            members.append((f"{name}_masks_organoid.png", png(labels.astype(np.uint16))))
    archive(root / "orgasegment" / "OrganoidBasic_v20211206.zip", members)


def write_organoidnet(root: Path) -> None:
    """A zip with more in it than the loader unpacks; an image of val shows no organoid."""
    members = [("OrganoIDNetData/Readme.txt", b"")]
    for split, count, seed in (("Training", 1, 0), ("Validation", 2, 10), ("Test", 3, 20)):
        for k in range(count):
            image, labels = cells((540, 640), 9, seed + k)
            if split == "Validation" and k:
                labels[:] = 0
            folder, name = f"OrganoIDNetData/Dataset/{split}", f"{split}_{k + 9}.tif"
            members.append((f"{folder}/Images/{name}", tiff(image)))
            members.append((f"{folder}/Masks/{name}", tiff(labels.astype(np.uint16))))
    archive(root / "organoidnet" / "OrganoIDNetData.zip", members)


def write_orgaextractor(root: Path) -> None:
    """What the loader leaves: it takes the folder its zip would lie in for the whole data set."""
    for split, count, seed in (("train", 3, 0), ("test", 4, 10)):
        folder = root / "orgaextractor" / split
        folder.mkdir(parents=True)
        for k in range(count):
            image, labels = cells((560, 680), 8 + k, seed + k)
            (folder / f"input_{k + 8}.jpg").write_bytes(_jpeg(rgb(image)))
            (folder / f"label_{k + 8}.tif").write_bytes(tiff(labels.astype(np.uint16)))


def write_organoid(root: Path) -> None:
    """A zip of three sources: images are grey, RGB or RGBA; masks are black and white."""
    members = []
    for source, count in (("OriginalData", 4), ("MouseOrganoids", 1)):
        for part in ("training/pre_augmented", "validation", "testing"):
            for k in range(count):
                image, labels = cells((512, 512), 7 + k, 10 * len(part) + k)
                colour = rgb(image)
                opaque = np.full((*image.shape, 1), 255, np.uint8)
                kinds = (image, colour, np.concatenate([colour, opaque], -1))
                mask = (labels > 0) * np.uint8(255)
                folder, name = f"{source}/{part}", f"{('PDAC', 'Lung')[k % 2]}_{k + 8}.png"
                members.append((f"{folder}/images/{name}", png(kinds[k % 3])))
                shown = np.stack([mask] * 3, -1) if k == 1 else mask
                members.append((f"{folder}/segmentations/{name}", png(shown)))
    image, labels = cells((256, 256), 5, 50)
    for place, array in (("BF/a", image), ("PI/a", image), ("OrganoIDProcessed/a_labeled", labels)):
        members.append((f"GemcitabineScreen/{place}.tif", tiff(array.astype(np.uint16))))
    archive(root / "organoid" / "data.zip", members)


def write_orgline(root: Path) -> None:
    """What the loader leaves: it takes the folder its zip would lie in for the whole data set.

    It makes a mean of colours, which is a float, and keeps the suffix of an image's name.
    """
    import h5py

    for k, organ in enumerate(("stomach", "breast")):
        for split, count, seed in (("train", 1, 0), ("val", 2, 10), ("test", 3, 20)):
            folder = root / "orgline" / "data2" / organ / split
            folder.mkdir(parents=True)
            for number in range(count):
                image, labels = cells((600, 700), 6 + number, 30 * k + seed + number)
                with h5py.File(folder / f"well_{number + 9}.png.h5", "w") as file:
                    grey = image if k else rgb(image).mean(axis=-1)
                    for key, array in (("image", grey), ("masks", labels.astype(np.uint16))):
                        file.create_dataset(key, data=array, compression=1)


def _jpeg(array: NDArray[np.generic]) -> bytes:
    return bytes(iio.imwrite("<bytes>", array, extension=".jpg"))


WRITERS: dict[str, Callable[[Path], None]] = {
    "orgasegment": write_orgasegment,
    "organoidnet": write_organoidnet,
    "orgaextractor": write_orgaextractor,
    "organoid": write_organoid,
    "orgline": write_orgline,
}
