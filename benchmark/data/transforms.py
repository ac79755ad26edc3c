"""A recipe: small pure functions on one image and its labels, in a given order.

A step yields (suffix, image, labels): one for a crop, several for tiles, none to leave an
image out. The suffix joins the sample's id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.data import geometry, objects
from benchmark.data.geometry import Step
from benchmark.errors import UsageError
from benchmark.types import Image, Labels

TRANSFORMS: dict[str, Callable[..., Step]] = {
    step.__name__: step
    for step in (
        geometry.tiles,
        geometry.center_crop,
        geometry.crop_around_labels,
        geometry.pad,
        geometry.resize,
        objects.ignore_label,
        objects.connected_components,
        objects.min_objects,
        objects.only_channels,
        objects.scale_channels,
    )
}


def apply(recipe: Sequence[Mapping[str, Any]], image: Image, labels: Labels) -> Step:
    """Run an image through a recipe.

    Args:
        recipe: steps in order, each a mapping of one name to its keyword arguments; beside
            it may stand `when: false`, and the step is left out.
        image: H x W or H x W x C.
        labels: H x W.

    Yields:
        (suffix, image, labels) of every sample it becomes.

    Raises:
        UsageError: a step that does not exist, or arguments that don't fit it.
        DataError: an image that a step can't be done to.
    """
    if not recipe:
        yield "", image, labels
        return
    name, arguments, wanted = parse_step(recipe[0], TRANSFORMS, "data.recipe")
    if not wanted:
        yield from apply(recipe[1:], image, labels)
        return
    try:
        outcome = list(TRANSFORMS[name](image, labels, **(arguments or {})))
    except (TypeError, ValueError) as error:
        raise UsageError(f"data.recipe: step '{name}': {error}.") from error
    for suffix, new_image, new_labels in outcome:
        for more_suffix, last_image, last_labels in apply(recipe[1:], new_image, new_labels):
            yield suffix + more_suffix, last_image, last_labels


def parse_step(step: Any, known: Mapping[str, Any], word: str) -> tuple[str, Any, bool]:
    """A step's name, its arguments, and whether it is to be done.

    Raises:
        UsageError: it is not of the form {name: arguments}, with or without `when`, or that is
            neither true nor false.
    """
    rest = {k: v for k, v in step.items() if k != "when"} if isinstance(step, Mapping) else {}
    if len(rest) != 1 or not known.keys() & rest:
        raise UsageError(
            f"{word}: {step!r} is not of the form {{name: arguments}}. Names: {', '.join(known)}."
        )
    ((name, arguments),) = rest.items()
    wanted = step.get("when", True)
    if not isinstance(wanted, bool):  # of a text, even "false" would be true
        raise UsageError(f"{word}: step '{name}': when is {wanted!r}; it must be true or false.")
    return name, arguments, wanted
