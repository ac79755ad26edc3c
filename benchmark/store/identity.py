"""The identity of a run (everything that shapes its predictions), and reading run.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.choices import CONFIGS
from benchmark.errors import StoreError
from benchmark.store import shapes
from benchmark.store.digest import json_digest
from benchmark.store.files import path_of_id, read_file
from benchmark.store.names import is_safe


def run_identity(
    adapter: Mapping[str, Any],
    *,
    images: str,
    labels: str | None,
    device: str,
    seed: int,
    framing: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the run id is the hash of: no paths, workers, limits or code revision.

    Args:
        adapter: its target, parameters, version and libraries.
        images: digest of the images.
        labels: digest of the labels; None unless the adapter sees the truth.
        device: device type.
        seed: the run's seed.
        framing: tiles and scale; empty where images are given to the adapter as they are.
    """
    identity = {**adapter, "images": images, "labels": labels, "device": device, "seed": seed}
    return identity | ({"framing": dict(framing)} if framing else {})


def identity_target(named: type, target: str) -> str:
    """Return the dotted name of a class in identities.

    A class that was moved or renamed keeps, as its `identity_target`, the name that its runs and
    prepared data are stored under; a subclass does not inherit it.

    Args:
        named: the class.
        target: the dotted name that it was found by.
    """
    return str(vars(named).get("identity_target", target))


def run_id(identity: Mapping[str, Any]) -> str:
    """Return the run id: SHA-256 of the identity, as hexadecimal."""
    return json_digest(dict(identity))


def comparable(identity: Mapping[str, Any], besides: Collection[str]) -> dict[str, Any]:
    """Return an identity without some of its keys (those unknown in this environment).

    Nor are they in the identities of nested models, which are among its parameters.
    """
    kept = {key: value for key, value in identity.items() if key not in besides}
    parameters = kept.get("parameters")
    if isinstance(parameters, Mapping):
        kept["parameters"] = {
            name: comparable(value, besides)
            if isinstance(value, Mapping) and "target" in value
            else value
            for name, value in parameters.items()
        }
    return kept


@cache
def written(group: str, name: str) -> dict[str, Any]:
    """Return the content of a YAML of `configs/`; empty if it does not exist."""
    from omegaconf import OmegaConf

    if not is_safe(name):
        return {}
    path = path_of_id(CONFIGS / group, name, ".yaml")
    if not path.is_file():
        return {}
    return {str(k): v for k, v in OmegaConf.to_container(OmegaConf.load(path)).items()}  # type: ignore[union-attr]


def read_stored(path: Path, shape: Any) -> dict[str, Any]:
    """Read a small JSON file of a run, such as run.json.

    Args:
        path: the file.
        shape: its type in `benchmark.store.shapes`.

    Raises:
        StoreError: it is missing or damaged; a run that writes it again needs no other file.
    """
    try:
        content = shapes.parse(read_file(path).decode())
        odd = shapes.misfit(content, shape)
        if odd is not None:
            raise ValueError(f"missing, or of another type than it should be: {odd}")
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"{path} can't be read ({reason}). Repeat the command that made the run: the file is "
            "written again from its configuration, and what is stored beside it is kept."
        ) from error
    return dict(content)
