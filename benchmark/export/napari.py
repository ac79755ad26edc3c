"""Commands that open samples in napari; no file is written for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.console import say
from benchmark.export.predicted import Predicted
from benchmark.store.store import RunStore

PROGRAM = "python"


@dataclass(frozen=True)
class NapariCommands:
    """The format that prints a command for each sample: image, truth and predictions as layers.

    All predictions of the sample that are stored for the same images are opened.
    """

    needs_prediction: bool = False

    def names(self, samples: Sequence[str]) -> list[str]:
        """No file."""
        return []

    def files(self, predictions: Iterable[Predicted]) -> Iterator[tuple[str, bytes]]:
        """Print the commands."""
        stores: list[tuple[RunStore, set[str]]] | None = None
        for each in predictions:
            if stores is None:
                stores = _on_the_same_images(each)
            with_it = [store for store, samples in stores if each.entry.id in samples]
            say(f"{PROGRAM} -c {shlex.quote(program(each, with_it))}")
        yield from ()


def program(sample: Predicted, runs: Sequence[RunStore]) -> str:
    """Return one line of Python that opens a sample.

    Args:
        sample: gives image and truth, as they were prepared.
        runs: give a layer each, called as the run.
    """
    entry, data = sample.entry, sample.data
    layers = [("truth", data.path(entry, "labels"))] if sample.truth is not None else []
    layers += [(run.path.name, run.prediction_path(entry.id)) for run in runs]
    # Three or four channels are colours only with 8 bits; others are a layer each.
    colours = entry.dtype == "uint8" and entry.shape[2:] in ((3,), (4,))
    kind = "rgb=True" if colours else "channel_axis=2" if len(entry.shape) == 3 else "rgb=False"
    how = kind if kind == "channel_axis=2" else f'{kind}, name="image"'
    steps = [
        "import napari",
        "from tifffile import imread",  # which napari requires
        "viewer = napari.Viewer()",
        f"viewer.add_image(imread({_text(data.path(entry, 'images'))}), {how})",
        *(f"viewer.add_labels(imread({_text(path)}), name={_text(name)})" for name, path in layers),
        "napari.run()",
    ]
    return "; ".join(steps)


def _text(value: str | Path) -> str:
    """A literal of Python."""
    text = value if isinstance(value, str) else str(value.absolute())
    return json.dumps(text, ensure_ascii=False)


def _on_the_same_images(sample: Predicted) -> list[tuple[RunStore, set[str]]]:
    """Every run on these images, with the samples whose prediction it holds."""
    images = sample.data.images_digest()
    return [
        (store, store.completed())
        for store, described in RunStore.readable(sample.store.path.parent)
        if described["identity"].get("images") == images
    ]
