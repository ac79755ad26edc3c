"""The gallery of a data set's page: pictures, and the outlines of truth and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from benchmark.console import Steps
from benchmark.errors import BenchmarkError
from benchmark.report.pictures import (
    FOR_SITE,
    SITE_SAMPLES,
    StoredSamples,
    choose,
    rgb,
    scores_of,
    some_predicted,
)
from benchmark.report.results import RunResult
from benchmark.report.site.data import redistribute, script
from benchmark.report.site.object_outcomes import object_outcomes
from benchmark.report.site.outlines import UNITS, outlines
from benchmark.scoring.match import match
from benchmark.store.files import path_of_id, write_synced
from benchmark.store.names import safe_names
from benchmark.store.store import RunStore
from benchmark.types import Sample

_LARGEST = 1024  # pixels of a picture's longer side
_PRIVATE = (
    "The images of this data set may not be passed on, or its card does not say that they may "
    "(redistribute: yes). A report for yourself alone shows them: gallery.private=true."
)
_GONE = (
    "The prepared images are no longer where they were when the runs were made, so none can be "
    "shown. The command of a run prepares them again."
)


@dataclass
class Gallery:
    """The images on a data set's page.

    Attributes:
        pictures: one description per image, in the page's order; outlines are in separate files.
        methods: names of the runs whose outlines are shown.
        notes: what is missing, and why.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def may_be_shown(results: Sequence[RunResult]) -> bool:
    """Whether the data set's card allows to redistribute the images, in every run."""
    return all(
        redistribute(_described(result).get("data_card") or {}) == "yes" for result in results
    )


def build_gallery(
    results: Sequence[RunResult],
    folder: Path,
    *,
    private: bool,
    steps: Steps,
    label_first: Sequence[str] = (),
) -> Gallery:
    """Write pictures and outlines of the chosen samples.

    Args:
        results: runs on one data set; where their images differ, those that most runs share
            are shown.
        folder: created if there is something to write.
        private: show images whatever the data set's card says.
        steps: advanced by each picture.
        label_first: samples without labels, those on which methods agree least first.

    Returns:
        What was written, and what could not be.
    """
    if not private and not may_be_shown(results):
        return Gallery(notes=[_PRIVATE])
    together = _of_same_images(results)
    try:
        stored = StoredSamples(together)
    except BenchmarkError:
        return Gallery(notes=[_GONE])
    gallery = Gallery(methods=[result.method for result in together])
    if len(together) < len(results):
        gallery.notes.append(
            f"Shown are the images that {len(together)} of the {len(results)} runs share; the "
            "others ran on another split or on images that were prepared otherwise."
        )
    # The scores of controls are known beforehand: where there are other runs, these decide.
    methods = [result for result in together if not result.control] or together
    chosen = _chosen(methods, stored, label_first)
    stems = safe_names(name for _, name in chosen)
    missing: set[int] = set()
    for reason, name in chosen:
        try:
            sample = stored.read(name)
        except BenchmarkError:
            # Others may read the page: the message would name folders of this machine.
            gallery.notes.append(f"'{name}' can't be shown: its image is missing or was changed.")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        size = _write_image(sample, path_of_id(folder, stems[name], ".png"))
        layers = [_layer(sample, stored, result, size["down"]) for result in together]
        missing |= {place for place, layer in enumerate(layers) if layer is None}
        truth = None if sample.labels is None else outlines(sample.labels, size["down"])
        value = {"id": name, "true": truth, "layers": layers}
        write_synced(path_of_id(folder, stems[name], ".js"), script("outlines.take", value))
        gallery.pictures.append(
            {
                "id": name,
                "original": stored.entry(name).original,
                "group": sample.group,
                "why": reason,
                "stem": stems[name],
                "objects": None if truth is None else len(truth),
                **size,
                "scores": [_score(result, name) for result in together],
            }
        )
        steps.advance(name)
    if missing:
        names = ", ".join(gallery.methods[place] for place in sorted(missing))
        gallery.notes.append(
            f"Not every prediction of {names} is stored (any more): outlines are missing there."
        )
    return gallery


def _chosen(
    methods: Sequence[RunResult], stored: StoredSamples, label_first: Sequence[str]
) -> list[tuple[str, str]]:
    """Choose samples by their scores, and those without labels by agreement, or else at random."""
    scored = choose(scores_of(methods), FOR_SITE)
    unlabelled = [("least agreement", sample) for sample in label_first]
    if not scored and not unlabelled:
        return some_predicted(stored.predicted(methods[0]))
    half = SITE_SAMPLES // 2
    few = unlabelled[: max(half, SITE_SAMPLES - len(scored))]
    return [*few, *scored][:SITE_SAMPLES]


def _layer(
    sample: Sample, stored: StoredSamples, result: RunResult, down: int
) -> dict[str, Any] | None:
    """Outlines and outcomes of one prediction; None where none is stored as it was recorded.

    Without a truth there are no outcomes.
    """
    try:
        predicted = stored.prediction(sample.id, result)
    except BenchmarkError:
        return None
    layer: dict[str, Any] = {"paths": outlines(predicted, down), "kinds": None, "true_kinds": None}
    if sample.labels is not None:
        true_kinds, own_kinds = object_outcomes(match(sample.labels, predicted))
        layer |= {"kinds": own_kinds, "true_kinds": true_kinds}
    return layer


def _score(result: RunResult, name: str) -> float | None:
    found = result.values.reindex([name]).to_numpy(float)[0]
    return None if np.isnan(found) else round(float(found), 4)


def _write_image(sample: Sample, path: Path) -> dict[str, int]:
    """Write an image as PNG, reduced by a whole factor where it is large; return its sizes."""
    pixels = rgb(sample.image)
    height, width = pixels.shape[:2]
    down = max(1, -(-max(height, width) // _LARGEST))
    picture = Pillow.fromarray(pixels)
    if down > 1:
        picture = picture.reduce(down)
    if bool((pixels == pixels[..., :1]).all()):
        picture = picture.convert("L")
    picture.save(path, optimize=True)
    return {"width": width, "height": height, "down": down, "units": UNITS}


def _of_same_images(results: Sequence[RunResult]) -> list[RunResult]:
    """The runs on those images that most of them share."""
    together: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        together.setdefault((result.split, result.images_id), []).append(result)
    return max(together.values(), key=lambda runs: (len(runs), sum(len(r.scores) for r in runs)))


def _described(result: RunResult) -> dict[str, Any]:
    try:
        return RunStore(result.path).describe() or {}
    except BenchmarkError:
        return {}
