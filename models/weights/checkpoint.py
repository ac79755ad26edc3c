"""Checkpoints: their digests, opening without executing them, and whether all was really loaded."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import ModelError, import_problem
from benchmark.store.files import refuse_special
from benchmark.types import Weights
from models.common.out_of_memory import is_out_of_memory

# Of torch's long message the part that names what a file asks for.
_ASKED_FOR = re.compile(r"(?:GLOBAL|class|function|call) ([\w.]+)")
_ZIP = b"PK\x03\x04"
_HTML = (b"<!doctype", b"<html", b"<?xml", b"<head")


_CRYPTOGRAPHIC = ("sha256", "sha512", "blake2b")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """`<algorithm>:<hexadecimal>` of a file's bytes.

    Args:
        path: the file.
        algorithm: one of hashlib's (`sha256`, `md5`), or `xxh128` (micro-sam's).

    Raises:
        ModelError: the file can't be read, or the algorithm is not installed.
    """
    kind: Any = algorithm
    try:
        refuse_special(path)
        if algorithm == "xxh128":
            from xxhash import xxh128 as kind  # only here: few files need it
        with path.open("rb") as file:
            return f"{algorithm}:{hashlib.file_digest(file, kind).hexdigest()}"
    except ImportError as error:
        raise ModelError(
            f"digests of this kind (xxh128) need {import_problem(error)}: pip install xxhash."
        ) from error
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error


def unforgeable(digest: str | None) -> bool:
    """Whether nobody can make another file of the same digest on purpose.

    By md5 and xxh128 a file is known to have arrived whole, and no more.
    """
    return digest is not None and digest.partition(":")[0] in _CRYPTOGRAPHIC


def open_checkpoint(weights: Weights, file: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint; nothing in it is executed.

    Args:
        weights: complete and verified.
        file: which of its files; the only one where not given.

    Returns:
        A dictionary as it was saved: tensors, or dictionaries of tensors.

    Raises:
        ModelError: it is no checkpoint (an HTML page, empty, truncated), or it can't be loaded
            without executing what is in it.
    """
    key = file or next(iter(weights.paths))
    path = weights.paths[key]
    damaged = damage(path)
    if damaged:
        raise _not_loadable(weights, key, damaged)
    try:
        content = _load(path, unpickle=False)
    except pickle.UnpicklingError as error:
        wanted = _ASKED_FOR.search(str(error))
        if wanted is None:
            raise _not_loadable(weights, key, "it is no checkpoint, or damaged") from error
        if not weights.unpickle:
            raise _not_loadable(
                weights,
                key,
                f"it is more than tensors, and loading it would execute {wanted[1]}. If you "
                "trust its source: weights_unsafe=true",
            ) from error
        content = _unpickled(weights, key)
    except Exception as error:  # a damaged archive raises whatever its reader happens to
        if is_out_of_memory(error):
            raise
        raise _not_loadable(weights, key, f"it is truncated or damaged ({error})") from error
    if not isinstance(content, Mapping):
        raise _not_loadable(weights, key, f"it holds a {type(content).__name__}, no parameters")
    return dict(content)


def open_program(weights: Weights, file: str, content: bytes) -> Any:
    """A model in TorchScript, which is a program: to use it is to execute it.

    Args:
        weights: complete and verified.
        file: which of its files, for messages.
        content: of the model, on its own or out of an archive.

    Raises:
        ModelError: it may not be executed, or it is no such model.
    """
    if not weights.unpickle:
        why = (
            "it is a program (TorchScript), and using it would execute it. If you trust its "
            "source: weights_unsafe=true"
        )
        raise _not_loadable(weights, file, why)
    import torch

    try:
        return torch.jit.load(io.BytesIO(content), map_location="cpu")
    except Exception as error:  # whatever its reader happens to raise
        if is_out_of_memory(error):
            raise
        raise _not_loadable(weights, file, f"it is no model in TorchScript ({error})") from error


def tensors(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors alone: nothing else goes on to a library."""
    import torch

    return {str(key): value for key, value in content.items() if torch.is_tensor(value)}


def load_parameters(module: Any, parameters: Mapping[str, Any], weights: Weights, key: str) -> None:
    """Load all of a checkpoint into a module, and see that it arrived.

    Args:
        module: the torch module.
        parameters: name -> tensor.
        weights: where they come from, for messages.
        key: the file of these.

    Raises:
        ModelError: the checkpoint is of another architecture.
    """
    try:
        module.load_state_dict(dict(parameters), strict=True)
    except (RuntimeError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        raise another_architecture(weights, key, str(error)) from error
    confirm_loaded(module, parameters, weights, key)


def confirm_loaded(module: Any, parameters: Mapping[str, Any], weights: Weights, key: str) -> None:
    """Compare every parameter of a module with the checkpoint it should come from.

    Libraries load loosely, or take other weights than they were given, and say nothing.

    Args:
        module: the torch module, loaded.
        parameters: name -> tensor, of the checkpoint, under the module's own names.
        weights: where they come from, for messages.
        key: the file of these.

    Raises:
        ModelError: a parameter is missing in the checkpoint, or has another value.
    """
    import torch

    loaded = module.state_dict()
    missing = sorted(loaded.keys() - parameters.keys())
    if missing:
        raise another_architecture(
            weights, key, f"{len(missing)} parameters are not in it, such as '{missing[0]}'"
        )
    for name, value in loaded.items():
        wanted = parameters[name].to(value.dtype)
        if value.shape != wanted.shape or not torch.equal(value.cpu(), wanted.cpu()):
            raise ModelError(
                f"what was loaded is not {weights.paths[key]} ({weights.digests[key]}): "
                f"parameter '{name}' differs. Nothing was scored."
            )


def another_architecture(weights: Weights, key: str, why: str) -> ModelError:
    """The one error for a checkpoint that does not fit the model."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    return _not_loadable(
        weights, key, f"it is a checkpoint of another architecture: {' '.join(lines[:3])}"
    )


def damage(path: Path) -> str | None:
    """What is wrong with a file, as far as a look at its ends can tell; None if nothing is.

    Args:
        path: a checkpoint, or what was saved under the name of one.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "it is empty"
    if head.lstrip().lower().startswith(_HTML):
        return "it is an HTML page, such as a login or error page"
    if head.startswith(_ZIP) and not zipfile.is_zipfile(path):
        return "it is truncated or damaged, a zip archive without its end"
    return _damaged_safetensors(path) if _is_safetensors(path) else None


def _damaged_safetensors(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):  # it compares the header with the size, and reads no tensor
            return None
    except SafetensorError as error:
        return f"it is truncated or damaged ({error})"


def _not_loadable(weights: Weights, key: str, why: str) -> ModelError:
    expected = "none is published"
    if weights.mark in ("verified", "demo"):
        whose = "its card" if weights.confirmed else "the first download"
        expected = f"by {whose}, as it should be"
        if not unforgeable(weights.digests[key]):
            expected += ", but another file can be made to have the same"
    return ModelError(
        f"{weights.paths[key]} can't be loaded: {why}. "
        f"(Its digest: {weights.digests[key]}; the expected one: {expected}.)"
    )


def _load(path: Path, *, unpickle: bool) -> Any:
    import torch

    if _is_safetensors(path):
        from safetensors.torch import load_file

        return load_file(path)
    with torch.serialization.safe_globals(_numpy_numbers()):
        return torch.load(path, map_location="cpu", weights_only=not unpickle)


def _numpy_numbers() -> list[Any]:
    """What a NumPy number in a checkpoint is made of, such as the best score; it executes nothing.

    Older versions of NumPy wrote the constructor under another name.
    """
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    names = [f"numpy.{module}.multiarray.scalar" for module in ("core", "_core")]
    kinds = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _is_safetensors(path: Path) -> bool:
    """By its content: eight bytes of length (the last one zero), then the header, which is JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[7:] == b"\0{"


def _unpickled(weights: Weights, key: str) -> Any:
    try:
        return _load(weights.paths[key], unpickle=True)
    except Exception as error:  # whatever the code in it does
        if is_out_of_memory(error):
            raise
        raise _not_loadable(weights, key, f"unpickling it failed ({error})") from error
