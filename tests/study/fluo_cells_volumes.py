"""Fluorescent cells in volumes as the study stored their slices, written down a second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from study.steps import Pair, limit, middle, stored


def _slices(files: Iterable[Path], labels: str) -> Iterator[Pair]:
    """The slices of all volumes, one after the other."""
    import h5py

    for path in files:
        with h5py.File(path) as file:
            for z in range(len(file["raw"])):
                yield file["raw"][z], file[labels][z]


def _cut(pairs: Iterator[Pair], at: int, split: str) -> Iterator[Pair]:
    """Slices before a number are val, those from it on test; the middle of each."""
    part = islice(pairs, at) if split == "val" else islice(pairs, at, None)
    return ((middle(image), middle(label)) for image, label in part)


def plantseg_root(root: Path, split: str) -> list[Pair]:
    files = sorted((root / "plantseg" / f"root_{split}").glob("*.h5"))
    return stored(_cut(_slices(files, "label"), 400, split), 5, limit(split), ignore=1)


def plantseg_ovules(root: Path, split: str) -> list[Pair]:
    """The region without annotation is -1.

    To the study it was a label value like any other. So that it can be compared it gets the
    next free id of its slice.
    """
    files = sorted((root / "plantseg" / f"ovules_{split}").glob("*.h5"))
    pairs = (
        (image, np.where(label < 0, label.max() + 1, label))
        for image, label in _slices(files, "label_with_ignore")
    )
    return stored(_cut(pairs, 600, split), 25, limit(split))


def mouse_embryo(root: Path, split: str) -> list[Pair]:
    """Both parts come from the validation volumes."""
    files = sorted((root / "mouse_embryo" / "Membrane" / "val").glob("*.h5"))
    return stored(_cut(_slices(files, "label"), 100, split), 10, limit(split))


def pnas_arabidopsis(root: Path, split: str) -> list[Pair]:
    """Whole volumes, in the order of their names as text."""
    files = sorted((root / "pnas_arabidopsis" / "data").glob("*.h5"))
    chosen = files[:5] if split == "val" else files[-10:]
    return stored(_slices(chosen, "labels"), 50, limit(split), ignore=1)
