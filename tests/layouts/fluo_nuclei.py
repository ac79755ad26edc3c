"""Fixtures of fluorescent nuclei as torch_em's loaders find them right after a download."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from layouts.draw import cells, rgb
from layouts.fluo_nuclei_volumes import write_gonuclear, write_nis3d, write_parhyale_regen
from layouts.parts import Pair, archive, field, middle, png, tiff, turned


def write_dynamicnuclearnet(root: Path) -> None:
    """The zip of npz files; 103 validation images, as the limit of 100 shows only then."""
    folder = root / "dynamicnuclearnet"
    folder.mkdir(parents=True)
    few = {3: 4, 5: 2, 8: 1}  # of at least five label values: background and four is enough
    name = "DynamicNuclearNet-segmentation-v1_0"
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for split, count in (("train", 1), ("val", 103), ("test", 12)):
            drawn = [_culture(seed) for seed in range(-(-count // 8))]
            pairs = [turned(drawn[k // 8], k) for k in range(count)]
            for k, objects in few.items():
                if k < count:
                    pairs[k] = _culture(90 + k, objects)
            npz = folder / f"{split}.npz"
            np.savez(
                npz,
                X=np.stack([image for image, _ in pairs])[..., None],
                y=np.stack([labels for _, labels in pairs])[..., None],
                meta=np.array([["file", "cell_type"], *[["a.tif", "HeLa"]] * count], object),
            )
            z.write(npz, f"{name}/{npz.name}")
            npz.unlink()


def _culture(seed: int, objects: int = 20) -> Pair:
    image, labels = cells((512, 512), objects, seed, "float32")
    return (image / 8).round() * 8, labels  # coarse noise, for speed of the compression


def write_u20s(root: Path) -> None:
    """Two zips; the masks are RGBA, and macOS left its files in one of them."""
    shape, counts = (520, 696), {7: 4, 9: 2, 26: 4, 28: 0, 29: 2}
    images, masks = [], []
    for k in range(31):
        pair = middle(shape, counts[k], k, "uint16") if k in counts else None
        image, labels = pair or field(shape, 30 + k % 3, k, "uint16")
        code = np.where(labels > 0, 1 + labels % 3, 0)
        largest = labels == labels.max()
        code[:, 350:][largest[:, 350:] & (code[:, 350:] > 0)] = 4  # a nucleus of two values
        guid = hashlib.md5(bytes([k])).hexdigest().upper()
        name = f"IXMtest_{'ABCD'[k // 8]}{k // 2 % 4 + 9:02}_s{k % 2 + 1}_w1{guid[:8]}-{guid[8:12]}"
        rgba = np.stack([code, code * 0, code * 0, code * 0 + 255], -1).astype(np.uint8)
        images.append((f"images/{name}.tif", tiff(image)))
        masks.append((f"masks/{name}.png", png(rgba)))
        masks.append((f"__MACOSX/masks/._{name}.png", b"\0"))
    archive(root / "u20s" / "images.zip", images)
    archive(root / "u20s" / "masks.zip", masks)


def write_arvidsson(root: Path) -> None:
    """A zip for each split; the annotations are RGB, a colour for each nucleus."""
    shape = (1104, 1104)
    for split, seed, wells in (
        ("development", 1, "B05f00 B05f11 C12f03 P24f15"),
        ("test", 2, "A01f02 A01f10 G14f03 J12f09 J12f29"),
    ):
        pairs = [field(shape, 20, seed), middle(shape, 4, seed), middle(shape, 2, seed)]
        pairs += [turned(pairs[0], 1), turned(pairs[0], 6)]
        members = []
        for well, (image, labels) in zip(wells.split(), pairs, strict=False):
            paint = 1 + labels % 7  # several nuclei share a colour
            colours = np.stack([paint * 30, 255 - paint * 30, paint], -1)
            colours[labels == 0] = 0
            name = f"MFGTMPcx7_17070200000{seed}_{well}d0"
            members.append((f"{split}_nuclei/images/{name}.png", png(image)))
            painted = png(colours.astype(np.uint8))
            members.append((f"{split}_nuclei/annotations/{name}_objects.png", painted))
        archive(root / "arvidsson" / f"{split}_nuclei.zip", members)


def write_ifnuclei(root: Path) -> None:
    """A zip; some of the real images are RGB, and so is one of these."""
    shape = (1024, 1360)
    names = [f"Ganglioneuroblastoma_{k}" for k in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10)]
    names += ["Neuroblastoma_2", "Neuroblastoma_10", "normal_2", "normal_10", "otherspecimen_0"]
    plain = [field(shape, 24, 1), field(shape, 20, 2)]
    few = {4: middle(shape, 4, 3), 6: middle(shape, 2, 4), 11: middle(shape, 4, 5)}
    members = []
    for k, name in enumerate(names):
        image, labels = few.get(k) or turned(plain[k % 2], (0, 2, 4, 6)[k // 2 % 4])
        image = rgb(image) if name == "normal_2" else image
        members.append((f"rawimages/{name}.tif", tiff(image)))
        members.append((f"groundtruth/{name}.tif", tiff(labels.astype(np.uint16))))
    archive(root / "ifnuclei" / "dataset.zip", members)


def write_dsb(root: Path) -> None:
    """The zip of StarDist; names are hashes, whose natural order is not the alphabetic one."""
    shapes = [(256, 256), (360, 360), (520, 696), (256, 320)]
    members = []
    for split, count in (("train", 7), ("test", 14)):
        for k in range(count):
            image, labels = cells(shapes[k % 4], 1 if k == 3 else 12, 10 * count + k)
            name = hashlib.sha256(f"{split}{k}".encode()).hexdigest()
            members.append((f"dsb2018/{split}/images/{name}.tif", tiff(image)))
            members.append((f"dsb2018/{split}/masks/{name}.tif", tiff(labels.astype(np.uint16))))
    archive(root / "dsb" / "dsb.zip", members)


def write_bitdepth_nucseg(root: Path) -> None:
    """The unpacked folder: the loader clones it, and looks for nothing that it could unpack."""
    for seed, (power, name) in enumerate(_organs()):
        folder = root / "bitdepth_nucseg" / "data" / power
        image, labels = cells((512, 512), 1 if seed == 2 else 14, seed, "uint16")
        for part, array in (("images_16bit", image), ("label masks", labels.astype(np.uint16))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            iio.imwrite(folder / part / f"{name}.tif", array, compression="zlib")


def _organs() -> Iterator[tuple[str, str]]:
    """Folder and name of an image; natural order matters for the tenth of an organ."""
    for power in ("20x", "40x air", "40x oil", "63x oil"):
        for organ in ("bone_2", "heart_1", "heart_2", "heart_10", "kidney_1", "liver_3"):
            tissue, number = organ.split("_")
            yield power, f"{tissue}_{power.replace(' ', '_')}_{number}"


WRITERS: dict[str, Callable[[Path], None]] = {
    "dynamicnuclearnet": write_dynamicnuclearnet,
    "u20s": write_u20s,
    "arvidsson": write_arvidsson,
    "ifnuclei": write_ifnuclei,
    "gonuclear": write_gonuclear,
    "nis3d": write_nis3d,
    "parhyale_regen": write_parhyale_regen,
    "dsb": write_dsb,
    "bitdepth_nucseg": write_bitdepth_nucseg,
}
