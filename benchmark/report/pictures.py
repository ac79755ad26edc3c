"""Pictures of single samples: which are shown, how they are opened, and how they are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.prepared import Entry, PreparedData, read_verified
from benchmark.errors import BenchmarkError, DataError, StoreError
from benchmark.report import escape
from benchmark.report.results import RunResult
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Image, Labels, Sample

Ranking = Callable[[pd.DataFrame], "pd.Series[float]"]
"""Scores, samples x runs -> a number for each sample that may be shown; the lowest is first."""

Rule = Mapping[str, tuple[Ranking, int]]
"""Why a sample is shown -> how samples are ranked for it, and how many are shown at most."""

# Safe for the colour-blind, and visible on black, on grey and on stained tissue.
OUTLINES = {"true": (0, 176, 255), "predicted": (255, 150, 0), "both": (255, 255, 255)}

# What each channel adds to red, green and blue. Two channels are magenta and green, which
# the colour-blind can distinguish; a fourth channel is grey (an opaque alpha is constant and
# adds nothing).
_COLOURS = {
    1: [[1, 1, 1]],
    2: [[1, 0, 1], [0, 1, 0]],
    3: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    4: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]],
}
DIMMED = 0.65  # brightness of the image below the outlines, so that they show on bright objects
_STRETCH = (1.0, 99.8)  # percentiles that become black and white

_SMALLEST, _LARGEST = 400, 2000  # pixels of the longer side that are shown as they are
_LARGEST_OF_SEVERAL = 800  # likewise, where several predictions are side by side
_MARGIN, _LINE = 12, 18  # pixels
_DPI = 100
_FONT_SIZE = 9
_CHARACTER = 7.6  # pixels, an upper bound of the mean width of a character of this size

_SEED = 0  # of the samples drawn at random


def lowest(scores: pd.DataFrame) -> pd.Series[float]:
    """The lowest mean over runs first."""
    # Rounded: equal means differ in their last bits by the order of the runs.
    return scores.mean(axis="columns").round(9)


def highest(scores: pd.DataFrame) -> pd.Series[float]:
    """The highest mean over runs first."""
    return -lowest(scores)


def middle(scores: pd.DataFrame) -> pd.Series[float]:
    """The mean over runs nearest to its median first; of two equally near, the lower."""
    mean = lowest(scores).sort_values(kind="stable")
    return (mean - mean.median()).abs().round(8)


def differing(scores: pd.DataFrame) -> pd.Series[float]:
    """The largest difference between runs first; without samples on which all agree."""
    span = scores.max(axis="columns") - scores.min(axis="columns")
    return -span[span > 0]


def at_random(scores: pd.DataFrame) -> pd.Series[float]:
    """A random order, the same for the same samples."""
    order = np.random.default_rng(_SEED).permutation(len(scores))
    return pd.Series(np.arange(len(scores), dtype=float), scores.index[order])


def leading(ahead: str, behind: str) -> Ranking:
    """The largest lead of one run over another first; without other samples."""

    def ranking(scores: pd.DataFrame) -> pd.Series[float]:
        lead = scores[ahead] - scores[behind]
        return -lead[lead > 0]

    return ranking


FOR_RUN: Rule = {"worst": (lowest, 2), "best": (highest, 2)}
"""The overlays in the report of a run."""

FOR_FIGURE: Rule = {
    "largest difference": (differing, 1),
    "worst": (lowest, 1),
    "median": (middle, 1),
    "drawn at random": (at_random, 1),
}
"""The figure of a data set: a row of panels per sample."""

FOR_COMPARISON: Rule = {
    "b_better": (leading("b", "a"), 10),
    "a_better": (leading("a", "b"), 10),
}
"""The overlays of a comparison of two runs, `a` and `b`; the reasons begin the files' names."""

SITE_SAMPLES = 12
FOR_SITE: Rule = {
    "worst": (lowest, 3),
    "best": (highest, 2),
    "median": (middle, 2),
    "largest difference": (differing, 3),
    "drawn at random": (at_random, SITE_SAMPLES),
}
"""What the gallery of a data set's page begins with: the first `SITE_SAMPLES`."""


def choose(scores: pd.DataFrame, rule: Rule) -> list[tuple[str, str]]:
    """Choose the samples to show.

    Args:
        scores: samples x runs, higher is better; NaN where a run has no score.
        rule: which samples to show, for which reasons.

    Returns:
        (reason, sample id), in the order of the rule, the first of each reason first. No sample
        is chosen twice, none without a score; ties are in the order of ids.
    """
    scores = scores.astype(float).dropna(how="all").sort_index()
    chosen: dict[str, str] = {}
    for reason, (ranking, most) in rule.items():
        order = map(str, ranking(scores).sort_values(kind="stable").index)
        chosen |= dict.fromkeys([name for name in order if name not in chosen][:most], reason)
    return [(reason, name) for name, reason in chosen.items()]


def some_predicted(samples: Sequence[str]) -> list[tuple[str, str]]:
    """Choose samples of a run without scores, in the form of `choose`."""
    names = sorted(samples)
    order = at_random(pd.DataFrame(index=names)).sort_values().index
    return [("random", str(name)) for name in order[:_UNSCORED_SHOWN]]


_UNSCORED_SHOWN = 4


def scores_of(results: Sequence[RunResult]) -> pd.DataFrame:
    """The score of each sample in each run, samples x runs; NaN where there is none.

    Scores of a metric that is better when lower are negative: higher is always better.
    """
    signed = (result.metric.sign * result.values for result in results)
    return pd.DataFrame(dict(enumerate(signed)))


@dataclass(frozen=True)
class StoredSample:
    """Where a sample and its predictions are stored: little to hand to another process.

    Attributes:
        folder: of the prepared data.
        data: the data set's name, for messages.
        entry: what the manifest says of the sample.
        predictions: store and record of each run; None where a run has no prediction.
    """

    folder: Path
    data: str
    entry: Entry
    predictions: tuple[tuple[RunStore, Record] | None, ...]

    def read(self) -> Sample:
        """Read image and truth, verified.

        Raises:
            DataError: they are missing, or were changed after preparation.
        """
        read = partial(read_verified, self.folder, self.data, self.entry)
        truth = None if self.entry.is_unlabelled else read("labels")
        return Sample(self.entry.id, read("images"), truth, self.entry.group)

    def prediction(self, place: int) -> Labels | None:
        """Read the prediction of a run, verified; None where none is stored as it was recorded."""
        found = self.predictions[place]
        try:
            return None if found is None else found[0].prediction(found[1])
        except StoreError:
            return None


class StoredSamples:
    """Opens samples: image and truth (if any) as they were prepared, predictions as stored.

    Args:
        results: runs on the same images. The images are read where the first run that still
            finds them has them.

    Raises:
        BenchmarkError: no run finds its prepared data, or a run is damaged.
    """

    def __init__(self, results: Sequence[RunResult]) -> None:
        self._data = _first_prepared(results)
        self._entries = {entry.id: entry for entry in self._data.entries}
        stores = {result.path: RunStore(result.path) for result in results}
        self._runs = {path: (store, store.records()) for path, store in stores.items()}

    def entry(self, sample: str) -> Entry:
        """What the manifest of the prepared data says of a sample.

        Raises:
            DataError: it names no such sample.
        """
        if sample not in self._entries:
            raise DataError(f"{self._data.folder} holds no sample '{sample}'")
        return self._entries[sample]

    def read(self, sample: str) -> Sample:
        """Read image and truth, verified.

        Raises:
            DataError: they are missing, or were changed after preparation.
        """
        return self._data.read(self.entry(sample))

    def place(self, sample: str, results: Sequence[RunResult]) -> StoredSample | None:
        """Say where a sample and the predictions of some of the runs are.

        None where the manifest of the prepared data names no such sample.
        """
        if sample not in self._entries:
            return None
        runs = [self._runs[result.path] for result in results]
        found = [(store, records.get(sample)) for store, records in runs]
        return StoredSample(
            self._data.folder,
            self._data.name,
            self._entries[sample],
            tuple(
                (store, record) if record is not None and record.status == "done" else None
                for store, record in found
            ),
        )

    def predicted(self, result: RunResult) -> list[str]:
        """The ids of the samples whose prediction one of the runs has stored."""
        records = self._runs[result.path][1].items()
        return [sample for sample, record in records if record.status == "done"]

    def prediction(self, sample: str, result: RunResult) -> Labels:
        """Read the prediction of one of the runs, verified.

        Raises:
            StoreError: there is none, or it is not the one that was recorded.
        """
        store, records = self._runs[result.path]
        record = records.get(sample)
        if record is None or record.status != "done":
            raise StoreError(f"{result.path} holds no prediction of '{sample}'")
        return store.prediction(record)


def prepared_of(result: RunResult) -> PreparedData:
    """The prepared data that a run was predicted on, in the folder that the run recorded last.

    Raises:
        BenchmarkError: they are no longer there, or hold other images than the run's.
    """
    described = RunStore(result.path).describe()
    if described is None:
        raise DataError(f"{result.path} is no longer there")
    now = str(described.get("labels") or "").startswith(result.truth or "-")
    folder = described.get("prepared") if now else result.prepared or described.get("prepared")
    if not folder:
        raise DataError(f"{result.path} does not say where its prepared data lie")
    data = PreparedData(Path(folder), result.data, result.split)
    if result.truth and not (data.labels_digest() or "").startswith(result.truth):
        raise DataError(
            f"{data.folder} holds other labels than those {result.path.name} was scored against"
        )
    if data.images_digest() != described["identity"]["images"]:
        raise DataError(
            f"{data.folder} holds other images than those that {result.path.name} was predicted on"
        )
    return data


def _first_prepared(results: Sequence[RunResult]) -> PreparedData:
    errors = []
    for result in results:
        try:
            return prepared_of(result)
        except BenchmarkError as error:
            errors.append(error)
    raise errors[0]


def overlay(image: Image, true: Labels | None, predicted: Labels, title: str, path: Path) -> Path:
    """Draw a sample: the image alone, and beside it with true (if any) and predicted outlines.

    Pixels are shown one to one where the longer side has 400 to 2000 of them; smaller
    images are enlarged and larger ones reduced by a whole factor.

    Args:
        image: H x W or H x W x C, C from 1 to 4, any real dtype; contrast is stretched per
            channel.
        true: H x W label image; None where there is none.
        predicted: H x W label image.
        title: one line, wrapped where it is longer than the picture.
        path: the PNG to write, in a folder that exists.

    Returns:
        `path`.

    Raises:
        DataError: the shapes differ, or there are more than four channels.
    """
    return overlay_each(image, true, {"": predicted}, title, path)


def overlay_each(
    image: Image, true: Labels | None, predictions: Mapping[str, Labels], title: str, path: Path
) -> Path:
    """Draw a sample: the image alone, then for each prediction its outlines and the true ones.

    As `overlay`, but of several predictions: images are reduced above 800 pixels.

    Args:
        image: as for `overlay`.
        true: H x W label image; None where there is none.
        predictions: caption above the panel -> H x W label image. A single one has no caption.
        title: one line, wrapped where it is longer than the picture.
        path: the PNG to write, in a folder that exists.

    Returns:
        `path`.

    Raises:
        DataError: the shapes differ, or there are more than four channels.
    """
    for predicted in predictions.values():
        shape = predicted.shape if true is None else true.shape
        if not image.shape[:2] == shape == predicted.shape:
            raise DataError(
                f"An image of shape {image.shape} can't be drawn with labels of shapes "
                f"{shape} (true) and {predicted.shape} (predicted)."
            )
    several = len(predictions) > 1
    shown, up, down = _scaled(rgb(image), _LARGEST_OF_SEVERAL if several else _LARGEST)
    of_truth = np.zeros(shown.shape[:2], bool) if true is None else outline(true, up, down)
    pictures = [shown]
    for predicted in predictions.values():
        outlined = (DIMMED * shown).astype(np.uint8)
        of_prediction = outline(predicted, up, down)
        masks = (of_truth, of_prediction, of_truth & of_prediction)
        for mask, colour in zip(masks, OUTLINES.values(), strict=True):
            outlined[mask] = colour
        pictures.append(outlined)
    captions = ["image", *predictions] if several else []
    legend = ["predicted"] if true is None else list(OUTLINES)
    return _compose(pictures, captions, legend, title, path)


def rgb(image: Image) -> NDArray[np.uint8]:
    """Convert any image to H x W x 3, each channel stretched between two of its percentiles.

    Raises:
        DataError: it has more than four channels.
    """
    channels = image[..., np.newaxis] if image.ndim == 2 else image
    if channels.ndim != 3 or channels.shape[2] not in _COLOURS:
        raise DataError(f"An image of shape {image.shape} can't be drawn: 1 to 4 channels can.")
    count = channels.shape[2]
    limits = [_limits(channels[..., c]) for c in range(count)]
    colours = np.array(_COLOURS[count], np.float32)
    found = np.empty((*channels.shape[:2], 3), np.uint8)
    for rows in _parts(len(channels)):  # floats of a large image at once would fill the memory
        planes = [_stretched(channels[rows, :, c], limits[c]) for c in range(count)]
        mixed = np.stack(planes, axis=-1) @ colours
        found[rows] = (255 * mixed.clip(0, 1)).round()
    return found


def _parts(length: int, size: int = 256) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, length, size))


def _limits(plane: NDArray[Any]) -> tuple[Any, Any] | None:
    """The values that become 0 and 1 in a picture; None where none is finite."""
    values = plane.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    smallest, largest = finite.min(), finite.max()
    del values
    low, high = np.percentile(finite, _STRETCH, overwrite_input=True)
    # Where nearly all pixels are equal, a few bright spots stay visible.
    return (smallest, largest) if high <= low else (low, high)


def _stretched(plane: NDArray[Any], limits: tuple[Any, Any] | None) -> NDArray[np.float32]:
    """Scale one channel to [0, 1]; constant channels, NaN and -inf become 0, +inf becomes 1."""
    if limits is None:
        return np.zeros(plane.shape, np.float32)
    low, high = limits
    with np.errstate(all="ignore"):  # a constant channel; an infinite range
        scaled = (plane.astype(np.float64) - low) / (high - low)
    unit = np.nan_to_num(scaled, nan=0, posinf=1, neginf=0).clip(0, 1)
    return np.asarray(unit, np.float32)


def _scaled(
    picture: NDArray[np.uint8], largest: int = _LARGEST
) -> tuple[NDArray[np.uint8], int, int]:
    """Resize a picture for the screen; return it with the whole factors up and down."""
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
        smaller = np.empty((height // down, width // down, 3), np.uint8)
        for rows in _parts(len(smaller), 32):
            blocks = picture[rows.start * down : rows.stop * down]
            smaller[rows] = downscale_local_mean(blocks, (down, down, 1)).round()
        picture = smaller
    return picture.repeat(up, axis=0).repeat(up, axis=1), up, down


def outline(labels: Labels, up: int, down: int) -> NDArray[np.bool_]:
    """Find inner boundaries at the picture's size, two pixels wide where it was enlarged."""
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
    panels: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    legend: Sequence[str],
    title: str,
    path: Path,
) -> Path:
    """Place the panels pixel by pixel below the title, and a legend below them.

    Args:
        panels: of one size.
        captions: a line above each panel, or an empty sequence for none.
        legend: the keys of `OUTLINES` that are explained below.
        title: wrapped.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    # The figures' package imports this module.
    from benchmark.report.figures.style import missing_glyphs_allowed

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
            Patch(facecolor=np.divide(OUTLINES[name], 255).tolist(), edgecolor="black", label=name)
            for name in legend
        ],
        loc="lower left", bbox_to_anchor=(_MARGIN / full_width, 0), ncols=3,
        fontsize=_FONT_SIZE, frameon=False, borderaxespad=0, borderpad=0.4,
    )  # fmt: skip
    with missing_glyphs_allowed():
        figure.savefig(path, dpi=_DPI, format="png")
    return path


def _wrapped(text: str, width: float) -> list[str]:
    """Split a text into lines of at most `width` pixels; at least one line."""
    return textwrap.wrap(escape.plain(text), max(1, int(width / _CHARACTER))) or [""]
