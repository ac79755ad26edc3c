"""What the µSAM family keeps of an image on disk: embeddings and maps, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from benchmark.store.digest import json_digest
from benchmark.store.provenance import library_versions, processor_name
from models.common.cache import Entry

VERSION = 1
"""Raised when what is made of an image changes on purpose: what was kept of it is left alone."""

_LIBRARIES = (
    "torch",
    "micro-sam",
    "segment-anything",
    "segment-anything-py",  # the same package, by the name that others distribute it under
    "torch-em",
    "torchvision",  # resizes the image,
    "Pillow",  # as one of its own
)


class Computed(NamedTuple):
    """What was made of an image.

    Attributes:
        image: its digest, with the precision beside it if that is not the default.
        value: the embedding, or the maps.
        seconds: stage -> seconds that it took: of the one that made it, and of those before.
        memory: stage -> its peak memory in bytes.
    """

    image: str
    value: Any
    seconds: Mapping[str, float]
    memory: Mapping[str, dict[str, int]]


def key(stage: str, image: str, known_by: Mapping[str, Any], device: str) -> str:
    """What an entry is kept by: all that its bits may depend on.

    Args:
        stage: `encode` or `decode`.
        image: as of `Computed`.
        known_by: what distinguishes the weights from others.
        device: device type.
    """
    made_with = _made_with(device, int(_torch().get_num_threads()))
    return json_digest([VERSION, stage, image, dict(known_by), made_with])


def _torch() -> Any:
    import torch

    return torch


@cache
def _made_with(device: str, threads: int) -> dict[str, Any]:
    """Libraries and hardware: sums depend on how a processor, or so many threads, split them."""
    on_gpu = {"cuda": lambda: _torch().cuda.get_device_name()}
    return {
        "device": device,
        "hardware": on_gpu.get(device, processor_name)(),
        "threads": threads if device == "cpu" else None,
        "dtype": str(_torch().get_default_dtype()),
        **library_versions(_LIBRARIES),
    }


def packed(stage: str, made: Computed) -> Entry:
    """What is kept of it."""
    details = {"seconds": made.seconds, "memory": made.memory}
    if stage == "decode":
        return Entry({"maps": made.value}, details)
    sizes = {name: list(made.value[name]) for name in ("input_size", "original_size")}
    features = made.value["features"].detach().cpu().numpy()
    return Entry({"features": features}, details | sizes)


def unpacked(stage: str, entry: Entry, device: str) -> Any:
    """The embedding, or the maps, as the stage made them."""
    if stage == "decode":
        return entry.arrays["maps"]
    sizes = {name: tuple(entry.details[name]) for name in ("input_size", "original_size")}
    return {"features": _torch().from_numpy(entry.arrays["features"]).to(device), **sizes}
