"""The gallery of a data set's page: its pictures, and the outlines of truth and predictions."""

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
    StoredSample,
    StoredSamples,
    choose,
    rgb,
    scores_of,
    some_predicted,
)
from benchmark.report.results import RunResult
from benchmark.report.site.data import is_own, redistribute, script
from benchmark.report.site.outlines import UNITS, outlines
from benchmark.scoring.match import match
from benchmark.scoring.object_outcomes import MERGED, MISSED, SPLIT, SPURIOUS, object_outcomes
from benchmark.store.files import path_of_id, write_synced
from benchmark.store.names import safe_names
from benchmark.store.store import RunStore
from benchmark.types import Labels, Sample
from benchmark.workers import side_by_side

THUMBS = "thumbs"
"""The folder of the small pictures, in that of the large ones."""

_LARGEST, _THUMB = 1024, 256  # pixels of the longer side
_QUALITY, _THUMB_QUALITY = 90, 80  # of WebP: about a fifth of what PNG takes

_NOT_PASSED_ON = (
    "The images of this data set may not be passed on, or its card does not say that they may "
    "(redistribute: yes; data.redistribute=true in the command of each run, which then predicts "
    "nothing again). "
)
_PRIVATE = f"{_NOT_PASSED_ON}A report for yourself alone shows them: gallery.private=true."
_LEFT_OUT = f"{_NOT_PASSED_ON}This site was made to be passed on (gallery.private=false)."
_GONE = (
    "The prepared images are no longer where they were when the runs were made, so none can be "
    "shown. The command of a run prepares them again."
)


@dataclass
class Gallery:
    """The images on a data set's page.

    Attributes:
        pictures: one description per image: first those that are chosen for a reason (`why`), then
            the others by name; outlines are in separate files.
        runs: the runs whose outlines are shown.
        notes: what is missing, and why.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    runs: list[RunResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """Names of the runs."""
        return [result.method for result in self.runs]


def may_be_passed_on(results: Sequence[RunResult]) -> bool:
    """Whether the data set's card allows to redistribute the images, in every run."""
    return all(redistribute(_card(result)) == "yes" for result in results)


def are_shown(results: Sequence[RunResult], private: bool | None) -> bool:
    """Whether a site shows the images of a data set.

    Args:
        results: the runs on it.
        private: True: always; False: where they may be passed on; None: there, and one's own.
    """
    if private or may_be_passed_on(results):
        return True
    return private is None and all(is_own(_card(result)) for result in results)


def build_gallery(
    results: Sequence[RunResult],
    folder: Path,
    *,
    private: bool | None,
    steps: Steps,
    label_first: Sequence[str] = (),
) -> Gallery:
    """Write pictures and outlines of all samples, by several processes where there are many.

    Args:
        results: runs on one data set; where their images, labels or protocols differ, those that
            most runs share are shown.
        folder: created if there is something to write.
        private: which images are shown; see `are_shown`.
        steps: advanced by each picture.
        label_first: samples without labels, those on which methods agree least first.

    Returns:
        What was written, and what could not be.
    """
    if not are_shown(results, private):
        return Gallery(notes=[_PRIVATE if private is None else _LEFT_OUT])
    together = _of_same_images(results)
    try:
        stored = StoredSamples(together)
    except BenchmarkError:
        return Gallery(notes=[_GONE])
    gallery = Gallery(runs=together)
    if len(together) < len(results):
        gallery.notes.append(
            f"Shown are the images and labels that {len(together)} of the {len(results)} results "
            f"share, scored under protocol {together[0].protocol}; the others are of another "
            "split, of images that were prepared otherwise, of other labels or another protocol."
        )
    # The scores of controls are known beforehand: where there are other runs, these decide.
    methods = [result for result in together if not result.control] or together
    why = {name: reason for reason, name in _chosen(methods, stored, label_first)}
    every = {name for result in together for name in stored.predicted(result)}
    every |= set(scores_of(together).index)
    names = [*why, *sorted(every - why.keys())]
    stems = safe_names(names)
    places = [stored.place(name, together) for name in names]
    tasks = [_Task(place, folder, stems[name]) for name, place in zip(names, places, strict=True)]
    if tasks:
        (folder / THUMBS).mkdir(parents=True)
    lacking: set[int] = set()
    for name, found in zip(names, side_by_side(_draw, tasks, __name__), strict=True):
        if found is None:
            # Others may read the page: the message would name folders of this machine.
            gallery.notes.append(f"'{name}' can't be shown: its image is missing or was changed.")
            continue
        lacking |= {place for place, errors in enumerate(found["errors"]) if errors is None}
        scores = [_score(result, name) for result in together]
        gallery.pictures.append({**found, "why": why.get(name, ""), "scores": scores})
        steps.advance(name)
    if lacking:
        unstored = ", ".join(gallery.methods[place] for place in sorted(lacking))
        gallery.notes.append(
            f"Not every prediction of {unstored} is stored (any more): outlines are missing there."
        )
    return gallery


@dataclass(frozen=True)
class _Task:
    """A sample, and where its files go."""

    sample: StoredSample | None
    folder: Path
    stem: str


def _draw(task: _Task) -> dict[str, Any] | None:
    """Write picture, thumbnail and outlines of a sample; describe them.

    `errors` has for each run the numbers of missed, spurious, split and merged objects, none of
    them without a truth; None where no prediction is stored as it was recorded.
    """
    if task.sample is None:
        return None
    try:
        sample = task.sample.read()
    except BenchmarkError:
        return None
    size = _write_pictures(sample, task)
    down = size["down"]
    layers = [
        None if predicted is None else _layer(sample, predicted, down)
        for predicted in map(task.sample.prediction, range(len(task.sample.predictions)))
    ]
    truth = None if sample.labels is None else outlines(sample.labels, down)
    value = {"id": sample.id, "true": truth, "layers": layers}
    write_synced(path_of_id(task.folder, task.stem, ".js"), script("outlines.take", value))
    return {
        "id": sample.id,
        "original": task.sample.entry.original,
        "group": sample.group,
        "stem": task.stem,
        "objects": None if truth is None else len(truth),
        **size,
        "errors": [None if layer is None else _errors(layer) for layer in layers],
    }


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
    shown = {sample for _, sample in few}
    return [*few, *(pair for pair in scored if pair[1] not in shown)][:SITE_SAMPLES]


def _layer(sample: Sample, predicted: Labels, down: int) -> dict[str, Any]:
    """Outlines and outcomes of one prediction; without a truth there are no outcomes."""
    layer: dict[str, Any] = {"paths": outlines(predicted, down), "kinds": None, "true_kinds": None}
    if sample.labels is not None:
        true_kinds, own_kinds = object_outcomes(match(sample.labels, predicted))
        layer |= {"kinds": own_kinds, "true_kinds": true_kinds}
    return layer


def _errors(layer: dict[str, Any]) -> list[int]:
    true, own = layer["true_kinds"], layer["kinds"]
    if true is None:
        return []
    return [true.count(MISSED), own.count(SPURIOUS), true.count(SPLIT), own.count(MERGED)]


def _score(result: RunResult, name: str) -> float | None:
    found = result.values.reindex([name]).to_numpy(float)[0]
    return None if np.isnan(found) else round(float(found), 4)


def _write_pictures(sample: Sample, task: _Task) -> dict[str, int]:
    """Write an image and its thumbnail as WebP; return the sizes.

    A large image is reduced by a whole factor, so that outlines fit.
    """
    pixels = rgb(sample.image)
    height, width = pixels.shape[:2]
    down = max(1, -(-max(height, width) // _LARGEST))
    picture = Pillow.fromarray(pixels)
    if down > 1:
        picture = picture.reduce(down)
    picture.save(path_of_id(task.folder, task.stem, ".webp"), quality=_QUALITY)
    picture.thumbnail((_THUMB, _THUMB))
    picture.save(path_of_id(task.folder / THUMBS, task.stem, ".webp"), quality=_THUMB_QUALITY)
    return {"width": width, "height": height, "down": down, "units": UNITS}


def _of_same_images(results: Sequence[RunResult]) -> list[RunResult]:
    """The runs on those images that most of them share, scored alike."""
    together: dict[tuple[str, ...], list[RunResult]] = {}
    for result in results:
        shared = (result.split, result.images_id, result.protocol, result.truth)
        together.setdefault(shared, []).append(result)
    return max(together.values(), key=lambda runs: (len(runs), sum(len(r.scores) for r in runs)))


def _card(result: RunResult) -> dict[str, Any]:
    try:
        described = RunStore(result.path).describe() or {}
    except BenchmarkError:
        return {}
    return described.get("data_card") or {}
