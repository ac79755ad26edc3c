"""The kinds of SAM that the backbone can build, and how a file's parameters tell which it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from benchmark.types import Weights
from models.weights.checkpoint import another_architecture

_PATCHES = "image_encoder.patch_embed.proj.weight"


def _registered(name: str) -> Any:
    from segment_anything import sam_model_registry

    return sam_model_registry[name]()


def _mobile() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it registers networks under names that timm has
        from mobile_sam import sam_model_registry

    return sam_model_registry["vit_t"]()


def _unetr(sam: Any, parameters: Mapping[str, Any], device: str) -> Any:
    from micro_sam.instance_segmentation import get_decoder

    return get_decoder(sam.image_encoder, parameters, device)


class Architecture(NamedTuple):
    """A kind of SAM, and the decoder that goes with it.

    Attributes:
        width: length of its parameter `sign`; it identifies a file without a card.
        build: gives the `segment_anything` model, its parameters random.
        decoder: gives the decoder for that model, with these parameters, on a device.
        sign: a parameter that distinguishes this architecture from others.
    """

    width: int
    build: Callable[[], Any]
    decoder: Callable[[Any, Mapping[str, Any], str], Any] = _unetr
    sign: str = _PATCHES


def _small() -> Any:
    from models.demo.network import build_sam

    return build_sam()


def _small_decoder(_: Any, parameters: Mapping[str, Any], device: str) -> Any:
    from models.demo.network import build_decoder

    decoder = build_decoder()
    decoder.load_state_dict(dict(parameters))
    return decoder.to(device)


ARCHITECTURES: Mapping[str, Architecture] = {
    "vit_b": Architecture(768, partial(_registered, "vit_b")),
    "vit_l": Architecture(1024, partial(_registered, "vit_l")),
    "vit_h": Architecture(1280, partial(_registered, "vit_h")),
    "vit_t": Architecture(32, _mobile, sign="image_encoder.patch_embed.seq.0.c.weight"),
    "demo": Architecture(24, _small, _small_decoder, sign="image_encoder.stem.1.weight"),
}


def architecture_of(
    model: Mapping[str, Any], weights: Weights, key: str, architectures: Mapping[str, Architecture]
) -> Architecture:
    """The architecture that parameters are of: by their card, else by their own looks.

    Args:
        model: SAM's parameters.
        weights: where they come from.
        key: the file of these, for messages.
        architectures: the known ones, by name.

    Raises:
        ModelError: it is none of them.
    """
    if weights.architecture is not None and weights.architecture in architectures:
        return architectures[weights.architecture]
    for architecture in architectures.values():
        if architecture.sign in model and model[architecture.sign].shape[0] == architecture.width:
            return architecture
    if _PATCHES not in model:
        raise another_architecture(weights, key, f"SAM has a parameter '{_PATCHES}', it has none")
    width = model[_PATCHES].shape[0]
    known = ", ".join(f"{name} ({built.width})" for name, built in architectures.items())
    raise another_architecture(weights, key, f"its encoder is {width} wide; known are {known}")
