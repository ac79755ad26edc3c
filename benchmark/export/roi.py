"""Zip files of ImageJ ROIs, which ImageJ's and Fiji's ROI Manager opens."""

from __future__ import annotations

import io
import zipfile

from benchmark.errors import DataError
from benchmark.export.polygons import Ring, polygons
from benchmark.export.predicted import Predicted

_LARGEST = 32767  # ImageJ keeps the corners of a ROI in 16 bits
_TIME = (1980, 1, 1, 0, 0, 0)  # the same prediction gives the same file


def roi_zip(predicted: Predicted) -> bytes:
    """Write a zip file with one polygon for each part of an object; holes are filled.

    A polygon is called as the object's id, with "-2" for the second part, and so on.

    Raises:
        DataError: the image is too large for the format.
    """
    height, width = predicted.labels.shape
    if max(height, width) > _LARGEST:
        raise DataError(
            f"sample '{predicted.entry.id}' is {height} x {width}: an ImageJ ROI ends at "
            f"{_LARGEST} pixels. Export it with format=geojson."
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, parts in polygons(predicted.labels):
            predicted.losses["object in several parts: one ROI each"] += len(parts) > 1
            for number, part in enumerate(parts, start=1):
                predicted.losses["hole filled: an ImageJ polygon has none"] += len(part.holes)
                name = f"{label}-{number}" if number > 1 else str(label)
                archive.writestr(
                    zipfile.ZipInfo(f"{name}.roi", _TIME), _roi(part.outer, name),
                    zipfile.ZIP_DEFLATED,
                )  # fmt: skip
    return buffer.getvalue()


def _roi(ring: Ring, name: str) -> bytes:
    import roifile

    roi = roifile.ImagejRoi.frompoints(ring, name=name)
    roi.roitype = roifile.ROI_TYPE.POLYGON
    # roifile counts the pixels that points lie in; these are corners of pixels.
    roi.right, roi.bottom = (max(values) for values in zip(*ring, strict=True))
    content: bytes = roi.tobytes()
    return content
