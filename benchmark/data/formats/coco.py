"""Read COCO JSON: the outlines of the objects of many images, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.formats.decoding import read_json
from benchmark.data.formats.polygons import Region, draw, inside
from benchmark.data.remarks import remark
from benchmark.errors import DataError
from benchmark.types import Labels


def is_coco(content: Any) -> bool:
    """Whether a decoded JSON file has the entries of COCO."""
    return isinstance(content, Mapping) and {"images", "annotations"} <= content.keys()


@lru_cache(maxsize=4)
def _by_image(path: Path, changed: int) -> dict[str, tuple[Any, list[Any]]]:
    """Return the description of each image and its annotations, by the name of its file."""
    content = read_json(path)
    try:
        images = {image["id"]: (image, list[Any]()) for image in content["images"]}
        for annotation in content["annotations"]:
            if annotation["image_id"] not in images:
                raise DataError(
                    f"{path}: an annotation is of image {annotation['image_id']}, which is not "
                    "among its images."
                )
            images[annotation["image_id"]][1].append(annotation)
        return {str(image["file_name"]): (image, found) for image, found in images.values()}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: is not COCO JSON ({error!r}).") from error


def image_names(path: Path) -> list[str]:
    """Return the names of the image files that a COCO file has annotations for.

    Raises:
        DataError: it can't be read.
    """
    return list(_by_image(path, path.stat().st_mtime_ns))


def read_coco(path: Path, name: str, shape: tuple[int, int]) -> Labels:
    """Draw the annotations of one image in the order of the file, the later on top.

    Args:
        path: the file.
        name: of the image's file, as the file has it.
        shape: height and width of the image.

    Raises:
        DataError: the image has another size, or an annotation has no outline that can be drawn.
    """
    image, annotations = _by_image(path, path.stat().st_mtime_ns)[name]
    size = (image.get("height"), image.get("width"))
    if None not in size and size != shape:
        raise DataError(
            f"{path}: describes {name} as {size[0]} x {size[1]}; the image is {shape[0]} x "
            f"{shape[1]}."
        )
    objects = [a["segmentation"] for a in annotations if a.get("segmentation") and not _crowd(a)]
    crowds = sum(map(_crowd, annotations))
    if crowds:
        remark("crowds", f"{crowds} of {len(annotations)}")
    without = len(annotations) - crowds - len(objects)
    if without:
        remark("no_area", f"{without} of {len(annotations)} have a box, but no outline")
    try:
        return draw(objects, shape, partial(_regions, shape=shape))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path}: an outline of {name} can't be drawn ({error}).") from error


def _crowd(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("iscrowd"))


def _regions(segmentation: Any, shape: tuple[int, int]) -> Iterator[Region]:
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):
            counts = _decompressed(counts)
        yield slice(None), slice(None), _from_counts(counts, segmentation["size"], shape)
    else:
        for polygon in segmentation:
            yield inside([np.reshape(np.asarray(polygon, np.float64), (-1, 2))], shape)


def _from_counts(counts: Sequence[int], size: Sequence[int], shape: tuple[int, int]) -> Any:
    """Decode run lengths, down the columns, of outside and inside by turns."""
    if tuple(size) != shape:
        raise ValueError(f"its size is {size[0]} x {size[1]}")
    lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise ValueError("its run lengths do not fill the image")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(shape, order="F")


def _decompressed(text: str | bytes) -> list[int]:
    """Decode COCO's compressed run lengths: five bits a character; from the third, differences."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii") if isinstance(text, str) else text:
        code = character - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
