"""The drawn images with two annotations."""

import shutil

import tifffile
from helpers.runs import make_job


def annotate_twice(root):
    """Write `mine/images` and the label folders `mine/a` and `mine/b`; `b` has an object less."""
    data = make_job(root).data
    shutil.copytree(data.folder / "images", root / "mine" / "images")
    for name in ("a", "b"):
        shutil.copytree(data.folder / "labels", root / "mine" / name)
    for path in (root / "mine" / "b").iterdir():
        pixels = tifffile.imread(path)
        pixels[pixels == pixels.max()] = 0
        tifffile.imwrite(path, pixels)
