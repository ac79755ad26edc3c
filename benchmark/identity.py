"""What a run is: everything that shapes its predictions, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from benchmark.digest import json_digest
from benchmark.provenance import library_versions
from benchmark.types import Weights


def run_identity(
    adapter: type,
    target: str,
    parameters: Mapping[str, Any],
    *,
    images: str,
    labels: str,
    device: str,
    seed: int,
    weights: Weights | None = None,
) -> dict[str, Any]:
    """What the run id is the hash of. Not paths, workers, limits or the code's revision.

    Args:
        adapter: the adapter's class; see `benchmark.types.Segmenter` for what it may say.
        target: its dotted name.
        parameters: its resolved parameters.
        images: digest of the images.
        labels: digest of the labels; part of it only for an adapter that sees the truth.
        device: device type.
        seed: the run's seed.
        weights: the expected ones; their digests count, wherever they lie.
    """
    replace = getattr(adapter, "identity", None)
    execution = getattr(adapter, "execution", ())
    shaping = {name: value for name, value in parameters.items() if name not in execution}
    if weights is not None:
        shaping["weights"] = dict(weights.digests)
    return {
        "target": target,
        "parameters": dict(replace(shaping) if replace else shaping),
        "version": getattr(adapter, "version", 1),
        "libraries": library_versions(getattr(adapter, "libraries", ())),
        "images": images,
        "labels": labels if getattr(adapter, "sees_truth", False) else None,
        "device": device,
        "seed": seed,
    }


def run_id(identity: Mapping[str, Any]) -> str:
    """The run's name: SHA-256 of its identity, as hexadecimal."""
    return json_digest(dict(identity))


def comparable(identity: Mapping[str, Any], besides: Collection[str]) -> dict[str, Any]:
    """An identity without some of its keys, which can't be known here."""
    return {key: value for key, value in identity.items() if key not in besides}
