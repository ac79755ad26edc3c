"""Fixtures of label-free cells as torch_em's loaders find them right after a download."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells
from layouts.label_free_many import write_deepseas, write_segpc, write_toiam, write_vicar
from layouts.label_free_polygons import write_livecell
from layouts.parts import Pair, archive, field, middle, png, tiff, turned


def write_omnipose(root: Path) -> None:
    """A zip; three label values are enough, and flow fields lie beside the masks."""
    members = []
    for split, count in (("train", 4), ("test", 7)):
        for k in range(count):
            strain = "5I_crop" if k % 2 else "caulobacter_15"
            image, labels = (
                cells((420, 380), {3: 2, 5: 1}.get(k, 18), k)
                if k % 2
                else field((640, 700), 30, 40 + k)
            )
            name = f"bact_phase/{split}_sorted/{strain}/{split}_{k + 7}"
            members.append((f"{name}.tif", tiff(image)))
            members.append((f"{name}_masks.tif", tiff(labels.astype(np.uint16))))
            if k == 0:
                members.append((f"{name}_flows.tif", tiff(np.zeros((4, 640, 700), np.float32))))
        for k in range(count):
            image, labels = cells((440, 560), (6, 2, 1)[k % 3], 60 + k)
            name = f"worm/{split}/C{k + 8:02}_w1"
            members.append((f"{name}.png", png(image)))
            members.append((f"{name}_masks.png", png(labels.astype(np.uint8))))
    archive(root / "omnipose" / "datasets.zip", members)


def write_deepbacs(root: Path) -> None:
    """A zip whose training folder the loader draws from: each kind shows the same quirk.

    One of each five images becomes validation: JE2 has four cells, pos one that is cut.
    """
    members = []
    for part, numbers in (("training", range(8, 13)), ("test", range(2))):
        for k in numbers:
            for name, (image, labels) in _bacteria(part, k):
                members.append((f"{part}/source/{name}.tif", tiff(image)))
                members.append((f"{part}/target/{name}.tif", tiff(labels.astype(np.uint16))))
    archive(root / "deepbacs" / "mixed.zip", members)


def _bacteria(part: str, k: int) -> Iterator[tuple[str, Pair]]:
    yield f"JE2NileRed_oilp22_PMP_101220_{k:03}_NR", middle((512, 512), 4, k, "uint16")
    yield f"pos{k}_frame_{k + 3}", field((600, 640), 30, 20 + k)
    short = "train" if part == "training" else "test"
    yield f"{short}_{k}", middle((512, 700), 2 if k % 2 else 20, 40 + k, "uint16")


def write_usiigaci(root: Path) -> None:
    """A clone of the repository: folders of a set each, and the frames of a movie."""
    clone = root / "usiigaci" / "Usiigaci"
    shape = (1022, 1024)
    full = field(shape, 40, 1, "uint16")
    for split, number, pair in (
        ("train", 1, full),
        ("train", 2, middle(shape, 2, 2, "uint16")),
        ("train", 10, middle(shape, 1, 3, "uint16")),
        ("train", 3, turned(full, 6)),
        ("val", 46, middle(shape, 2, 4, "uint16")),
        ("val", 47, field(shape, 30, 5, "uint16")),
        ("val", 48, middle(shape, 1, 6, "uint16")),
    ):
        folder = clone / "Mask R-CNN" / split / f"set{number}"
        _save(folder / "raw.tif", pair[0])
        _save(folder / "instances_ids.png", pair[1].astype(np.uint8))
    for k in (1, 2, 10):
        image, labels = field(shape, 25, 10 + k, "uint16")
        name = f"20180101ef002xy01t{k:02}"
        _save(clone / "ExampleData" / "T98G_sample" / f"{name}.tif", image)
        _save(clone / "ExampleData" / "T98G_sample_mask_avg" / f"{name}.png", labels)


def _save(path: Path, array: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        iio.imwrite(path, array, compression="zlib")
    else:
        path.write_bytes(png(array.astype(np.uint8)))


def write_yeaz(root: Path) -> None:
    """A tar file; which image is in which split is the loader's draw."""
    folder = root / "yeaz"
    folder.mkdir(parents=True)
    name = "gold-standard-BF-V-1"
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz", compresslevel=1) as file:
        for k in range(24):
            image, labels = (
                field((560, 620), 30, k, "uint16")
                if k % 3 == 0
                else cells((400, 450), (4, 2)[k % 2] if k % 3 == 1 else 25, k, "uint16")
            )
            for kind, array in (("im", image), ("mask", labels.astype(np.uint16))):
                content = tiff(array)
                member = tarfile.TarInfo(f"{name}/{k + 5}_{kind}.tif")
                member.size = len(content)
                file.addfile(member, BytesIO(content))


WRITERS: dict[str, Callable[[Path], None]] = {
    "livecell": write_livecell,
    "omnipose": write_omnipose,
    "deepbacs": write_deepbacs,
    "usiigaci": write_usiigaci,
    "vicar": write_vicar,
    "toiam": write_toiam,
    "deepseas": write_deepseas,
    "yeaz": write_yeaz,
    "segpc": write_segpc,
}
