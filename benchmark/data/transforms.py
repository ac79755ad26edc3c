"""A recipe: pure functions on one image and its labels, applied in a given order.

A step yields (suffix, image, labels): one for a crop, several for tiles, none to leave the image
out. The suffix is appended to the sample's id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.errors import DataError, UsageError
from benchmark.types import Image, Labels

Step = Iterator[tuple[str, Image, Labels]]


def apply(recipe: Sequence[Mapping[str, Any]], image: Image, labels: Labels) -> Step:
    """Apply a recipe to an image and its labels.

    Args:
        recipe: steps in order, each a mapping of one name to its keyword arguments; a step
            with the additional key `when: false` is left out.
        image: H x W or H x W x C.
        labels: H x W.

    Yields:
        (suffix, image, labels) of each resulting sample.

    Raises:
        UsageError: an unknown step, or wrong arguments.
        DataError: a step can't be applied to this image.
    """
    if not recipe:
        yield "", image, labels
        return
    name, arguments, wanted = parse_step(recipe[0], TRANSFORMS, "data.recipe")
    if not wanted:
        yield from apply(recipe[1:], image, labels)
        return
    try:
        outcome = list(TRANSFORMS[name](image, labels, **(arguments or {})))
    except (TypeError, ValueError) as error:
        raise UsageError(f"data.recipe: step '{name}': {error}.") from error
    for suffix, new_image, new_labels in outcome:
        for more_suffix, last_image, last_labels in apply(recipe[1:], new_image, new_labels):
            yield suffix + more_suffix, last_image, last_labels


def parse_step(step: Any, known: Mapping[str, Any], key: str) -> tuple[str, Any, bool]:
    """Return a step's name, its arguments, and whether it is enabled.

    Raises:
        UsageError: it is not of the form {name: arguments}, or `when` is not a boolean.
    """
    rest = {k: v for k, v in step.items() if k != "when"} if isinstance(step, Mapping) else {}
    if len(rest) != 1 or not known.keys() & rest:
        raise UsageError(
            f"{key}: {step!r} is not of the form {{name: arguments}}. Names: {', '.join(known)}."
        )
    ((name, arguments),) = rest.items()
    wanted = step.get("when", True)
    if not isinstance(wanted, bool):  # even the string "false" would be true
        raise UsageError(f"{key}: step '{name}': when is {wanted!r}; it must be true or false.")
    return name, arguments, wanted


def tiles(image: Image, labels: Labels, rows: int, columns: int) -> Step:
    """Cut into rows x columns tiles that differ by at most a pixel in size; ids are kept.

    Raises:
        ValueError: fewer than one row or column.
        DataError: the image is too small.
    """
    if min(rows, columns) < 1:
        raise ValueError(f"{rows} rows, {columns} columns: give 1 or more")
    height, width = labels.shape
    if rows > height or columns > width:
        raise DataError(f"{height} x {width} pixels are too few for {rows} x {columns} tiles.")
    row_edges = np.linspace(0, labels.shape[0], rows + 1).round().astype(int)
    column_edges = np.linspace(0, labels.shape[1], columns + 1).round().astype(int)
    for r in range(rows):
        for c in range(columns):
            window = np.s_[row_edges[r] : row_edges[r + 1], column_edges[c] : column_edges[c + 1]]
            yield f"_r{r}c{c}", image[window], labels[window]


def center_crop(
    image: Image, labels: Labels, shape: Sequence[int], cut_objects: str = "one"
) -> Step:
    """Crop the middle, along the axes that are longer than the shape.

    Source: `_make_center_crop` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        image: H x W or H x W x C.
        labels: H x W.
        shape: height and width in pixels.
        cut_objects: see `crop`.
    """
    wanted = _shape(shape)
    corner = [(have - want) // 2 for have, want in zip(labels.shape, wanted, strict=True)]
    yield from crop(image, labels, corner, wanted, cut_objects)


def crop_around_labels(
    image: Image, labels: Labels, shape: Sequence[int], cut_objects: str = "one"
) -> Step:
    """Crop around the middle of the annotated objects' bounding box, within the image.

    The truth decides what is shown: the image is easier than one from a microscope.
    Source: `_make_center_crop(seg=...)` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        image: H x W or H x W x C.
        labels: H x W; without any object the middle of the image is cropped.
        shape: height and width in pixels.
        cut_objects: see `crop`.
    """
    wanted = _shape(shape)
    if not labels.any():
        yield from center_crop(image, labels, wanted, cut_objects)
        return
    corner = []
    for positions, want in zip(np.nonzero(labels), wanted, strict=True):
        middle = (int(positions.min()) + int(positions.max())) // 2
        corner.append(middle - want // 2)
    yield from crop(image, labels, corner, wanted, cut_objects)


def crop(
    image: Image, labels: Labels, corner: Sequence[int], shape: Sequence[int], cut_objects: str
) -> Step:
    """Crop a window.

    Args:
        image: H x W or H x W x C.
        labels: H x W.
        corner: its upper left pixel; moved into the image where it lies outside.
        shape: its height and width; a shorter axis is not changed.
        cut_objects: `one`: an object that the window's edge cuts into several pieces stays
            one object. `split`: each piece becomes an object, as a method can only see.
            Objects that were in several pieces before are not changed.

    Raises:
        ValueError: an unknown value of `cut_objects`.
    """
    if cut_objects not in ("one", "split"):
        raise ValueError(f"cut_objects is '{cut_objects}'; it must be one or split")
    size = [min(have, want) for have, want in zip(labels.shape, shape, strict=True)]
    start = [
        max(0, min(first, have - length))
        for first, have, length in zip(corner, labels.shape, size, strict=True)
    ]
    window = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    inside = labels[window]
    if cut_objects == "split" and inside.shape != labels.shape:
        inside = _split_pieces(labels, inside)
    yield "", image[window], inside


def _split_pieces(labels: Labels, inside: Labels) -> Labels:
    """Give new ids to all pieces but the largest of an object that was in one piece before."""
    pieces, owners = _pieces(inside)
    if len(owners) == len(np.unique(owners)):
        return inside
    before = Counter(_pieces(labels)[1].tolist())
    areas = np.bincount(pieces.ravel())[1:]
    further, seen = [], set()
    for index in np.argsort(-areas, kind="stable"):  # the largest piece keeps the id
        owner = int(owners[index])
        if owner in seen and before[owner] == 1:
            further.append(index + 1)
        seen.add(owner)
    top = int(labels.max())
    fits = top + len(further) <= np.iinfo(inside.dtype).max
    result = inside.copy() if fits else inside.astype(np.int64)
    for new, piece in enumerate(further, start=top + 1):
        result[pieces == piece] = new
    return result


def _pieces(labels: Labels) -> tuple[Labels, Labels]:
    """Return the connected components, numbered from 1, and the object id of each."""
    from skimage.measure import label

    pieces = label(labels)
    numbers, first = np.unique(pieces, return_index=True)
    return pieces, labels.ravel()[first[numbers > 0]]


def pad(image: Image, labels: Labels, shape: Sequence[int]) -> Step:
    """Pad with zeros at the bottom and on the right, up to a height and width.

    Source: `_pad_image` in micro-sam's scripts/apg_experiments/util.py.
    """
    missing = [max(0, w - h) for h, w in zip(labels.shape, _shape(shape), strict=True)]
    width = [(0, missing[0]), (0, missing[1])]
    yield "", np.pad(image, width + [(0, 0)] * (image.ndim - 2)), np.pad(labels, width)


def resize(image: Image, labels: Labels, shape: Sequence[int], label_resize: str) -> Step:
    """Resize to a height and width; the image linearly and smoothed, its dtype kept.

    Source: `resize` of scikit-image as micro-sam's scripts/apg_experiments/util.py calls it.

    Args:
        image: H x W or H x W x C.
        labels: H x W.
        shape: height and width in pixels.
        label_resize: `nearest`, or `linear`: ids between those of two neighbours appear at
            every border, and few objects keep their shape.

    Raises:
        ValueError: an unknown value of `label_resize`.
    """
    from skimage.transform import resize as resized

    orders = {"linear": None, "nearest": 0}
    if label_resize not in orders:
        raise ValueError(f"label_resize is '{label_resize}'; it must be linear or nearest")
    order, wanted = orders[label_resize], _shape(shape)
    new_image = resized(image, wanted, anti_aliasing=True, preserve_range=True)
    # Floats hold ids exactly where they are below 2**53.
    plain = labels.astype(np.float64)
    new_labels = resized(plain, wanted, order=order, anti_aliasing=False, preserve_range=True)
    yield "", new_image.astype(image.dtype), new_labels.astype(labels.dtype)


def _shape(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        ValueError: not two numbers from 1 on.
    """
    sizes = list(shape) if isinstance(shape, Sequence) else []
    if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"shape is {sizes or repr(shape)}; it must be [height, width]")
    return sizes[0], sizes[1]


def ignore_label(image: Image, labels: Labels, value: int) -> Step:
    """Set one id to background."""
    yield "", image, np.where(labels == value, 0, labels).astype(labels.dtype)


def connected_components(image: Image, labels: Labels) -> Step:
    """Relabel the connected components (8-connected, of equal value).

    Source: `skimage.measure.label`, as micro-sam's scripts/apg_experiments/util.py calls it.
    """
    from skimage.measure import label

    yield "", image, label(labels).astype(np.int32)


def min_objects(image: Image, labels: Labels, count: int, counting: str) -> Step:
    """Leave out an image with few objects.

    Source: `_process_images` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        image: H x W or H x W x C.
        labels: H x W.
        count: the minimum number of objects.
        counting: `values`: all label values, so that the background counts as an object
            where there is any. `objects`: objects.

    Raises:
        ValueError: an unknown value of `counting`.
    """
    if counting not in ("values", "objects"):
        raise ValueError(f"counting is '{counting}'; it must be values or objects")
    values = np.unique(labels)
    objects = int(np.count_nonzero(values))
    enough = len(values) >= max(count, 2) if counting == "values" else objects >= max(count, 1)
    if enough:
        yield "", image, labels


def only_channels(image: Image, labels: Labels, count: int) -> Step:
    """Leave out an image with another number of channels; a grey image has one."""
    if (image.shape[2] if image.ndim == 3 else 1) == count:
        yield "", image, labels


def scale_channels(image: Image, labels: Labels) -> Step:
    """Scale each channel to its own minimum and maximum, as 8-bit integers.

    Source: `_norm_image` in micro-sam's scripts/apg_experiments/util.py, to the bit.
    """
    scaled = image.astype(np.float32)
    scaled -= scaled.min(axis=(0, 1))
    scaled /= scaled.max(axis=(0, 1)) + 1e-7
    yield "", (scaled * 255).astype(np.uint8), labels


def steps_that_need_labels(recipe: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the enabled steps whose images depend on the labels.

    Raises:
        UsageError: as `parse_step`.
    """
    parsed = [parse_step(step, TRANSFORMS, "data.recipe") for step in recipe]
    return [name for name, _, wanted in parsed if wanted and name in _NEED_LABELS]


_NEED_LABELS = (crop_around_labels.__name__, min_objects.__name__)

TRANSFORMS: dict[str, Callable[..., Step]] = {
    step.__name__: step
    for step in (
        tiles,
        center_crop,
        crop_around_labels,
        pad,
        resize,
        ignore_label,
        connected_components,
        min_objects,
        only_channels,
        scale_channels,
    )
}
