"""What a run is: everything that shapes its predictions, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.digest import json_digest
from benchmark.provenance import library_versions


def run_identity(
    adapter: type,
    target: str,
    parameters: Mapping[str, Any],
    *,
    images: str,
    labels: str,
    device: str,
    seed: int,
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
    """
    replace = getattr(adapter, "identity", None)
    return {
        "target": target,
        "parameters": dict(replace(dict(parameters)) if replace else parameters),
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
