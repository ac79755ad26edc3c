"""Pictures of single samples: the image, and on it the true and the predicted outlines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.prepared import PreparedData
from benchmark.errors import DataError
from benchmark.report import escape
from benchmark.report.figures.style import missing_glyphs_allowed
from benchmark.report.results import RunResult
from benchmark.store.store import RunStore
from benchmark.types import Image, Labels

# Safe for the colour-blind, and seen on black, on grey and on stained tissue alike (drawn
# and looked at).
OUTLINES = {"true": (0, 176, 255), "predicted": (255, 150, 0), "both": (255, 255, 255)}

# What each channel adds to red, green and blue. Two channels are magenta and green, which
# the colour-blind tell apart; a fourth channel is grey (and an opaque alpha, being
# constant, is nothing).
_COLOURS = {
    1: [[1, 1, 1]],
    2: [[1, 0, 1], [0, 1, 0]],
    3: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    4: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]],
}
DIMMED = 0.65  # the image below the outlines, lest bright objects swallow them
_STRETCH = (1.0, 99.8)  # percentiles that become black and white

_SMALLEST, _LARGEST = 400, 2000  # pixels of the longer side that are shown as they are
_LARGEST_OF_SEVERAL = 800  # likewise, where several predictions are side by side
_MARGIN, _LINE = 12, 18  # pixels
_DPI = 100
_FONT_SIZE = 9
_CHARACTER = 7.6  # pixels that a letter of this size takes, generously


def prepared_of(result: RunResult) -> PreparedData:
    """The prepared data that a run was predicted on, from where the run last found it.

    Raises:
        BenchmarkError: it is not there any more, or holds other images than the run's.
    """
    described = RunStore(result.path).describe() or {}
    if "prepared" not in described:
        raise DataError(f"{result.path} does not say where its prepared data lie")
    data = PreparedData(Path(described["prepared"]), result.data, result.split)
    if data.images_digest() != described["identity"]["images"]:
        raise DataError(
            f"{data.folder} holds other images than those that {result.path.name} was predicted on"
        )
    return data


def worst_and_best(result: RunResult, n: int) -> list[tuple[str, str]]:
    """The samples worth looking at: the n worst and the n best by mSA.

    Args:
        result: a scored run.
        n: how many of each kind; fewer where there are not enough samples.

    Returns:
        ("worst" or "best", sample id), the worst and the best first; ties in the order of
        ids, no sample twice, excluded samples (NaN) left out.
    """
    scores = {str(key): float(value) for key, value in result.scores["msa"].dropna().items()}
    worst = sorted(scores, key=lambda name: (scores[name], name))[:n]
    others = scores.keys() - set(worst)
    best = sorted(others, key=lambda name: (-scores[name], name))[:n]
    return [("worst", name) for name in worst] + [("best", name) for name in best]


def overlay(image: Image, true: Labels, predicted: Labels, title: str, path: Path) -> Path:
    """Draw a sample: the image alone, and beside it with true and predicted outlines.

    Pixels are shown one to one where the longer side has 400 to 2000 of them; smaller
    images are enlarged and larger ones reduced by a whole factor.

    Args:
        image: H x W or H x W x C, C from 1 to 4, any real dtype; contrast is stretched per
            channel.
        true: H x W label image.
        predicted: H x W label image.
        title: one line, wrapped where it is longer than the picture.
        path: the PNG to write, in a folder that exists.

    Returns:
        `path`.

    Raises:
        DataError: the shapes do not fit together, or there are more than four channels.
    """
    return overlay_each(image, true, {"": predicted}, title, path)


def overlay_each(
    image: Image, true: Labels, predictions: Mapping[str, Labels], title: str, path: Path
) -> Path:
    """Draw a sample: the image alone, then for each prediction its outlines and the true ones.

    As `overlay`, but of several predictions: images are reduced above 800 pixels.

    Args:
        image: as for `overlay`.
        true: H x W label image.
        predictions: a line for above the panel (none where it is empty) -> H x W label image.
        title: one line, wrapped where it is longer than the picture.
        path: the PNG to write, in a folder that exists.

    Returns:
        `path`.

    Raises:
        DataError: the shapes do not fit together, or there are more than four channels.
    """
    for predicted in predictions.values():
        if not image.shape[:2] == true.shape == predicted.shape:
            raise DataError(
                f"An image of shape {image.shape} can't be drawn with labels of shapes "
                f"{true.shape} (true) and {predicted.shape} (predicted)."
            )
    several = len(predictions) > 1
    shown, up, down = _scaled(rgb(image), _LARGEST_OF_SEVERAL if several else _LARGEST)
    of_truth = outline(true, up, down)
    pictures = [shown]
    for predicted in predictions.values():
        outlined = (DIMMED * shown).astype(np.uint8)
        of_prediction = outline(predicted, up, down)
        masks = (of_truth, of_prediction, of_truth & of_prediction)
        for mask, colour in zip(masks, OUTLINES.values(), strict=True):
            outlined[mask] = colour
        pictures.append(outlined)
    captions = ["image", *predictions] if several else []
    return _compose(pictures, captions, title, path)


def rgb(image: Image) -> NDArray[np.uint8]:
    """Any image as H x W x 3, each channel stretched between two of its percentiles."""
    channels = image[..., np.newaxis] if image.ndim == 2 else image
    if channels.ndim != 3 or channels.shape[2] not in _COLOURS:
        raise DataError(f"An image of shape {image.shape} can't be drawn: 1 to 4 channels can.")
    planes = [_stretched(channels[..., c]) for c in range(channels.shape[2])]
    mixed = np.stack(planes, axis=-1) @ np.array(_COLOURS[len(planes)], np.float32)
    return (255 * mixed.clip(0, 1)).round().astype(np.uint8)


def _stretched(plane: NDArray[Any]) -> NDArray[np.float32]:
    """One channel in [0, 1]; constant channels and pixels that are no numbers become 0."""
    values = plane.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(plane.shape, np.float32)
    low, high = np.percentile(finite, _STRETCH)
    if high <= low:  # nearly all of one value: a few bright spots must not vanish
        low, high = finite.min(), finite.max()
    with np.errstate(all="ignore"):  # a constant channel; an infinite range
        scaled = (values - low) / (high - low)
    unit = np.nan_to_num(scaled, nan=0, posinf=1, neginf=0).clip(0, 1)
    return np.asarray(unit, np.float32)


def _scaled(
    picture: NDArray[np.uint8], largest: int = _LARGEST
) -> tuple[NDArray[np.uint8], int, int]:
    """The picture at a size for the screen, and the whole factors up and down."""
    side = max(picture.shape[:2])
    up, down = max(1, -(-_SMALLEST // side)), max(1, -(-side // largest))
    if down > 1:
        from skimage.transform import downscale_local_mean

        # An incomplete last block would be averaged with zeros.
        height, width = (max(1, n // down) * down for n in picture.shape[:2])
        picture = np.pad(
            picture,
            [(0, max(0, height - picture.shape[0])), (0, max(0, width - picture.shape[1])), (0, 0)],
            "edge",
        )[:height, :width]
        picture = downscale_local_mean(picture, (down, down, 1)).round().astype(np.uint8)
    return picture.repeat(up, axis=0).repeat(up, axis=1), up, down


def outline(labels: Labels, up: int, down: int) -> NDArray[np.bool_]:
    """Inner boundaries at the picture's size, two pixels wide where it was enlarged."""
    from skimage.morphology import dilation
    from skimage.segmentation import find_boundaries

    height, width = (max(1, n // down) for n in labels.shape)
    resized = labels[down // 2 :: down, down // 2 :: down][:height, :width]
    resized = resized.repeat(up, axis=0).repeat(up, axis=1)
    thin = find_boundaries(resized, mode="inner")
    if up == 1:
        return np.asarray(thin, bool)
    return np.asarray(dilation(thin, np.ones((3, 3), bool)) & (resized > 0), bool)


def _compose(
    panels: Sequence[NDArray[np.uint8]], captions: Sequence[str], title: str, path: Path
) -> Path:
    """Place the panels pixel by pixel below the title, and a legend below them.

    Args:
        panels: of one size.
        captions: a line above each; none at all where it is empty.
        title: wrapped.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = panels[0].shape[:2]
    head = _LINE if captions else 0
    down_the_page = width > 2 * height
    columns, rows = (1, len(panels)) if down_the_page else (len(panels), 1)
    full_width = max(columns * width + (columns + 1) * _MARGIN, _SMALLEST)
    lines = _wrapped(title, full_width - 2 * _MARGIN)
    top = _MARGIN + _LINE * len(lines)
    full_height = top + rows * (head + height + _MARGIN) + _LINE + _MARGIN

    figure = Figure(figsize=(full_width / _DPI, full_height / _DPI), dpi=_DPI, facecolor="white")

    def write(x: float, y: float, text: str) -> None:
        figure.text(
            x / full_width, y / full_height, text,
            va="top", fontsize=_FONT_SIZE, linespacing=1.35,
        )  # fmt: skip

    write(_MARGIN, full_height - _MARGIN / 2, "\n".join(map(escape.mathtext, lines)))
    for place, panel in enumerate(panels):
        column, row = (0, place) if down_the_page else (place, 0)
        x = _MARGIN + column * (width + _MARGIN)
        y = full_height - top - row * (head + height + _MARGIN)
        if captions:
            write(x, y, escape.mathtext(_wrapped(captions[place], width)[0]))
        figure.figimage(panel, x, y - head - height, origin="upper")
    figure.legend(
        handles=[
            Patch(facecolor=np.divide(colour, 255).tolist(), edgecolor="black", label=name)
            for name, colour in OUTLINES.items()
        ],
        loc="lower left", bbox_to_anchor=(_MARGIN / full_width, 0), ncols=3,
        fontsize=_FONT_SIZE, frameon=False, borderaxespad=0, borderpad=0.4,
    )  # fmt: skip
    with missing_glyphs_allowed():
        figure.savefig(path, dpi=_DPI, format="png")
    return path


def _wrapped(text: str, width: float) -> list[str]:
    """The text in lines that fit into so many pixels; one at least."""
    return textwrap.wrap(escape.plain(text), max(1, int(width / _CHARACTER))) or [""]
