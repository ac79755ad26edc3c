"""What both generations of cellpose need: a checkpoint given by path, and proof that it arrived."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.common.out_of_memory import is_out_of_memory
from models.weights.checkpoint import another_architecture, confirm_loaded, open_checkpoint, tensors


def plain_parameters(weights: Weights, key: str, sign: str, otherwise: str) -> dict[str, Any]:
    """The parameters in a checkpoint that holds nothing else.

    Args:
        weights: complete and verified.
        key: which of their files.
        sign: a parameter that every checkpoint of this generation has.
        otherwise: what one without it is, for people.

    Raises:
        ModelError: it holds more, or lacks the sign.
    """
    content = open_checkpoint(weights, key)
    parameters = tensors(content)
    if len(parameters) < len(content):
        raise another_architecture(weights, key, "it holds more than parameters")
    if sign not in parameters:
        raise another_architecture(weights, key, otherwise)
    return parameters


def build_from_path(
    build: Callable[[str], Any],
    parameters: Mapping[str, Any],
    weights: Weights,
    key: str,
    unused: tuple[str, ...] = (),
) -> Any:
    """Let cellpose load a checkpoint, and see that it did.

    Cellpose takes other weights, with a warning, where it does not find a path, and leaves as
    they are the parameters that it does not find in a checkpoint.

    Args:
        build: makes a `CellposeModel` of a path.
        parameters: what the checkpoint holds.
        weights: where it comes from.
        key: which of their files.
        unused: parameters of the network that it never reads, so a checkpoint may lack them.

    Raises:
        ModelError: it is of another architecture, or cellpose loaded another.
    """
    path = str(weights.paths[key])
    try:
        model = build(path)
    except (RuntimeError, pickle.UnpicklingError) as error:
        if is_out_of_memory(error):
            raise
        raise another_architecture(weights, key, str(error)) from error
    if model.pretrained_model != path:
        raise ModelError(f"cellpose loaded {model.pretrained_model} instead of {path}.")
    spared = {name: value for name, value in model.net.state_dict().items() if name in unused}
    confirm_loaded(model.net, spared | dict(parameters), weights, key)
    return model
