"""Write docs/quirks.md and the table in docs/data_sets.md from the data sets' YAMLs.

    python scripts/write_docs.py

A test holds the pages against the YAMLs, so that neither can be changed alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from benchmark.scoring.protocol import METHODS, SCORING, SWITCHES

CHECKOUT = Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"
MARK = "<!-- written by scripts/write_docs.py -->"

MODALITIES = {
    "label_free_cells": "label-free cells",
    "fluorescence_cells": "fluorescence, cells",
    "fluorescence_nuclei": "fluorescence, nuclei",
    "histopathology": "histopathology",
    "organoids": "organoids",
}

# What a switch is about, and why it matters. What it does to each data set stands in its YAML.
WHY = {
    "counting": (
        "Background counts as an object in the minimum",
        "Images with few objects are left out. The study counted label values, and the background "
        "is one: images with one object less than was meant stay in. Images with few objects "
        "have the most extreme scores, so a mean moves with each of them.",
    ),
    "val_limit": (
        "The limit of 100 validation images is off by one, or does not act",
        "Grid searches choose parameters on these images. The limiter stops after image number "
        "100 was stored, counting from 0, and never stops where that image was left out.",
    ),
    "cut_objects": (
        "What a crop cuts into pieces stays one object",
        "A method can't know that two pieces belong together outside of the image; it is scored "
        "as if it had split an object, or lost a sliver. The study's grid searches were scored "
        "against re-labelled truth and its baselines against raw ids. Clean re-labels the pieces "
        "of objects that were whole before the crop, and those alone.",
    ),
    "label_resize": (
        "Label ids are interpolated",
        "Resized linearly, a label image gets ids between those of two neighbours along every "
        "border: objects that nobody annotated, and a perfect prediction scores far below 1.",
    ),
    "pad_small": (
        "Small images are padded with black",
        "Three quarters of what a method is shown is black; models that normalise by percentiles "
        "or look for a background see another image than from a microscope.",
    ),
    "crop_by_truth": (
        "Crops are laid around the annotated objects",
        "The truth decides what a method is shown. A crop around the centre shows empty "
        "regions too, as a user's images do.",
    ),
    "val_images": (
        "Validation images are inside the test set",
        "A grid search on test images reports what it was tuned on.",
    ),
    "val_training": (
        "Validation images were trained on",
        "Parameters that are chosen on images of a model's training are chosen for another "
        "situation than the test. The test split is smaller under clean by the fifth held back.",
    ),
    "volumes": (
        "Slices of one volume are in validation and test",
        "Neighbouring slices are near copies: what is tuned on one is tested on the other.",
    ),
    "random_splits": (
        "Splits at random without a seed",
        "Everybody who downloads the data gets other test images. The study's own can't be "
        "recovered, and tables say so. Clean has one seeded split by group; its list is kept in "
        "`datasets/<name>/` when it is made first.",
    ),
    "bad_annotations": (
        "Annotations that are none",
        "A method is punished for being better than its annotation, or rewarded for repeating a "
        "network's faults.",
    ),
    "ignore_region": (
        "A region to be ignored is scored as an object",
        "Nobody can segment it, and every object predicted inside counts as an error.",
    ),
}


def data_sets() -> dict[str, dict[str, Any]]:
    """The public data sets' YAMLs, by modality and name, not resolved."""
    base = yaml.safe_load((CHECKOUT / "configs/data/base/torch_em.yaml").read_text())
    found = {}
    for path in sorted((CHECKOUT / "configs/data").glob("*.yaml")):
        content = yaml.safe_load(path.read_text())
        if "base/torch_em" in content.get("defaults", []):
            found[path.stem] = {**base, **content, "about": path.read_text().split("\n")[0][2:]}
    order = list(MODALITIES)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]["modality"]), item[0])))


def quirks() -> Iterator[str]:
    """The lines of docs/quirks.md."""
    cards = data_sets()
    yield "# Quirks of the published protocol, and what `protocol=clean` does about each"
    yield MARK
    yield ""
    yield (
        "The study prepared and scored its images with the quirks below. `protocol=paper` keeps "
        "them all, `protocol=clean` mends them all, and each is a switch of its own: "
        "`protocol.counting=objects` mends one and keeps the others. Sources: the study's own "
        "scripts (micro-sam, scripts/apg_experiments/util.py) and the loaders of torch_em 0.10.9."
    )
    yield ""
    yield "How predictions are scored and methods run has switches too (`configs/protocol/`):"
    yield f"{', '.join(f'`{key}`' for key in (*SCORING, *METHODS))}."
    for switch, (title, why) in WHY.items():
        paper, clean = (str(value).lower() for value in SWITCHES[switch][:2])
        touched = {
            key: card["quirks"][switch] for key, card in cards.items() if switch in card["quirks"]
        }
        yield ""
        yield f"## {title}"
        yield ""
        values = f"`{paper}` (paper), `{clean}` (clean)"
        yield f"`protocol.{switch}`: {values}; data sets: {len(touched)}."
        yield ""
        yield why
        yield ""
        yield from (f"- `{key}`: {_line(told)}" for key, told in touched.items())
    yield ""
    yield "## What is no switch, and why"
    for key, card in cards.items():
        if card["notes"]:
            yield ""
            yield f"**{card['title']}** (`{key}`)"
            yield ""
            yield from (f"- {_line(note)}" for note in card["notes"])


def table() -> Iterator[str]:
    """The table of docs/data_sets.md."""
    yield "| `data=` | what | modality | licence | may be passed on | access |"
    yield "|---|---|---|---|---|---|"
    for key, card in data_sets().items():
        cells = [
            f"`{key}`", card["about"], MODALITIES[card["modality"]], card["licence"],
            card["redistribute"], card["access"],
        ]  # fmt: skip
        yield f"| {' | '.join(str(cell) for cell in cells)} |"


def pages() -> dict[Path, str]:
    """Each page with what it has to say."""
    path = DOCS / "data_sets.md"
    head = path.read_text().partition(MARK)[0]
    return {
        DOCS / "quirks.md": "\n".join(quirks()) + "\n",
        path: head + MARK + "\n\n" + "\n".join(table()) + "\n",
    }


def _line(text: str) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(path)
