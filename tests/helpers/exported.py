"""Objects that are hard to export, predictions, and readers of what is written."""

import struct
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rasterio.features
from cases import draw

CASES = {
    "a pixel": draw("1"),
    "no object": draw("..", ".."),
    "no background": draw("12", "12"),
    "a hole": draw("1111", "1..1", "1111"),
    "an object in a hole": draw("11111", "1...1", "1.2.1", "1...1", "11111"),
    "the same object again in its hole": draw("11111", "1...1", "1.1.1", "1...1", "11111"),
    "parts": draw("11..", "...1"),
    "parts that touch in a corner": draw("1.", ".1"),
    "the other corner": draw(".1", "1."),
    "a hole that touches the outside in a corner": draw("111", "1.1", "11."),
    "a hole that touches every corner": draw(".111.", "11.11", "1.1.1", "11.11", ".111."),
    "holes that touch each other in a corner": draw("1111", "1.11", "11.1", "1111"),
    "holes in a row of corners": draw("11111", "1.111", "11.11", "111.1", "11111"),
    "an outline that touches itself in a corner": draw("1111", "1..1", "1.1.", "111."),
    "a checkerboard": draw("1212", "2121", "1212"),
}


def predicted(labels, *, image=None, truth=None, name="cell 1", file="/images/cell 1.tif"):
    """A prediction that is not stored."""
    image = np.zeros(labels.shape, np.uint8) if image is None else image
    return SimpleNamespace(
        name=name, labels=labels, truth=truth, sample=SimpleNamespace(image=image, labels=truth),
        entry=SimpleNamespace(id=name), image_file=Path(file), losses=Counter(),
    )  # fmt: skip


def rasterised(found, shape):
    """The label image of polygons, drawn by GDAL: a pixel belongs to what holds its centre."""
    drawn = np.zeros(shape, np.int32)
    for number, parts in found.items():
        for part in parts:
            drawn[rasterio.features.rasterize([(part, 1)], shape) > 0] = number
    return drawn


def read_rois(content):
    """Name -> corners (x, y) of the polygons in a zip file of ROIs, by ImageJ's RoiDecoder.java."""
    found = {}
    with zipfile.ZipFile(content) as archive:
        for member in archive.namelist():
            roi = archive.read(member)
            assert roi[:4] == b"Iout" and roi[6] == 0, "a polygon"
            top, left, bottom, right, count = struct.unpack(">5h", roi[8:18])
            values = struct.unpack(f">{2 * count}h", roi[64 : 64 + 4 * count])
            points = [
                (x + left, y + top) for x, y in zip(values[:count], values[count:], strict=True)
            ]
            xs, ys = zip(*points, strict=True)
            assert (min(xs), min(ys), max(xs), max(ys)) == (left, top, right, bottom)
            header = struct.unpack(">i", roi[60:64])[0]
            offset, length = struct.unpack(">2i", roi[header + 16 : header + 24])
            name = roi[offset : offset + 2 * length].decode("utf-16-be")
            assert member == f"{name}.roi"
            found[name] = points
    return found
