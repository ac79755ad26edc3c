"""The options of the command line with their types: the schema of `configs/config.yaml`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from benchmark.errors import UsageError

MISSING = "???"  # OmegaConf's mark of a value that must be given


class Action(Enum):
    """What to do."""

    run = "segment, score and store what is missing; print the table (default)"
    evaluate = "rescore the stored predictions, without a model; reference=elf checks them"
    report = "tables, figures and pages: of all stored runs, of the study's numbers, or of both"
    compare = "compare two runs sample by sample: a=<method> b=<method>"
    list = "models, data sets and protocols, and what is missing to run them"
    status = "which runs are complete, partial, failed or running; what remains"
    plan = "what a run or a sweep would take: images, device hours, disk space; starts nothing"
    check = "verify prepared data, weights and all stored runs; check=full scores them again"
    export = "stored predictions as files of other programs: format=... output=<folder>"
    segment = "run and export in one: format=... output=<folder>"
    account = "at which stage a method with prompts lost each object; pictures of its worst images"
    tune = "choose parameters on validation images: tune.grid=..., tune.metric=..."


class Overwrite(Enum):
    """Which samples a run does: those never tried, also those that failed, or all."""

    missing = "missing"
    errors = "errors"
    all = "all"


class Device(Enum):
    """Where the model runs; `auto` takes the best that it and the machine offer."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Reference(Enum):
    """An independent implementation of the metric."""

    elf = "elf"


class Check(Enum):
    """What `action=check` does besides; `full` scores the stored predictions again, in memory."""

    full = "full"


class Rule(Enum):
    """How `action=tune` chooses; `safe` keeps the default unless the gain of the best is real."""

    safe = "safe"
    best = "best"


class Source(Enum):
    """Whose numbers a report is about."""

    runs = "one's own runs (default)"
    published = "the study's, as in results/published"
    both = "one's own beside the study's"


@dataclass
class ErrorSettings:
    """`max_failures`: samples that may fail; a whole number, or a fraction below 1."""

    max_failures: float = 0.0

    def allowed(self, samples: int) -> int:
        """How many of so many samples may fail.

        Raises:
            UsageError: it is negative, or neither count nor fraction.
        """
        most = self.max_failures
        if not math.isfinite(most) or most < 0 or (most > 1 and most != int(most)):
            raise UsageError(
                f"errors.max_failures is {most}; give a whole number, or a fraction below 1."
            )
        # 0.29 of 100 is 28.999... in floats.
        return int(most if most >= 1 else most * samples + 1e-9)


@dataclass
class LeaseSettings:
    """What to do when another process works on the run."""

    wait: bool = False
    timeout: float = 300.0  # seconds until a silent holder on another host is taken for dead


def bytes_of(size: str) -> int:
    """Bytes of a text such as "20GB" (20 * 10^9) or "off" (0).

    Raises:
        UsageError: it is not of this form.
    """
    if size.lower() in ("off", "0", "false"):
        return 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(MB|GB|TB)", size, re.IGNORECASE)
    if not found or math.isinf(float(found[1])):
        raise UsageError(f"cache is '{size}'; it must be off, or a size such as 500MB or 20GB.")
    return int(float(found[1]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[found[2].upper()])


PLACES = ("results", "datasets", "weights_dir", "output")
"""Words that name a folder."""


def expanded(word: str, place: str) -> str:
    """A folder with its `~` resolved: a shell does that only where it begins a word.

    Raises:
        UsageError: it is empty, which would mean the working directory.
    """
    if not place.strip():
        raise UsageError(f"{word}= is empty; give a folder, or omit the override.")
    return os.path.expanduser(place)  # noqa: PTH111 - pathlib's raises where `~` begins no home


@dataclass
class ComparisonSettings:
    """Whom a report compares; a method by its name in the tables, or by its model's YAML.

    `reference`: the method that each other is compared with. `pairs`: methods to set against each
    other over data sets, as [[a, b], [a, c]]. Not given: the study's.
    """

    reference: str | None = None
    pairs: Any = None

    def pairs_of_names(self) -> list[tuple[str, str]] | None:
        """The pairs, checked; None where none are given.

        Raises:
            UsageError: they are no list of pairs of names.
        """
        if self.pairs is None:
            return None
        is_list = isinstance(self.pairs, Sequence) and not isinstance(self.pairs, str)
        given = list(self.pairs) if is_list else [self.pairs]
        for pair in given:
            is_pair = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
            if not is_pair or not all(isinstance(name, str) and name for name in pair):
                raise UsageError(
                    f"comparison.pairs holds {pair!r}; give pairs of methods, such as "
                    "comparison.pairs=[[apg,otsu],[apg,sam]]."
                )
        return [(a, b) for a, b in given]


@dataclass
class TuneSettings:
    """Of `action=tune`, and of `tuned=true`.

    `grid`: a YAML in `configs/grid/`, or parameters and values; `limit`: images that choose;
    `metric`: what the choice is by; `rule`: how it is made; `folds`: of the groups, for what the
    choice delivers on images that did not choose.
    """

    grid: Any = "default"
    limit: int | None = None
    metric: str = "msa"
    rule: Rule = Rule.safe
    folds: int | None = None


@dataclass
class GallerySettings:
    """Which images a site shows.

    `private`: true: all; false: those that may be redistributed, for a site that is passed on. Not
    given: these and one's own. A site with images that may not be redistributed is marked.
    """

    private: bool | None = None


@dataclass
class Settings:
    """The whole configuration. `model`, `data` and `protocol` are chosen by name."""

    model: Any = MISSING
    data: Any = MISSING
    protocol: Any = MISSING
    action: Action = Action.run
    limit: int | None = None
    shard: str | None = None  # this job's part of the samples: "3/8"
    shards: int = 1  # of a sweep: jobs that each run is split over
    overwrite: Overwrite = Overwrite.missing
    errors: ErrorSettings = field(default_factory=ErrorSettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    device: Device = Device.auto
    threads: int | None = None  # of numerical libraries; all cores but one where not given
    workers: int | None = None  # processes that prepare, or score again; one per core if not given
    cache: str = "20GB"  # what embeddings may take on disk, or off
    seed: int = 0
    weights_dir: str | None = None
    weights_unsafe: bool = False
    reference: Reference | None = None
    check: Check | None = None  # of action=check
    source: Source = Source.runs
    format: str | None = None  # of a report, a list, the status, or exported predictions
    output: str | None = None  # the folder of exported predictions
    report: bool = False  # after a sweep, the report of all runs that are stored
    gallery: GallerySettings = field(default_factory=GallerySettings)
    with_demo: bool = False  # set demonstration weights beside published numbers
    study_ranks: bool | None = None  # ranks as the study gave them too; not given: with its numbers
    tieless: bool | None = None  # the former name of study_ranks, until version 0.3
    truth: str | None = None  # of data sets of the same images, the one whose labels count
    metric: str = "msa"  # that reports rank and draw by
    comparison: ComparisonSettings = field(default_factory=ComparisonSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    tuned: Any = False  # choose parameters on validation images first; or the YAML of a choice
    a: str | None = None
    b: str | None = None
    results: str = MISSING
    datasets: str = MISSING


TOP_LEVEL = [entry.name for entry in fields(Settings)]
"""The keys of the configuration, without those below them."""
