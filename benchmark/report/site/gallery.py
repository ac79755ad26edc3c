"""The samples that a page shows, as pictures with the outlines of truth and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from benchmark.console import Steps
from benchmark.data.prepared import PreparedData
from benchmark.errors import BenchmarkError
from benchmark.report.pictures import prepared_of, rgb
from benchmark.report.results import RunResult
from benchmark.report.site.data import redistribute, script
from benchmark.report.site.object_outcomes import object_outcomes
from benchmark.report.site.outlines import UNITS, outlines
from benchmark.scoring.match import match
from benchmark.store.files import path_of_id, write_synced
from benchmark.store.names import safe_names
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Sample

DOZEN, LOT = 12, "drawn by lot"
SHARES = {"worst": 3, "best": 2, "median": 2, "largest difference": 3, LOT: 2}
"""Why a sample is shown, and how many for each reason."""

_SEED = 0
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
    """What a data set's page shows of its images.

    Attributes:
        pictures: by place, what the page has to know of each; outlines are in files of their own.
        methods: names of the runs whose outlines there are.
        notes: what is missing, and why.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose_samples(results: Sequence[RunResult]) -> list[tuple[str, str]]:
    """The samples worth looking at.

    The worst, best and median by the mean mSA of the methods, those on which methods differ
    most, and some drawn by a fixed seed, which also fill up the dozen. Controls have no say
    where there are others.

    Returns:
        (sample id, why); none twice, at most a dozen; ties go by id.
    """
    judges = [result for result in results if not result.control] or list(results)
    frame = pd.DataFrame({i: result.scores["msa"] for i, result in enumerate(judges)})
    frame = frame.astype(float).dropna(how="all").sort_index()
    mean = frame.mean(axis=1)
    ascending = mean.sort_values(kind="stable").index.tolist()
    middle = (mean - mean.median()).abs().sort_values(kind="stable").index.tolist()
    gap = (frame.max(axis=1) - frame.min(axis=1)).sort_values(ascending=False, kind="stable")
    lots = np.random.default_rng(_SEED).permutation(len(frame))
    orders = {
        "worst": ascending,
        "best": mean.sort_values(ascending=False, kind="stable").index.tolist(),
        "median": middle,
        "largest difference": gap[gap > 0].index.tolist(),
        LOT: frame.index[lots].tolist(),
    }
    chosen: dict[str, str] = {}
    for why, share in SHARES.items():
        fresh = [name for name in orders[why] if name not in chosen]
        chosen |= dict.fromkeys(fresh[:share], why)
    left = [name for name in orders[LOT] if name not in chosen]
    chosen |= dict.fromkeys(left[: DOZEN - len(chosen)], LOT)
    return list(chosen.items())


def may_be_shown(results: Sequence[RunResult]) -> bool:
    """Whether the card of every run says that the images may be passed on."""
    return all(
        redistribute(_described(result).get("data_card") or {}) == "yes" for result in results
    )


def build_gallery(
    results: Sequence[RunResult], folder: Path, *, private: bool, steps: Steps
) -> Gallery:
    """Write pictures and outlines of the chosen samples.

    Args:
        results: runs on one data set; where their images differ, those that most runs share.
        folder: to be made where there is something to write.
        private: images are shown whatever the card says.
        steps: told of each picture.

    Returns:
        What was written, and what could not be.
    """
    if not private and not may_be_shown(results):
        return Gallery(notes=[_PRIVATE])
    together = _of_same_images(results)
    data = _find_data(together)
    if data is None:
        return Gallery(notes=[_GONE])
    gallery = Gallery(methods=[result.method for result in together])
    if len(together) < len(results):
        gallery.notes.append(
            f"Shown are the images that {len(together)} of the {len(results)} runs share; the "
            "others ran on another split or on images that were prepared otherwise."
        )
    entries = {entry.id: entry for entry in data.entries}
    chosen = choose_samples(together)
    stems = safe_names(name for name, _ in chosen)
    stores = [RunStore(result.path) for result in together]
    runs = [(store, store.records()) for store in stores]
    missing: set[int] = set()
    for name, why in chosen:
        try:
            sample = data.read(entries[name])
        except (BenchmarkError, KeyError):
            # Others may read the page: the message would tell of folders on this machine.
            gallery.notes.append(f"'{name}' can't be shown: its image is missing or was changed.")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        size = _write_image(sample, path_of_id(folder, stems[name], ".png"))
        layers = [_layer(sample, store, records.get(name), size["down"]) for store, records in runs]
        missing |= {place for place, layer in enumerate(layers) if layer is None}
        truth = outlines(sample.labels, size["down"])
        told = {"id": name, "true": truth, "layers": layers}
        write_synced(path_of_id(folder, stems[name], ".js"), script("outlines.take", told))
        about: dict[str, Any] = {
            "id": name,
            "original": entries[name].original,
            "group": sample.group,
        }
        about |= {"why": why, "stem": stems[name], "objects": len(truth)}
        scores = [_score(result, name) for result in together]
        gallery.pictures.append({**about, **size, "scores": scores})
        steps.advance(name)
    if missing:
        names = ", ".join(gallery.methods[place] for place in sorted(missing))
        gallery.notes.append(
            f"Not every prediction of {names} is stored (any more): outlines are missing there."
        )
    return gallery


def _layer(
    sample: Sample, store: RunStore, record: Record | None, down: int
) -> dict[str, Any] | None:
    """What is drawn of one prediction; None where there is none, or not the recorded one."""
    if record is None or record.status != "done":
        return None
    try:
        predicted = store.prediction(record)
    except BenchmarkError:
        return None
    true_kinds, own_kinds = object_outcomes(match(sample.labels, predicted))
    return {"paths": outlines(predicted, down), "kinds": own_kinds, "true_kinds": true_kinds}


def _score(result: RunResult, name: str) -> float | None:
    found = result.scores["msa"].reindex([name]).to_numpy(float)[0]
    return None if np.isnan(found) else round(float(found), 4)


def _write_image(sample: Sample, path: Path) -> dict[str, int]:
    """The image as PNG, reduced by a whole factor where it is large."""
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


def _find_data(results: Sequence[RunResult]) -> PreparedData | None:
    """The prepared data of the runs, wherever one of them last found it."""
    for result in results:
        with suppress(BenchmarkError):
            return prepared_of(result)
    return None


def _described(result: RunResult) -> dict[str, Any]:
    try:
        return RunStore(result.path).describe() or {}
    except BenchmarkError:
        return {}
