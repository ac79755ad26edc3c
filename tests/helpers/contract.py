"""The contract between the engine and an adapter, and what an adapter breaks of it.

A model is composed and built as the command line does it, then asked for the labels of a few drawn
images. What is found is a list of sentences for the adapter's author, so that one run shows all.
"""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from helpers.command_line import call

from benchmark.adapter import PredictionInfo, varied
from benchmark.data.sources.synthetic import draw
from benchmark.errors import BenchmarkError, ModelError, SkippedError
from benchmark.job import Job
from benchmark.run import seed_everything
from benchmark.scoring.stages import evidence
from benchmark.types import (
    Attending,
    Labels,
    Sample,
    Segmenter,
    Sharing,
    Staged,
    Tiled,
    check_labels,
)


def _samples() -> list[Sample]:
    """Drawn nuclei, cut so that height and width differ, in the kinds that data sets have."""
    grey, labels = draw("fluorescent_nuclei", 0, seed=0, size=96)
    other = draw("fluorescent_nuclei", 1, seed=0, size=96)[0]
    small = (grey // max(int(grey.max()) // 255, 1)).astype(np.uint8)
    kinds = {
        "grey": small,
        "rgb": np.stack([small, small // 2, small // 3], axis=2),
        "uint16": other.astype(np.uint16) * 16,
        "float32": np.float32(other) / 255,
        "constant": np.full_like(small, 7),
    }
    return [Sample(name, image[:, 8:80], labels[:, 8:80], name) for name, image in kinds.items()]


SAMPLES = _samples()
REPEATED = 2
"""So many are predicted once more."""


@dataclass
class Finding:
    """What was found of a model.

    Attributes:
        violations: what it breaks of the contract, a sentence each.
        skipped: why its predictions could not be looked at (library or weights missing).
    """

    violations: list[str] = field(default_factory=list)
    skipped: str | None = None


def check(
    model: str, folder: Path, place: Path, *words: str, configs: Path | None = None
) -> Finding:
    """Compose, build and try one model.

    Args:
        model: name of its YAML.
        folder: for prepared data and results.
        place: the working directory, where modules of one's own are found.
        words: further overrides of the command line.
        configs: the configuration folder that its YAML is in, if it is not ours.
    """
    found = Finding()

    def perform(job: Job) -> int:
        found.violations += _described(job)
        if not found.violations:
            try:
                job.check_ready()
                found.violations += _predicting(job)
            except SkippedError as reason:
                found.skipped = str(reason)
            except BenchmarkError as error:
                found.violations.append(f"it can't be built: {error}")
        return 0

    own = ["--config-dir", str(configs)] if configs else []
    places = [f"results={folder / 'results'}", f"datasets={folder / 'datasets'}"]
    with mock.patch.object(importlib.import_module("benchmark.actions.run"), "perform", perform):
        done = call([*own, f"model={model}", "data=nuclei_demo", *words, *places], place)
    if done.returncode:
        found.violations.append(done.stderr.strip() or f"exit status {done.returncode}")
    return found


def _described(job: Job) -> Iterator[str]:
    """What is wrong with what the class says of itself; nothing is built."""
    try:
        info = job.info
        strange = sorted(set(info.execution) - set(info.parameters))
        if strange:
            yield f"`execution` names {', '.join(strange)}, which the constructor does not take"
        unknown = [name for name in info.added if name not in info.as_before]
        if unknown:
            yield f"`added` names {', '.join(unknown)}, which the constructor does not take"
        if info.find_weights and "weights" not in info.parameters:
            yield "it has `find_weights`, and its constructor takes no `weights`"
        if info.sees_truth and not job.attends:
            yield "it has `sees_truth`, and no `attend` to be given the labels by"
        one, other = (json.dumps(info.in_identity("", job.parameters, None)) for _ in range(2))
        if one != other:
            yield "its `identity` gives something else each time"
    except BenchmarkError as error:
        yield str(error)
    except (TypeError, ValueError) as error:
        yield f"its `identity` or parameters can't be written as JSON: {error}"


def _predicting(job: Job) -> Iterator[str]:
    """What is wrong with what it predicts."""
    model = job.load_model()
    first: dict[str, Labels] = {}
    refused: dict[str, str] = {}
    misreported: list[str] = []
    for sample in SAMPLES:
        on = f"on the sample '{sample.id}' ({sample.image.shape}, {sample.image.dtype})"
        given = replace(sample, image=sample.image.copy())
        try:
            labels = _predict(model, given)
        except (ValueError, BenchmarkError) as error:
            refused[sample.id] = str(error)
            continue
        except Exception as error:
            yield f"{on}, predict raised {type(error).__name__}: {error}. Refuse by a ValueError."
            continue
        if not np.array_equal(given.image, sample.image):
            yield f"{on}, predict changed its image"
        try:
            first[sample.id] = check_labels(labels, sample.image, model=job.model_name, of=on)
        except ModelError as error:
            yield str(error)
        misreported += (f"{on}, {wrong}" for wrong in _said(model))
    if len(refused) == len(SAMPLES):
        yield f"it refuses all of {len(SAMPLES)} images, the last one by: {refused[sample.id]}"
    yield from misreported
    if not misreported and PredictionInfo.of(model).details.get("reproducible", True):
        yield from _repeated(model, first)
        if isinstance(model, Sharing):
            yield from _sharing(model, first, job)
        if isinstance(model, Staged):
            yield from _staged(model, first)
        if isinstance(model, Tiled):
            yield from _tiled(model, first, job)
    if not job.info.sees_truth and isinstance(model, Attending):
        yield from _peeking(model, first)


def _predict(model: Segmenter, sample: Sample) -> Labels:
    """What it returns, as the engine asks for it; an array that it may use again is copied."""
    seed_everything(0, sample.id)
    if isinstance(model, Attending):
        model.attend(sample)
    labels = model.predict(sample.image)
    return labels.copy() if isinstance(labels, np.ndarray) else labels


def _said(model: Segmenter) -> Iterator[str]:
    """What is wrong with what it says about the prediction."""
    try:
        json.dumps(PredictionInfo.of(model).details, allow_nan=False)
    except (ValueError, TypeError, AttributeError) as error:
        yield f"`stages`, `cached`, `stage_memory` or `details` are invalid: {error}"


def _repeated(model: Segmenter, first: dict[str, Labels]) -> Iterator[str]:
    """Whether labels depend on chance, or on what was predicted before."""
    for sample in [sample for sample in SAMPLES if sample.id in first][:REPEATED]:
        if not np.array_equal(_predict(model, sample), first[sample.id]):
            yield (
                f"two predictions of '{sample.id}' from one seed differ, by chance or by the "
                "images before. If that can't be helped: self.details = {'reproducible': False}"
            )


def _sharing(model: Sharing, first: dict[str, Labels], job: Job) -> Iterator[str]:
    """Whether it predicts under many settings (`benchmark.types.Sharing`) as under one.

    Settings are known by their result only where they stand for the model as it was built: those
    that name nothing, and those that name parameters with their own values.
    """
    can_vary = varied(job.adapter)
    own = {name: value for name, value in job.parameters.items() if name in can_vary}
    settings = [{}, own, *({name: value} for name, value in own.items()), {}]
    for sample in [sample for sample in SAMPLES if sample.id in first][:1]:
        image = sample.image.copy()
        seed_everything(0, sample.id)
        if isinstance(model, Attending):
            model.attend(sample)
        found = [labels.copy() for labels in model.predict_each(image, settings)]
        if len(found) != len(settings):
            yield f"predict_each gave {len(found)} label images for {len(settings)} settings"
        for setting, labels in zip(settings, found, strict=False):
            if not np.array_equal(labels, first[sample.id]):
                yield (
                    f"predict_each of '{sample.id}' with {setting} differs from predict, though "
                    "the model was built with these parameters"
                )
        if not np.array_equal(image, sample.image):
            yield f"predict_each of '{sample.id}' changed its image"
        if list(model.predict_each(image, [])):
            yield "predict_each gave label images for no settings"


def _staged(model: Any, first: dict[str, Labels]) -> Iterator[str]:
    """Whether its stages (`benchmark.types.Staged`) can be accounted for, and end as `predict`."""
    for sample in [sample for sample in SAMPLES if sample.id in first][:1]:
        seed_everything(0, sample.id)
        if isinstance(model, Attending):
            model.attend(sample)
        stages = model.segment_stages(sample.image.copy())
        if not np.array_equal(stages.labels, first[sample.id]):
            yield f"segment_stages of '{sample.id}' ends with other labels than predict returns"
        try:
            evidence(sample.labels, stages)
        except Exception as error:
            yield f"segment_stages of '{sample.id}': {type(error).__name__}: {error}"


def _tiled(model: Tiled, first: dict[str, Labels], job: Job) -> Iterator[str]:
    """Whether what it predicts in tiles (`benchmark.types.Tiled`) is valid, and the same twice."""
    for sample in [sample for sample in SAMPLES if sample.id in first][:1]:
        image, found = sample.image.copy(), []
        for _ in range(2):
            seed_everything(0, sample.id)
            labels = model.predict_tiled(image, (40, 40), (16, 16))
            try:
                of = f"sample '{sample.id}', in tiles"
                found.append(check_labels(labels, image, model=job.model_name, of=of).copy())
            except ModelError as error:
                yield str(error)
                return
        if not np.array_equal(image, sample.image):
            yield f"predict_tiled of '{sample.id}' changed its image"
        elif not np.array_equal(*found):
            yield f"two calls of predict_tiled of '{sample.id}' differ"


def _peeking(model: Segmenter, first: dict[str, Labels]) -> Iterator[str]:
    for sample in SAMPLES:
        if sample.id in first:
            blind = replace(sample, labels=np.zeros_like(sample.labels))
            if not np.array_equal(_predict(model, blind), first[sample.id]):
                yield f"its labels of '{sample.id}' depend on the truth: set `sees_truth = True`"


def sentences(found: Sequence[Any]) -> str:
    """The violations, one below the other."""
    return "\n".join(f"- {violation}" for violation in found)
