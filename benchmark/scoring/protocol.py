"""The quirks of the published protocol, each a switch that keeps or corrects it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmark.errors import UsageError
from benchmark.store.identity import written

THRESHOLD_GRIDS = {
    # elf's np.arange, float drift included: its "0.75" is 0.7500000000000002, so a pair
    # with an IoU of exactly 3/4 is no match there.
    "drifting": tuple(float(t) for t in np.arange(0.5, 1.0, 0.05)),
    # The nearest float to each decimal: an IoU of exactly 3/4 is a match at 0.75.
    "exact": tuple(k / 20 for k in range(10, 20)),
}
BOTH_EMPTY = ("zero", "exclude")

SWITCHES: dict[str, tuple[Any, ...]] = {
    "threshold_grid": tuple(THRESHOLD_GRIDS),
    "both_empty": BOTH_EMPTY,
    "mask_order": ("returned", "score"),
    "library_quirks": (True, False),
    "counting": ("values", "objects"),
    "val_limit": ("off_by_one", "exact"),
    "cut_objects": ("one", "split"),
    "label_resize": ("linear", "nearest"),
    "pad_small": (True, False),
    "crop_by_truth": (True, False),
    "val_images": ("shared", "apart"),
    "val_training": ("seen", "unseen"),
    "volumes": ("cut", "whole"),
    "random_splits": ("unseeded", "seeded"),
    "bad_annotations": ("kept", "left_out"),
    "ignore_region": ("object", "background"),
}
"""Every switch with its values: the study's first, then the corrected one."""

SCORING = ("threshold_grid", "both_empty")
"""Switches that scores depend on."""

METHODS = ("mask_order", "library_quirks")
"""Switches that shape predictions: a model's YAML takes them as parameters.

All others shape images and labels: a data set's YAML takes them, and its digests depend on them.
"""


@dataclass(frozen=True)
class Protocol:
    """The switches of a protocol; `configs/protocol/*.yaml` sets and describes them.

    Attributes:
        name: `paper` or `clean`, or the user's own; `paper (threshold_grid=exact)` where a
            switch is not that of our YAML.
        threshold_grid: `drifting` (elf's np.arange, the study's) or `exact`.
        both_empty: what an image scores when truth and prediction are both empty:
            `zero` (elf's, the study's) or `exclude` (left out of means, and counted).
        mask_order: which of two overlapping masks of a model is on top if its library does not
            define it: the later `returned` (the study's), or the one of the higher `score`.
        library_quirks: whether errors of a method's library that affected the study's numbers
            are kept.
        counting: whether the minimum of objects per image counts label `values`, background
            included, or `objects`.
        val_limit: whether the limit of 100 validation images is `off_by_one` or `exact`.
        cut_objects: whether an object that a crop cut into pieces stays `one` or is `split`.
        label_resize: whether labels are resized by `linear` interpolation of their ids or
            by the `nearest` pixel.
        pad_small: whether small images are padded with black.
        crop_by_truth: whether a crop is laid around the annotated objects.
        val_images: whether validation images are `shared` with the test split or `apart`.
        val_training: whether validation images come from a split that models were trained
            on (`seen`), or are held back from the test split (`unseen`).
        volumes: whether splits `cut` volumes, or take them `whole`.
        random_splits: the loader's `unseeded` random split, or a `seeded` one.
        bad_annotations: whether badly annotated images are `kept` or `left_out`.
        ignore_region: whether a region to be ignored is scored as an `object`, or is
            `background`.
    """

    name: str
    threshold_grid: str
    both_empty: str
    mask_order: str = "returned"
    library_quirks: bool = True
    counting: str = "values"
    val_limit: str = "off_by_one"
    cut_objects: str = "one"
    label_resize: str = "linear"
    pad_small: bool = True
    crop_by_truth: bool = True
    val_images: str = "shared"
    val_training: str = "seen"
    volumes: str = "cut"
    random_splits: str = "unseeded"
    bad_annotations: str = "kept"
    ignore_region: str = "object"

    def __post_init__(self) -> None:
        """Refuse unknown switches.

        Raises:
            UsageError: a switch has a value that does not exist.
        """
        for key, valid in SWITCHES.items():
            value = getattr(self, key)
            if value not in valid:
                raise UsageError(
                    f"protocol.{key} is '{value}'; it must be one of: {', '.join(map(str, valid))}."
                )

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Protocol:
        """Build a protocol from its settings; its name lists those that differ from our YAML.

        Otherwise its numbers would appear under the study's name, and replace that report.

        Raises:
            UsageError: a switch has a value that does not exist.
        """
        ours = written("protocol", str(settings["name"]))
        altered = [f"{key}={_word(v)}" for key, v in settings.items() if ours.get(key, v) != v]
        name = f"{settings['name']} ({', '.join(altered)})" if altered else settings["name"]
        return cls(**{**settings, "name": name})

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The ten IoU thresholds, 0.50 to 0.95."""
        return THRESHOLD_GRIDS[self.threshold_grid]

    def switches(self, of_data: Iterable[str] = ()) -> dict[str, Any]:
        """Return the switches that a score depends on, without those that shape predictions.

        Args:
            of_data: the switches that shaped this data set's images and labels.
        """
        wanted = {*SCORING, *of_data}
        return {key: value for key, value in asdict(self).items() if key in wanted}

    def made(self, switches: Mapping[str, Any]) -> bool:
        """Return whether scores made with these switches are scores under this protocol."""
        return dict(switches) == self.switches(switches)

    def of(self, switches: Mapping[str, Any]) -> Protocol | None:
        """Return this protocol if scores with these switches are under it, else None."""
        return self if self.made(switches) else None


@dataclass(frozen=True)
class Protocols:
    """Every protocol that scores may be under.

    Attributes:
        known: those that have a name; the first that made scores names them.
    """

    known: tuple[Protocol, ...]

    def of(self, switches: Mapping[str, Any]) -> Protocol | None:
        """Return the protocol that scores with these switches are under.

        Of none that is known the nearest, with the switches that differ in its name; None where a
        switch does not exist or is missing.
        """
        made = next((one for one in self.known if one.made(switches)), None)
        if made is not None:
            return made
        if not set(SCORING) <= switches.keys() <= SWITCHES.keys():
            return None
        nearest = min(self.known, key=lambda one: len(_differing(one, switches)))
        changed = _differing(nearest, switches)
        words = ", ".join(f"{key}={_word(value)}" for key, value in changed.items())
        base = nearest.name.removesuffix(")")
        name = f"{base}, {words})" if base != nearest.name else f"{base} ({words})"
        try:
            return replace(nearest, name=name, **changed)
        except (UsageError, TypeError):  # a value that does not exist
            return None


def _differing(protocol: Protocol, switches: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in switches.items() if getattr(protocol, key) != value}


def known_protocols(first: Protocol, names: Iterable[str]) -> Protocols:
    """Return the protocols that configurations describe.

    Args:
        first: the one in use, which names scores that several have made.
        names: of YAMLs in this repository.
    """
    others = (written("protocol", name) for name in names)
    return Protocols((first, *(Protocol.of_settings(each) for each in others if each)))


def words_of(name: str) -> list[str]:
    """Return the overrides of the command line that choose the protocol of that name."""
    chosen, _, altered = name.removesuffix(")").partition(" (")
    return [f"protocol={chosen}", *(f"protocol.{word}" for word in altered.split(", ") if word)]


def _word(value: Any) -> str:
    """Return a value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
