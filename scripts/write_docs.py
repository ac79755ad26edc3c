"""Write docs/quirks.md and the table in docs/data_sets.md from the data sets' YAMLs.

    python scripts/write_docs.py

A test compares the pages with the YAMLs, so that neither can be changed alone.
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

# The title of each switch, and why it matters. A data set's YAML says what it does there.
WHY = {
    "counting": (
        "Background counts as an object in the minimum",
        "Images with few objects are left out. The study counted label values, and the background "
        "is one of them, so images with one object less than intended stay in. Images with few "
        "objects have the most extreme scores, and each of them moves the mean.",
    ),
    "val_limit": (
        "The limit of 100 validation images is off by one, or does not act",
        "Grid searches choose parameters on these images. The study's script stops after it has "
        "stored image 100, counting from 0, and does not stop if that image was left out.",
    ),
    "cut_objects": (
        "What a crop cuts into pieces stays one object",
        "A method cannot know that two pieces are connected outside of the image. It is scored as "
        "if it had split an object or missed a small piece. The study scored its grid searches "
        "against re-labelled truth, and its baselines against the original ids. Clean re-labels "
        "only the pieces of objects that were connected before the crop.",
    ),
    "label_resize": (
        "Label ids are interpolated",
        "Linear interpolation gives a label image ids between those of two neighbours along every "
        "border. These are objects that nobody annotated, and a perfect prediction scores far "
        "below 1.",
    ),
    "pad_small": (
        "Small images are padded with black",
        "Three quarters of the input are black. For a model that normalises by percentiles, or "
        "that estimates a background, this is another image than the microscope's.",
    ),
    "crop_by_truth": (
        "Crops are laid around the annotated objects",
        "The annotation decides which part of an image a method gets. A crop around the centre "
        "contains empty regions as well, as a user's images do.",
    ),
    "val_images": (
        "Validation images are inside the test set",
        "The reported score is then measured on images that parameters were chosen on.",
    ),
    "val_training": (
        "Validation images were trained on",
        "A model does better on images of its training, so parameters chosen there may not suit "
        "the test images. Under clean a fifth of the test split is held back for validation.",
    ),
    "volumes": (
        "Slices of one volume are in validation and test",
        "Neighbouring slices are almost equal, so parameters are tested on nearly the images that "
        "they were chosen on.",
    ),
    "random_splits": (
        "Splits at random without a seed",
        "Every download has other test images. The study's own cannot be recovered; tables mark "
        "this with a star. Clean draws one split by group from a seed, and stores its list in "
        "`datasets/<name>/`.",
    ),
    "bad_annotations": (
        "Wrong or missing annotations",
        "A method loses score where it is better than the annotation, or gains by repeating the "
        "errors of the network that made it.",
    ),
    "ignore_region": (
        "A region to be ignored is scored as an object",
        "No method can segment it, and every object predicted inside counts as an error.",
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
    """Yield the lines of docs/quirks.md."""
    cards = data_sets()
    yield "# Quirks of the published protocol"
    yield MARK
    yield ""
    yield (
        "The study prepared and scored its images with the quirks below. `protocol=paper` keeps "
        "all of them, and `protocol=clean` corrects all of them. Each is a switch: "
        "`protocol.counting=objects` corrects one and keeps the others. Sources: the study's own "
        "scripts (micro-sam, scripts/apg_experiments/util.py) and the loaders of torch_em 0.10.9."
    )
    yield ""
    yield "Other switches set how methods run and predictions are scored (`configs/protocol/`):"
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
        yield from (f"- `{key}`: {_line(text)}" for key, text in touched.items())
    yield ""
    yield "## Other facts, without a switch"
    for key, card in cards.items():
        if card["notes"]:
            yield ""
            yield f"**{card['title']}** (`{key}`)"
            yield ""
            yield from (f"- {_line(note)}" for note in card["notes"])


def table() -> Iterator[str]:
    """Yield the lines of the table in docs/data_sets.md."""
    yield "| `data=` | what | modality | licence | may be passed on | access |"
    yield "|---|---|---|---|---|---|"
    for key, card in data_sets().items():
        cells = [
            f"`{key}`", card["about"], MODALITIES[card["modality"]], card["licence"],
            card["redistribute"], card["access"],
        ]  # fmt: skip
        yield f"| {' | '.join(str(cell) for cell in cells)} |"


def pages() -> dict[Path, str]:
    """The path of each page, and its text."""
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
