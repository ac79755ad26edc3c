"""One run as the report sees it: what was run, and one row of numbers per sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, eq=False)
class RunResult:
    """A scored run.

    Attributes:
        run_id: the run's identity (hexadecimal); the first 12 characters are its short name.
        path: the run's folder.
        model: the model's name, and in brackets the parameters that differ from its YAML.
        data: the data set's name.
        split: test, val or all.
        protocol: name of the protocol that the scores follow.
        expected: samples in the data set (of that split).
        failed: samples that ended in an error.
        mixed: the run was made in several attempts of differing code or environment.
        scores: one row per scored sample, indexed by sample id, in ascending order: group,
            n_true, n_predicted, true_positives (tuple, one per threshold), both_empty,
            seconds, and each metric (msa, sa50, ...; NaN where undefined or excluded).
    """

    run_id: str
    path: Path
    model: str
    data: str
    split: str
    protocol: str
    expected: int
    failed: int
    mixed: bool
    scores: pd.DataFrame

    @property
    def status(self) -> str:
        """`complete`, or `partial (10 of 197)`, with the number of failed samples."""
        done = len(self.scores)
        if done == self.expected:
            return "complete"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"partial ({done} of {self.expected}{failed})"
