"""The three things that pass between the rooms: samples, segmenters, label images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ModelError

Image = NDArray[Any]
Labels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, with its truth where there is one.

    Attributes:
        id: safe name, unique in its data set; it becomes file names.
        image: H x W or H x W x C (C from 1 to 4), dtype as stored.
        labels: H x W integers, 0 = background, one positive integer per object; None where the
            image has no labels.
        group: the volume, slide or movie it was cut from; a group is one cluster.
    """

    id: str
    image: Image
    labels: Labels | None
    group: str


@dataclass(frozen=True)
class Weights:
    """A model's weights: complete on this machine, and their files verified.

    Attributes:
        name: the card's; of the user's own file `user` and the first digits of its digest,
            whatever the file is called.
        mark: `verified` (by a card), `demo` (verified too, but small, and no published model),
            `user` (a path) or `untrained` (made by the tests' own door; no report shows them).
        digests: file -> `<algorithm>:<hexadecimal>`; what the run id is made of.
        confirmed: False where nobody publishes a digest, and the first download's is trusted.
        title: what people call the model with these weights (`PathoSAM`), where that differs.
        architecture: as the card has it; None for the user's own files.
        paths: file -> where it lies. Empty before they are fetched.
        unpickle: whether a file that is more than tensors may be loaded all the same.
    """

    name: str
    mark: str
    digests: Mapping[str, str]
    confirmed: bool = True
    title: str | None = None
    architecture: str | None = None
    paths: Mapping[str, Path] = field(default_factory=dict)
    unpickle: bool = False

    @property
    def label(self) -> str:
        """How a table shows them."""
        title = f" ({self.title})" if self.title else ""
        return f"{self.name}{title}" + ("" if self.confirmed else ", digest unconfirmed")


class WeightsAbout(NamedTuple):
    """What a list of models says of weights.

    Attributes:
        name: the card's, or the path.
        mark: as in `Weights`.
        licence: of the weights.
        state: `here`, or how to get them.
    """

    name: str
    mark: str
    licence: str
    state: str


class WeightsChoice(Protocol):
    """Weights as chosen in a configuration, before anything is loaded or downloaded.

    What an adapter's `find_weights` gives; `models/weights/` has the ones of this repository.
    """

    def about(self) -> WeightsAbout:
        """What a list of models says of them; nothing is read or asked for."""
        ...

    def expected(self) -> Weights | None:
        """What will be loaded; None while no digest is known (before a first download)."""
        ...

    def unavailable_reason(self) -> str | None:
        """Why they can't be had now, and the one command or page that gets them; else None."""
        ...

    def fetch(self) -> Weights:
        """Download what is missing, verify all of it.

        Raises:
            BenchmarkError: a file is not what it should be, or can't be had.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """What an adapter has to offer: `predict`. Nothing else is required.

    What its class may offer besides, and what an instance may say about its last prediction, is
    described by `benchmark.adapter.AdapterInfo` and `PredictionInfo`. Libraries are imported in
    the constructor, not at the top (listing models stays quick) and not in `predict` (a random
    generator is seeded before each call only if its library is there).
    """

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C, any integer or float dtype.

        Returns:
            H x W integers, 0 = background.
        """
        ...


@runtime_checkable
class Attending(Protocol):
    """A segmenter that is given the whole sample before `predict` gets its image.

    Only for the controls, which see the labels, and for predictions made elsewhere.
    """

    def attend(self, sample: Sample) -> None:
        """Take the sample that `predict` is called for next."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """A segmenter that can predict one image under many settings, and shares what they share.

    A search for parameters asks for hundreds of settings of one image, most of which differ in
    the last steps alone: here is the place to encode the image once, to decode each distinct
    prompt once, and to repeat no step whose parameters and input are equal. It is optional; without
    it a segmenter is built for each setting (`benchmark.adapter.predict_each`).
    """

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings.

        Args:
            image: as for `predict`.
            settings: each a mapping of names of the constructor's parameters to values, with any
                name but `weights`, `device`, `cache` and those in `execution`. What one does not
                name has the value that the segmenter was built with: `{}` is `predict` itself.

        Returns:
            For each setting, in order, the label image that `predict` of a segmenter built with
            these parameters returns: equal to the bit on a CPU, and whatever the other settings
            and their order are. It may be the same array for several settings, so that who scores
            it does so once; it is not to be written into. One image is finished, or given up,
            before the segmenter is asked for the next.

        Raises:
            ValueError: a value is invalid, or as for `predict`.
        """
        ...


@runtime_checkable
class Tiled(Protocol):
    """A segmenter that predicts an image in tiles by itself, as its library does.

    It is optional; without it the engine cuts the image, predicts each tile and joins the objects
    (`benchmark.framing.tiling`).
    """

    def predict_tiled(self, image: Image, tile: tuple[int, int], halo: tuple[int, int]) -> Labels:
        """Segment one image in tiles.

        Args:
            image: as for `predict`.
            tile: rows and columns of a tile without its halo.
            halo: rows and columns that a tile is extended by on each side, cut at the image's
                border.

        Returns:
            H x W integers, 0 = background, as `predict`.
        """
        ...


class CutMask(Protocol):
    """A mask, cut to its box."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Its pixels, h x w."""
        ...

    @property
    def row(self) -> int:
        """Where its first row lies in the image."""
        ...

    @property
    def column(self) -> int:
        """Where its first column does."""
        ...


class ProposedMasks(Protocol):
    """A mask for each of P prompts."""

    @property
    def masks(self) -> Sequence[CutMask]:
        """P masks; some may be empty."""
        ...


class PromptArrays(Protocol):
    """P prompts: points, boxes, or both for each."""

    @property
    def points(self) -> NDArray[Any] | None:
        """P x K x 2, each x and y in pixels; None: boxes alone."""
        ...

    @property
    def point_labels(self) -> NDArray[Any] | None:
        """P x K, 1: in the object, 0: not in it; None: all are in it."""
        ...

    @property
    def boxes(self) -> NDArray[Any] | None:
        """P x 4, left, top, right and bottom in pixels; None: points alone."""
        ...


class SegmentationStages(Protocol):
    """The intermediate results of one image; entry i of each belongs to prompt i."""

    @property
    def prompts(self) -> PromptArrays:
        """The P prompts."""
        ...

    @property
    def first(self) -> ProposedMasks:
        """The mask of each prompt."""
        ...

    @property
    def refined(self) -> ProposedMasks | None:
        """The mask that takes the place of each first one; None where masks are not refined."""
        ...

    @property
    def kept(self) -> NDArray[np.int64]:
        """Numbers of the prompts whose last mask is kept by suppression."""
        ...

    @property
    def labels(self) -> Labels:
        """H x W, as `predict` returns it."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A segmenter that shows its prompts and masks, for `action=account`."""

    def segment_stages(self, image: Image) -> SegmentationStages:
        """Segment one image; `labels` equals what `predict` returns.

        A segmenter that is `Attending` is given the sample before.

        Args:
            image: as for `predict`.
        """
        ...


@runtime_checkable
class Mapped(Protocol):
    """A segmenter that shows the maps which it derives prompts or objects from."""

    def maps(self, image: Image) -> Mapping[str, NDArray[Any]]:
        """Name -> map, H x W each.

        Args:
            image: as for `predict`.
        """
        ...


def check_labels(labels: object, image: Image, *, model: str, of: str) -> Labels:
    """Let a label image into the benchmark, or say why not: the one border control.

    Args:
        labels: what the model returned.
        image: the image it was given, H x W or H x W x C.
        model: the model's name, for the message.
        of: what the image is, for the message: `sample 'a'`, or a part of one.

    Returns:
        The same labels, H x W, in the smallest of uint16, uint32 and uint64 that holds
        them; smaller than that is not worth a dtype of its own.

    Raises:
        ModelError: not 2-D, not integer, negative, or of another shape than the image.
    """

    def refuse(what: str) -> ModelError:
        return ModelError(
            f"model '{model}', {of}: {what}. A label image is 2-D, of the image's "
            f"height and width ({image.shape[0]} x {image.shape[1]}), integer, 0 = background."
        )

    if not isinstance(labels, np.ndarray):
        raise refuse(f"predict returned {type(labels).__name__}, not a numpy array")
    arrived = f"an array of shape {labels.shape}, {labels.dtype}"
    if labels.ndim != 2 or labels.shape != image.shape[:2]:
        raise refuse(f"predict returned {arrived}")
    if labels.dtype.kind not in "iu":
        raise refuse(f"predict returned {arrived}: not integers")
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise refuse(f"predict returned negative ids (smallest {labels.min()})")
    return smallest(labels)


def smallest(labels: Labels) -> Labels:
    """The labels in uint16, uint32 or uint64, whichever is the smallest that holds them."""
    top = int(labels.max()) if labels.size else 0
    for dtype in (np.uint16, np.uint32):
        if top <= np.iinfo(dtype).max:
            return labels.astype(dtype, copy=False)
    return labels.astype(np.uint64, copy=False)
