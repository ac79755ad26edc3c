"""Annotated microscopy images drawn from a seed: four styles, no download, no licence.

They are cartoons: good for trying the benchmark out, for tests, and for training the
demo weights. Numbers computed on them say nothing about real images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.uint16]
Pixels = NDArray[np.uint8 | np.uint16]

MIN_SIZE = 64  # pixels; a large organoid fills it
MAX_SIZE = 4096  # pixels; the ids fit uint16
MIN_AREA = 20  # pixels; what the image's border cuts smaller than this nobody would annotate
OVERLAP = 1.5  # pixels two outlines may run into each other: over one, a step, so they touch
READ_NOISE = 8  # photons
TRIES = 20


@dataclass(frozen=True)
class Style:
    """How one kind of picture is drawn.

    Attributes:
        count: fewest and most objects that are tried per 256 x 256 pixels.
        crowding: probability that an object is pushed up against an earlier one.
        jitter: standard deviation of the angle between such neighbours, in radians.
        shape: (random stream, angle in radians) -> one object as a height over its outline,
            in pixels, positive inside; an odd square array, the object at its centre.
        light: (random stream, H x W labels) -> photons expected in each pixel, H x W.
        gain: grey levels per photon.
        white: the camera's largest grey level; uint8 where it fits, else uint16.
    """

    count: tuple[int, int]
    crowding: float
    jitter: float
    shape: Callable[[Generator, float], Floats]
    light: Callable[[Generator, Ids], Floats]
    gain: float
    white: int


def draw(style: str, index: int, seed: int, size: int = 256) -> tuple[Pixels, Ids]:
    """Draw one image with its truth.

    The random stream depends on (seed, style, index) alone, so that image k is the same
    however many are drawn, in whatever order.

    Args:
        style: a name in `STYLES`.
        index: which image of the style, 0 or more.
        seed: 0 or more.
        size: height and width in pixels, 64 to 4096.

    Returns:
        The image, size x size, uint16 for `fluorescent_nuclei` (a 12-bit camera) and
        uint8 for the other styles; and its labels, size x size, uint16, 0 = background,
        ids consecutive from 1, every object one 4-connected piece.

    Raises:
        ValueError: unknown style, negative index or seed, or a size out of range.
    """
    if style not in STYLES:
        raise ValueError(f"no style '{style}': give one of {', '.join(sorted(STYLES))}")
    if index < 0 or seed < 0:
        raise ValueError(f"index {index}, seed {seed}: give 0 or more")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size}: give {MIN_SIZE} to {MAX_SIZE} pixels")
    # The name's own bytes, not its place in STYLES: a new style leaves the others as they are.
    name = int.from_bytes(style.encode(), "big")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, name)))
    labels = _scatter(rng, STYLES[style], size)
    return _expose(rng, STYLES[style], labels), labels


def _scatter(rng: Generator, style: Style, size: int) -> Ids:
    """Place objects one by one; where two overlap, the higher one has the pixel."""
    count = max(1, round(int(rng.integers(*style.count, endpoint=True)) * (size / 256) ** 2))
    height: Floats = np.zeros((size, size))
    labels = np.zeros((size, size), np.uint16)
    placed: list[tuple[float, float, float]] = []
    for label in range(1, count + 1):
        beside = bool(placed) and rng.random() < style.crowding
        for _ in range(TRIES):
            (y, x), (heading, angle) = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi, 2)
            if beside:
                y, x, near = placed[rng.integers(len(placed))]
                angle = near + rng.normal(0, style.jitter)
            stamp = style.shape(rng, angle)
            spot = _settle(height, stamp, (y, x), heading, 2 * size if beside else 1)
            if spot:
                here, part = _window(stamp, *spot, size)
                wins = part > height[here]
                labels[here][wins] = label
                height[here][wins] = part[wins]
                placed.append((*spot, angle))
                break
    return _tidy(labels)


def _settle(
    height: Floats, stamp: Floats, start: tuple[float, float], heading: float, steps: int
) -> tuple[float, float] | None:
    """Walk from `start`, a pixel a step, to the first spot in the image where a stamp fits.

    It fits where it reaches no deeper than OVERLAP into others; so what had to walk touches.
    """
    size = height.shape[0]
    for step in range(steps):
        y, x = start[0] + step * np.sin(heading), start[1] + step * np.cos(heading)
        if not (0 <= y < size and 0 <= x < size):
            return None
        here, part = _window(stamp, y, x, size)
        if not (np.minimum(part, height[here]) > OVERLAP).any():
            return y, x
    return None


def _window(stamp: Floats, y: float, x: float, size: int) -> tuple[tuple[slice, slice], Floats]:
    """Where a stamp centred on (y, x) falls in the image, and the part of it that does."""
    top, left = int(y) - stamp.shape[0] // 2, int(x) - stamp.shape[1] // 2
    rows = slice(max(0, top), min(size, top + stamp.shape[0]))
    columns = slice(max(0, left), min(size, left + stamp.shape[1]))
    part = stamp[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return (rows, columns), part


def _tidy(labels: Ids) -> Ids:
    """Keep each object's largest piece, drop slivers, number what is left from 1."""
    from scipy import ndimage

    tidy = np.zeros_like(labels)
    following = 1
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, _ = ndimage.label(labels[box] == label)
        areas = np.bincount(pieces.ravel())[1:]
        if areas.max() >= MIN_AREA:
            tidy[box][pieces == areas.argmax() + 1] = following
            following += 1
    return tidy


def _axes(reach: float, angle: float) -> tuple[Floats, Floats]:
    """Coordinates along and across an axis at `angle`, 0 at the centre of an odd square."""
    side = np.arange(-int(reach) - 1, int(reach) + 2)
    y, x = side[:, np.newaxis], side
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _blob(rng: Generator, angle: float, radius: float, stretch: float, wobble: float) -> Floats:
    """An ellipse of area pi radius^2, `stretch` times as long as wide, its outline uneven."""
    waves = np.arange(2, 7)
    sizes = rng.normal(0, wobble, len(waves)) / (waves - 1)
    starts = rng.uniform(0, 2 * np.pi, len(waves))
    along, across = _axes(radius * np.sqrt(stretch) * (1 + np.abs(sizes).sum()), angle)
    along, across = along / np.sqrt(stretch), across * np.sqrt(stretch)
    turn = np.arctan2(across, along)[..., np.newaxis]
    uneven = (sizes * np.cos(waves * turn + starts)).sum(axis=-1)
    height: Floats = radius * (1 + uneven) - np.hypot(along, across)
    return height


def _nucleus(rng: Generator, angle: float) -> Floats:
    return _blob(rng, angle, np.clip(rng.normal(11, 2.2), 6, 17), rng.uniform(1, 1.7), 0.05)


def _cell(rng: Generator, angle: float) -> Floats:
    if rng.random() < 0.15:  # rounded up, about to divide
        return _blob(rng, angle, rng.uniform(7, 9), rng.uniform(1, 1.2), 0.03)
    return _blob(rng, angle, rng.uniform(10, 17), rng.uniform(1.2, 3.5), 0.17)


def _rod(rng: Generator, angle: float) -> Floats:
    """A capsule, bent a little, some pinched in the middle where they divide."""
    length, radius = rng.uniform((8, 3.6), (30, 4.6))
    pinch = rng.choice([0.0, 0.35]) if length > 18 else 0.0
    bend = rng.normal(0, 0.006)
    along, across = _axes(length / 2 + radius + 2, angle)
    spine = np.linspace(-length / 2, length / 2, int(length) + 1)
    width = radius * (1 - pinch * np.exp(-((spine / 2) ** 2)))
    apart = np.hypot(along[..., np.newaxis] - spine, across[..., np.newaxis] - bend * spine**2)
    height: Floats = (width - apart).max(axis=-1)
    return height


def _organoid(rng: Generator, angle: float) -> Floats:
    return _blob(rng, angle, np.exp(rng.uniform(*np.log((8, 46)))), rng.uniform(1, 1.4), 0.06)


def _blur(image: Floats, sigma: float) -> Floats:
    from scipy import ndimage

    blurred: Floats = ndimage.gaussian_filter(image, sigma, mode="reflect", truncate=3)
    return blurred


def _field(rng: Generator, shape: tuple[int, ...], sigma: float) -> Floats:
    """Smooth noise of grain `sigma` pixels, mean 0, standard deviation 1."""
    noise = _blur(rng.normal(size=shape), sigma)
    field: Floats = (noise - noise.mean()) / noise.std()
    return field


def _lamp(rng: Generator, shape: tuple[int, ...], fall: float) -> Floats:
    """Uneven illumination: 1 at a spot near the centre, `fall` less at the farthest corner."""
    y, x = (np.linspace(-1, 1, n) - rng.uniform(-0.4, 0.4) for n in shape)
    far = y[:, np.newaxis] ** 2 + x**2
    dimmed: Floats = 1 - fall * far / far.max()
    return dimmed


def _depth(labels: Ids) -> Floats:
    """Pixels from each object's pixel to the nearest pixel that is not its own; 0 outside."""
    from scipy import ndimage

    # Filters reflect at the image's border: an object cut there has no outline there.
    alike = ndimage.minimum_filter(labels, size=3) == ndimage.maximum_filter(labels, size=3)
    inner: Floats = ndimage.distance_transform_edt((labels > 0) & alike)
    return inner + (labels > 0)


def _expose(rng: Generator, style: Style, labels: Ids) -> Pixels:
    """Light the scene, add shot and read noise, and round to grey levels."""
    photons = style.light(rng, labels)
    # Not a Poisson draw: it rejects, so one pixel's last bit could shift the stream of the rest.
    spread = np.sqrt(np.maximum(photons, 0) + READ_NOISE**2)
    levels = np.rint((photons + rng.normal(size=photons.shape) * spread) * style.gain)
    pixels: Pixels = np.clip(levels, 0, style.white).astype(np.min_scalar_type(style.white))
    return pixels


def _light_nuclei(rng: Generator, labels: Ids) -> Floats:
    stain = rng.lognormal(0, 0.4, labels.max() + 1)[labels]
    chromatin = 1 + 0.16 * _field(rng, labels.shape, 1.6) + 0.1 * _field(rng, labels.shape, 4)
    nucleoli = 1 - 0.35 * (_field(rng, labels.shape, 2.2) > 1.7)
    body = stain * chromatin * nucleoli * (1 - np.exp(-_depth(labels) / 2.5))
    glow = _blur(body, rng.uniform(0.9, 1.6)) + 0.15 * _blur(body, 14)
    haze = 0.09 + 0.012 * _field(rng, labels.shape, 30)
    return 330 * (glow + haze) * _lamp(rng, labels.shape, 0.5)


def _light_cells(rng: Generator, labels: Ids) -> Floats:
    depth = _depth(labels)
    highest = np.zeros(labels.max() + 1)
    np.maximum.at(highest, labels, depth)
    # Of one volume: the less ground a cell covers, the thicker it stands, rounded up above all.
    areas = np.bincount(labels.ravel(), minlength=len(highest))
    mass = np.clip(rng.lognormal(6, 0.15, len(highest)) / np.maximum(areas, 1), 0.55, 2)[labels]
    nucleus = _blur((depth > 0.5 * highest[labels]).astype(np.float64), 1.2)
    nucleoli = nucleus * (_field(rng, labels.shape, 1.6) > 1.6)
    granules = (1 - 0.7 * nucleus) * _field(rng, labels.shape, 1.3)
    texture = 1 + 0.2 * granules + 0.1 * nucleus + 0.3 * nucleoli
    phase = _blur(mass * (1 - np.exp(-depth / 2)) * texture, 0.8)
    # The phase ring takes in some of the light the cell bends: the halo is the cell's blur.
    halo = 0.8 * _blur(phase, 3) + 0.2 * _blur(phase, 9)
    grey = 1 - 0.85 * np.tanh(1.9 * (phase - halo)) + 0.02 * _field(rng, labels.shape, 3)
    return 900 * grey * _lamp(rng, labels.shape, 0.3)


def _light_rods(rng: Generator, labels: Ids) -> Floats:
    mass = rng.uniform(0.8, 1.15, labels.max() + 1)[labels]
    texture = 1 + 0.08 * _field(rng, labels.shape, 1.5)
    phase = _blur(mass * np.sqrt(np.minimum(_depth(labels), 2.5) / 2.5) * texture, 1)
    grey = 1 - 0.75 * (phase - 0.75 * _blur(phase, 4)) + 0.015 * _field(rng, labels.shape, 2)
    return 1300 * grey * _lamp(rng, labels.shape, 0.25)


def _light_organoids(rng: Generator, labels: Ids) -> Floats:
    depth = _depth(labels)
    cover = (labels > 0).astype(np.float64)
    looks = rng.uniform((2.0, 0.35, 0.0), (5.0, 0.6, 0.14), (labels.max() + 1, 3))
    wall, dark, lumen = looks.T[:, labels]
    rim = (
        dark * np.exp(-(((depth - wall) / wall) ** 2)) * (1 + 0.25 * _field(rng, cover.shape, 1.5))
    )
    inside = rim + lumen * (1 + 0.4 * _field(rng, cover.shape, 3))
    glint = _blur(cover, 1) - _blur(cover, 3)
    dirt = _blur((_field(rng, cover.shape, 1.5) > 3.2).astype(np.float64), 3)
    grey = 1 - _blur(cover * inside, 1.2) - 0.12 * glint - dirt
    return 1500 * (grey + 0.03 * _field(rng, cover.shape, 35)) * _lamp(rng, cover.shape, 0.35)


STYLES: dict[str, Style] = {
    "fluorescent_nuclei": Style((30, 60), 0.5, 1.0, _nucleus, _light_nuclei, 3.2, 4095),
    "phase_contrast_cells": Style((20, 42), 0.6, 0.4, _cell, _light_cells, 0.14, 255),
    "rod_bacteria": Style((35, 65), 0.8, 0.15, _rod, _light_rods, 0.14, 255),
    "bright_field_organoids": Style((6, 15), 0.4, 1.0, _organoid, _light_organoids, 0.14, 255),
}
