"""Crops as the encoder meets them: windows of SAM's 1024 x 1024 frame, with the right answers.

The geometry is inference's own. SAM scales an image until its longer side has 1024 pixels and pads
the other one at its end; of one with 256 x 256 pixels each becomes 4 x 4, of one with 520 x 696
(u20s) 1.5 x 1.5. So scale is not free to choose: a nucleus of 15 pixels in the former and one of 35
in the latter both arrive with some 50. An image is therefore scaled as inference would scale
it, times a little (0.7 to 1.4), never cropped first and scaled to 1024 after, which would show the
network nuclei several times too large.

Most crops are windows of 512 of these 1024 pixels, a quarter of a frame's cost: convolutions do not
care. The mask decoder does: its attention runs over all cells of the embedding, and a softmax over
1024 of them is another one than over 4096; and it knows places. So windows lie anywhere in
the frame and carry its coordinates, and whole frames, padding included, come in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from demo.pictures import Collection, Picture, pieces
from demo.targets import truth
from demo.turns import COUNT, turned, turned_boxes, turned_points
from models.demo.encoder import POOL, SIDE, STRIDE

_ZOOM = (0.7, 1.4)
_MIN_AREA = 8  # pixels of the encoder: what a crop's edge leaves of an object
_BEYOND = 0.25  # of a window: how far it may reach over the end of an image
_JITTER = 0.1  # of a box's side: how far each of its edges may lie beside the object's
_BOX_OF_NOTHING = (10, 60)  # pixels of the encoder, the sides of a box that means no object
# Of `Sam.preprocess`, averaged over the colours as the encoder does: grey -> gain * grey - level.
_STD = np.array([58.395, 57.12, 57.375])
_GAIN = float((1 / _STD).mean())
_LEVEL = float((np.array([123.675, 116.28, 103.53]) / _STD).mean())

KINDS = ("points", "boxes", "both")
"""What the prompts of a crop are, by number."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """Crops of one size."""

    side: int  # of the crop, in pixels of SAM's 1024; a multiple of 256
    count: int  # crops in a batch
    prompts: int  # in each
    twin: bool = False  # the batch's last crop is the one before it, turned, elsewhere in the frame
    boxes: bool = False  # a crop's prompts are of any of `KINDS`, equally often; else points


class Batch(NamedTuple):
    """Crops, stacked: B of S x S pixels of the encoder (2 x 2 of SAM's each), with P prompts each.

    The truth at a lower resolution is the mean over pixels.
    """

    grey: Floats  # B x 1 x S x S, normalised
    origin: Floats  # B x 2, row and column of the first pixel in SAM's 1024 x 1024
    maps: Floats  # B x 3 x S/2 x S/2, see `targets.Truth`
    places: Floats  # B x 3 x S/4 x S/4: foreground; offset to the object's centre, in SAM's pixels
    pure: Floats  # B x 1 x S/4 x S/4: 1 where the offset is that of one object alone, else 0
    labels: NDArray[np.int32]  # B x S x S
    points: Floats  # B x P x 2, x and y in SAM's 1024, as a predictor passes them
    boxes: Floats  # B x P x 4, left, top, right, bottom likewise; unused where there are points
    kinds: NDArray[np.int64]  # B, the number in `KINDS`
    objects: NDArray[np.int64]  # B x P, the id of the object that a prompt means; 0: background
    turns: NDArray[np.int64]  # B, of a twin how the crop before it was turned; else 0


class _Cut(NamedTuple):
    """What is drawn at random of a crop."""

    grey: Floats  # S x S
    labels: NDArray[np.int32]  # S x S
    points: NDArray[np.float64]  # P x 2, x and y in pixels of `labels`
    objects: NDArray[np.int64]  # P
    boxes: NDArray[np.float64]  # P x 4, left, top, right, bottom; 0 is where the first pixel begins
    kind: int  # the number in `KINDS`
    zoom: float  # pixels of SAM's 1024 per pixel of the image
    origin: NDArray[np.float64]  # as of a batch
    turn: int = 0


def batch(collection: Collection, shape: Shape, seed: int, step: int, part: int) -> Batch:
    """The crops of a part of a step, which depend on nothing but the arguments."""
    cuts: list[_Cut] = []
    for index in range(part * shape.count, (part + 1) * shape.count):
        rng = np.random.default_rng([seed, step, shape.side, index])
        twin = shape.twin and len(cuts) == shape.count - 1
        cuts.append(
            _twin(cuts[-1], shape, rng) if twin else _cut(collection.choose(rng), shape, rng)
        )
    return Batch(*(np.stack(values) for values in zip(*map(_answered, cuts), strict=True)))


def crop(picture: Picture, shape: Shape, rng: np.random.Generator) -> Batch:
    """One crop: a batch without its first axis."""
    return _answered(_cut(picture, shape, rng))


def _cut(picture: Picture, shape: Shape, rng: np.random.Generator) -> _Cut:
    """A part of an image."""
    picture = _turned(picture, rng)
    zoom = SIDE / max(picture.grey.shape) * float(np.exp(rng.uniform(*np.log(_ZOOM))))
    picture, start = _placed(picture, zoom, shape.side, rng)
    grey = _scaled(picture, zoom, start, shape.side, rng)
    labels = _labels(picture.labels, zoom, start, shape.side)
    origin = _origin(shape, rng)
    points, objects = _prompts(labels, shape.prompts, rng)
    boxes, kind = np.zeros((shape.prompts, 4)), 0
    if shape.boxes:
        boxes, kind = _boxes(labels, points, objects, rng), int(rng.integers(len(KINDS)))
    return _Cut(grey, labels, points, objects, boxes, kind, zoom, origin)


def _twin(cut: _Cut, shape: Shape, rng: np.random.Generator) -> _Cut:
    """A crop turned: every answer to it must be the first one's, turned."""
    turn = int(rng.integers(1, COUNT))
    grey, labels = (np.ascontiguousarray(turned(each, turn)) for each in (cut.grey, cut.labels))
    side = len(labels)
    points, boxes = turned_points(cut.points, turn, side), turned_boxes(cut.boxes, turn, side)
    return cut._replace(
        grey=grey, labels=labels, points=points, boxes=boxes, origin=_origin(shape, rng), turn=turn
    )


def _origin(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Row and column, somewhere in the frame."""
    return rng.integers((SIDE - shape.side) // STRIDE + 1, size=2).astype(np.float64) * STRIDE


def _answered(cut: _Cut) -> Batch:
    """A crop with what the networks are to answer."""
    found = truth(cut.labels)
    # An image's pixel x is at x * zoom for a predictor, its centre at (x + 0.5) * zoom.
    start = cut.origin[::-1]
    points = start + (cut.points + 0.5) * POOL - cut.zoom / 2
    # A box goes from the first to the last pixel of its object.
    boxes = np.tile(start, 2) + cut.boxes * POOL - np.array([0, 0, cut.zoom, cut.zoom])
    places, pure = _places(cut.labels, found.offsets)
    return Batch(
        grey=cut.grey[None].astype(np.float32),
        origin=cut.origin.astype(np.float32),
        maps=_mean(found.maps, 2).astype(np.float32),
        places=places.astype(np.float32),
        pure=pure.astype(np.float32),
        labels=cut.labels,
        points=points.astype(np.float32),
        boxes=boxes.astype(np.float32),
        kinds=np.array(cut.kind),
        objects=cut.objects,
        turns=np.array(cut.turn),
    )


def _turned(picture: Picture, rng: np.random.Generator) -> Picture:
    """One of the eight ways to lay an image down."""
    turn = int(rng.integers(4)) + 4 * int(rng.integers(2))
    grey, labels = (turned(each, turn) for each in (picture.grey, picture.labels))
    return picture._replace(grey=grey, labels=labels)


def _placed(
    picture: Picture, zoom: float, side: int, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.float64]]:
    """Where the crop starts, in pixels of the scaled image, which is mirrored where too small."""
    sides = np.array(picture.grey.shape)
    lacking = np.maximum(np.ceil(side / zoom).astype(int) - sides, 0)
    if lacking.any() and rng.random() < 0.5:
        wider = [(0, int(n)) for n in np.minimum(lacking, sides)]
        grey = np.pad(picture.grey, wider, "symmetric")
        labels = np.pad(picture.labels, wider, "symmetric")
        picture = picture._replace(grey=grey, labels=pieces(labels))
        sides = np.array(grey.shape)
    # SAM's padding lies at an image's end only.
    beyond = _BEYOND * side if side < SIDE and rng.random() < 0.3 else 0
    return picture, rng.uniform(0, 1, 2) * np.maximum(sides * zoom + beyond - side, 0)


def _scaled(
    picture: Picture, zoom: float, start: NDArray[np.float64], side: int, rng: np.random.Generator
) -> Floats:
    """The crop's grey values, S x S, normalised; 0 where SAM pads."""
    sides = np.array(picture.grey.shape)
    first = start / zoom
    size = np.minimum(np.round(sides * zoom - start), side).astype(int)
    last = np.minimum(first + size / zoom, sides)
    low = np.maximum(np.floor(first).astype(int) - 2, 0)
    high = np.minimum(np.ceil(last).astype(int) + 2, sides)
    part = _exposed(picture.grey[low[0] : high[0], low[1] : high[1]], picture.drawn, rng)
    (top, left), (bottom, right) = (first - low).tolist(), (last - low).tolist()
    # As `ResizeLongestSide`, which resizes a PIL image of 8 bit.
    scaled = Image.fromarray(part).resize(
        (int(size[1]), int(size[0])), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    frame = np.zeros((side, side), np.float32)
    # Grey levels as `Sam.preprocess` and the encoder's mean over colours make them.
    normalised = np.asarray(scaled, np.float32) * np.float32(_GAIN) - np.float32(_LEVEL)
    frame[: size[0], : size[1]] = normalised
    return _mean(frame, POOL)


def _exposed(grey: NDArray[np.uint8], drawn: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure of the same image, uint8."""
    values = grey.astype(np.float32) / 255
    if rng.random() < 0.2:
        values = ndimage.gaussian_filter(values, rng.uniform(0.3, 1.0))
    if rng.random() < 0.7:
        values = values ** np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.5:
        # One bright speck, and all else is dim once the range is stretched.
        values = values * rng.uniform(0.4, 1.0) + rng.uniform(0, 0.12)
    if rng.random() < 0.4:
        values = values + rng.normal(size=values.shape) * rng.uniform(0, 0.05)
    if not drawn and rng.random() < 0.08:
        values = 1 - values
    exposed: NDArray[np.uint8] = (np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(exposed)


def _labels(
    labels: NDArray[np.int32], zoom: float, start: NDArray[np.float64], side: int
) -> NDArray[np.int32]:
    """The crop's labels at the encoder's resolution, S x S, each piece an object."""
    found = np.zeros((side // POOL,) * 2, np.int32)
    middle = (np.arange(side // POOL) + 0.5) * POOL
    rows, columns = (((s + middle) / zoom).astype(int) for s in start)
    rows, columns = rows[rows < labels.shape[0]], columns[columns < labels.shape[1]]
    found[: len(rows), : len(columns)] = labels[np.ix_(rows, columns)]
    found = pieces(found)
    small = np.bincount(found.ravel()) < _MIN_AREA
    if small.any():
        kept = np.where(small, 0, np.cumsum(~small) - (not small[0]))
        found = kept.astype(np.int32)[found]
    return found


def _places(labels: NDArray[np.int32], offsets: Floats) -> tuple[Floats, Floats]:
    """See `Batch`: 3 x S/4 x S/4 and 1 x S/4 x S/4."""
    inside = (labels > 0).astype(np.float32)
    cover = _mean(inside, 4)
    own = np.mgrid[: labels.shape[0], : labels.shape[1]].astype(np.float32) + 0.5
    centers = _mean((own + offsets) * inside, 4) / np.maximum(cover, 1e-6)
    away = (centers - _mean(own, 4)) * POOL * (cover > 0)
    blocks = labels.reshape(labels.shape[0] // 4, 4, -1, 4)
    lowest = np.where(blocks > 0, blocks, np.iinfo(np.int32).max).min(axis=(1, 3))
    pure = (cover > 0) & (lowest == blocks.max(axis=(1, 3)))
    return np.concatenate([cover[None], away]), pure[None].astype(np.float32)


def _mean(values: Floats, size: int) -> Floats:
    """The mean over blocks of size x size in the last two axes."""
    *others, height, width = values.shape
    blocks = values.reshape(*others, height // size, size, width // size, size)
    mean: Floats = blocks.mean(axis=(-3, -1))
    return mean


def _prompts(
    labels: NDArray[np.int32], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points, x and y in pixels of the encoder, and the objects they mean (0: background).

    Half of them about the middle of an object, where APG sets its points; the others anywhere in
    one; and one in ten, as a grid would, beside all objects.
    """
    ids = rng.permutation(int(labels.max())) + 1
    boxes = ndimage.find_objects(labels)
    background = np.argwhere(labels == 0)
    points, objects = np.zeros((count, 2)), np.zeros(count, np.int64)
    for index in range(count):
        if len(ids) and (rng.random() >= 0.1 or not len(background)):
            chosen = int(ids[index % len(ids)])
            box = boxes[chosen - 1]
            own = np.argwhere(labels[box] == chosen)
            if rng.random() < 0.5:
                middle = own.mean(axis=0) + rng.normal(size=2) * 0.15 * np.sqrt(len(own))
                spot = own[np.square(own - middle).sum(axis=1).argmin()]
            else:
                spot = own[rng.integers(len(own))]
            points[index] = spot[0] + box[0].start, spot[1] + box[1].start
            objects[index] = chosen
        else:
            points[index] = background[rng.integers(len(background))]
    return points[:, ::-1], objects


def _boxes(
    labels: NDArray[np.int32],
    points: NDArray[np.float64],
    objects: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A box for each point, see `_Cut`.

    Around its object, as somebody would draw it: each edge lies a little beside. Around a point in
    the background, of any size.
    """
    shortest, longest = np.log(_BOX_OF_NOTHING)
    sides = np.exp(rng.uniform(shortest, longest, (len(points), 2)))
    boxes = np.concatenate([points + 0.5 - sides / 2, points + 0.5 + sides / 2], axis=1)
    places = ndimage.find_objects(labels)
    for index in np.flatnonzero(objects):
        rows, columns = places[objects[index] - 1]
        boxes[index] = columns.start, rows.start, columns.stop, rows.stop
    extent = boxes[:, 2:] - boxes[:, :2]
    moved = boxes + rng.uniform(-_JITTER, _JITTER, boxes.shape) * np.tile(extent, 2)
    inside: NDArray[np.float64] = np.clip(moved, 0, len(labels))
    return inside
