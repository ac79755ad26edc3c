"""SAM and micro-sam's decoder: loaded from tensors, shared by the methods that start from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ModelError
from benchmark.store.digest import array_digest
from benchmark.types import Weights
from models.architecture import ARCHITECTURES, Architecture, architecture_of
from models.common.out_of_memory import is_out_of_memory
from models.common.precision import keep_places_exact
from models.common.torch_adapter import TorchAdapter
from models.embeddings import Computed, key, packed, unpacked
from models.weights.checkpoint import (
    another_architecture,
    confirm_loaded,
    load_parameters,
    open_checkpoint,
    tensors,
)

RGB = NDArray[np.uint8]
Maps = NDArray[np.float32]


class Backbone:
    """SAM, perhaps with micro-sam's decoder, and what they last made of an image.

    All modes with the same weights share one in a process, so that an image is encoded and
    decoded once for all of them; processes share what is kept on disk (`adapter.cache`).

    Args:
        sam: the `segment_anything` model.
        decoder: micro-sam's, if there is one.
        known_by: what distinguishes these weights from others.

    Attributes:
        predictor: `segment_anything`'s, holding the image that was last given to `encode`.
    """

    def __init__(self, sam: Any, decoder: Any | None, known_by: Mapping[str, Any]) -> None:
        from segment_anything import SamPredictor

        self.predictor = SamPredictor(sam)
        self.decoder = decoder
        self._known_by = dict(known_by)
        self._last: dict[str, Computed] = {}

    def encode(self, image: RGB, adapter: TorchAdapter) -> dict[str, Any]:
        """The image's embedding, which the predictor is set to.

        Args:
            image: H x W x 3, uint8, as `models.common.images.to_rgb8` makes it.
            adapter: the calling one.

        Returns:
            As `micro_sam.util.precompute_image_embeddings`: `features`, `input_size`,
            `original_size`.

        Raises:
            ValueError: the image is so long that its other side vanishes at the encoder's
                resolution.
        """
        digest = _known_as(image, adapter)
        embeddings: dict[str, Any] | None = self._recall("encode", digest, adapter)
        if embeddings is None:
            embeddings = self._make("encode", digest, adapter, partial(self._encode, image))
        # Even if it is this image's already: one that failed since has left the predictor empty.
        self.show(embeddings)
        return embeddings

    def show(self, embeddings: Mapping[str, Any]) -> None:
        """Set the predictor to an image by its embedding, which `encode` gave."""
        from micro_sam.util import set_precomputed

        set_precomputed(self.predictor, embeddings)

    def decode(
        self, image: RGB, adapter: TorchAdapter, embeddings: Mapping[str, Any] | None = None
    ) -> Maps:
        """The decoder's maps: foreground, distance to the centre, distance to the boundary.

        Both distances fall towards the middle of an object.

        Args:
            image: as for `encode`.
            adapter: the calling one.
            embeddings: of this image. Where they are not given, they are made only if they are
                needed: who prompts has to `encode` first.

        Returns:
            3 x H x W float32, from 0 to 1.
        """
        digest = _known_as(image, adapter)
        maps: Maps | None = self._recall("decode", digest, adapter)
        if maps is None:
            embeddings = embeddings or self.encode(image, adapter)
            maps = self._make("decode", digest, adapter, partial(self._decode, embeddings))
        return maps

    def _encode(self, image: RGB) -> dict[str, Any]:
        height, width = image.shape[:2]
        if min(self.predictor.transform.get_preprocess_shape(height, width, self._side)) < 1:
            raise ValueError(
                f"image of {height} x {width} pixels: at SAM's resolution, its longer side "
                f"scaled to {self._side}, nothing is left of the shorter one"
            )
        self.predictor.set_image(image)
        return {
            "features": self.predictor.get_image_embedding().float(),
            "input_size": self.predictor.input_size,
            "original_size": self.predictor.original_size,
        }

    def _decode(self, embeddings: Mapping[str, Any]) -> Maps:
        import torch

        # Called as upstream calls it, in training mode: its batch normalisation takes the
        # statistics of this image. `eval()` would give other maps than those published.
        with torch.no_grad():
            maps = self.decoder(  # type: ignore[misc]  # an adapter that decodes has one
                embeddings["features"], embeddings["input_size"], embeddings["original_size"]
            )
        found: Maps = maps[0].float().cpu().numpy()
        return found

    @property
    def _side(self) -> int:
        side: int = self.predictor.model.image_encoder.img_size
        return side

    def _recall(self, stage: str, digest: str, adapter: TorchAdapter) -> Any:
        """What a stage made of the image, last or ever; None where it is not kept.

        The adapter's `stages` get what the stage, and those that it needed, took when computed.
        """
        begin = time.perf_counter()
        made = self._last.get(stage)
        if made is None or made.image != digest:
            entry = adapter.cache and adapter.cache.get(self._key(stage, digest, adapter.device))
            if not entry:
                return None
            value = unpacked(stage, entry, adapter.device)
            made = self._last[stage] = Computed(
                digest, value, entry.details["seconds"], entry.details.get("memory", {})
            )
        for one, seconds in made.seconds.items():
            if one not in adapter.stages:  # else this prediction has just been through it
                adapter.stages[one], adapter.cached[one] = seconds, 0.0
                if one in made.memory:
                    adapter.stage_memory[one] = made.memory[one]
        adapter.cached[stage] = time.perf_counter() - begin
        return made.value

    def _make(self, stage: str, digest: str, adapter: TorchAdapter, make: Callable[[], Any]) -> Any:
        with adapter.stage(stage):
            value = make()
        made = self._last[stage] = Computed(
            digest, value, dict(adapter.stages), dict(adapter.stage_memory)
        )
        if adapter.cache:
            adapter.cache.put(self._key(stage, digest, adapter.device), packed(stage, made))
        return value

    def _key(self, stage: str, digest: str, device: str) -> str:
        return key(stage, digest, self._known_by, device)


_backbones: WeakValueDictionary[tuple[Any, ...], Backbone] = WeakValueDictionary()
_latest: list[
    Backbone
] = []  # kept for the next job of this process, which may have the same weights


def forget_latest() -> None:
    """Drop the backbone that is kept for a next job, unless it is in use."""
    _latest.clear()


def open_backbone(
    weights: Weights, device: str, architectures: Mapping[str, Architecture] = ARCHITECTURES
) -> Backbone:
    """The backbone with these weights: the one in use already, or a new one.

    Args:
        weights: files `encoder` and perhaps `decoder`, or one file with both: a state of SAM,
            or a dictionary of `model_state` and perhaps `decoder_state`, as micro-sam saves it
            (in a safetensors file, which knows no nesting, as `model_state.<parameter>`); and
            perhaps `changes`, parameters that take the place of those of the same names.
        device: `cuda`, `mps` or `cpu`.
        architectures: what can be built, by name.

    Raises:
        ModelError: the weights are of another architecture, or no checkpoint.
    """
    key = (device, *sorted(weights.digests.items()))
    backbone = _backbones.get(key)
    if backbone is None:
        forget_latest()  # before another is built: a device may have no room for two
        backbone = _backbones[key] = _build(weights, device, architectures)
    _latest[:] = [backbone]
    return backbone


def _build(weights: Weights, device: str, architectures: Mapping[str, Architecture]) -> Backbone:
    if "encoder" not in weights.paths and len(weights.paths.keys() - {"changes"}) > 1:
        raise ModelError(
            f"weights '{weights.name}' are {len(weights.paths)} files ({', '.join(weights.paths)})."
            " Give one file, with SAM's parameters or with `model_state` and `decoder_state`."
        )
    key = next(iter(weights.paths)) if "encoder" not in weights.paths else "encoder"
    saved = open_checkpoint(weights, key)
    if "changes" in weights.paths:
        saved |= open_checkpoint(weights, "changes")
    content = _nested(saved)
    model = _state(content.get("model_state", content), "sam.")
    architecture = architecture_of(model, weights, key, architectures)
    sam = architecture.build()
    load_parameters(sam, model, weights, key)
    sam.to(device)
    keep_places_exact(sam)

    if "decoder" in weights.paths:
        key = "decoder"
        content = {"decoder_state": open_checkpoint(weights, key)}
    decoder = None
    if "decoder_state" in content:
        parameters = _state(content["decoder_state"])
        try:
            decoder = architecture.decoder(sam, parameters, device)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise another_architecture(weights, key, str(error)) from error
        confirm_loaded(decoder, parameters, weights, key)
    known_by = {"digests": dict(weights.digests), "architecture": weights.architecture}
    return Backbone(sam, decoder, known_by)


def _known_as(image: RGB, adapter: TorchAdapter) -> str:
    """What identifies an image and the precision of what is made of it."""
    digest = array_digest(image)
    precision = adapter.precision
    return digest if precision.is_default else f"{digest} {precision.name}"


def _nested(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters whose names begin with one of micro-sam's two states, put into these."""
    states: dict[str, dict[str, Any]] = {}
    for name, value in content.items():
        state, _, parameter = name.partition(".")
        if state in ("model_state", "decoder_state") and parameter:
            states.setdefault(state, {})[parameter] = value
    return states or content


def _state(found: Any, prefix: str = "") -> dict[str, Any]:
    parameters = tensors(found) if isinstance(found, Mapping) else {}
    return {name.removeprefix(prefix): value for name, value in parameters.items()}
