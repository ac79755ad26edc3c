"""The check of `precision`: what each one changes of an adapter's outputs, labels and seconds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.adapter import AdapterInfo
from benchmark.profiling import Measurement
from benchmark.types import check_labels
from gpu_checks.checks import Trial, agreement, difference, first_outputs, let_go
from gpu_checks.findings import Finding, UncheckedError, Verdict, held, measured
from models.common.precision import PRECISIONS, tf32_allowed


def precisions(trial: Trial) -> Iterable[Finding]:
    """Each precision beside the default: recorded, undone, other outputs, and how fast.

    Random weights exaggerate what is rounded, so that differences have no limit here.
    """
    subject, image = trial.subject, trial.images[0]
    if "precision" not in AdapterInfo.of(subject.adapter).parameters:
        raise UncheckedError("the adapter has no parameter of this name")
    with first_outputs(subject.networks) as wanted:
        labels = trial.model.predict(image)
    yield measured("default", f"{_seconds(trial.model, trial.images):.3f} s an image")
    for name in PRECISIONS[1:]:
        try:
            model = subject.build(trial.weights, trial.device, precision=name)
        except ValueError as error:
            yield Finding(name, Verdict.UNCHECKED, str(error))
            continue
        before = tf32_allowed()
        with first_outputs(subject.networks) as found:
            own = check_labels(model.predict(image), image, model=subject.name, of="first image")
        yield held(
            f"{name} is recorded and undone",
            model.details["precision"] == name and tf32_allowed() == before,
            f"details have {model.details.get('precision')}",
        )
        errors = {n: difference(wanted[n], found[n]) for n in subject.networks if n in wanted}
        yield held(
            f"{name} computes what the default does",
            bool(errors) and bool(np.isfinite([*errors.values()]).all()),
            ", ".join(f"{n} differs by {error:.1e}" for n, error in errors.items()),
        )
        yield measured(
            name,
            f"{_seconds(model, trial.images):.3f} s an image; {agreement(labels, own):.2%} of the "
            "foreground is in the same objects",
        )
        del model
        let_go()


def _seconds(model: Any, images: Sequence[NDArray[Any]]) -> float:
    """Of an image that nothing is kept of."""
    seconds = []
    for image in images[1:]:
        with Measurement() as measure:
            model.predict(image)
        seconds.append(measure.seconds)
    return statistics.median(seconds)
