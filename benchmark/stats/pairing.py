"""The samples of two methods, side by side, and which are left out for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Failed = Mapping[str, str]


@dataclass(frozen=True)
class Exclusion:
    """A sample that is left out of a comparison, for both methods alike.

    Attributes:
        sample: its id.
        reason: why, as part of a sentence.
    """

    sample: str
    reason: str


def pair(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str = "msa",
    failed_a: Failed | None = None,
    failed_b: Failed | None = None,
) -> tuple[pd.DataFrame, tuple[Exclusion, ...]]:
    """Join the scores of two methods by sample id.

    A sample is left out for both if it failed, is not scored, or has an undefined score in one of
    them, or if neither the truth nor the prediction of one has an object: its score is then a
    convention (0 under `paper`, none under `clean`), not an achievement.

    Args:
        a: indexed by sample id: group, n_true, n_predicted, both_empty and the metric, as
            `RunResult.scores`.
        b: likewise.
        metric: which column is compared.
        failed_a: sample id -> reason, of samples that failed; they have no row.
        failed_b: likewise.

    Returns:
        The pairs, indexed by sample id in ascending order: group, a, b, difference (a - b);
        and every other sample, in ascending order.

    Raises:
        ValueError: an id occurs twice, or the two disagree on a sample's group or on how many
            objects are annotated: they were scored against different truths.
    """
    for name, frame in (("a", a), ("b", b)):
        if not frame.index.is_unique:
            double = frame.index[frame.index.duplicated()][0]
            raise ValueError(f"sample '{double}' occurs twice in {name}")
    failures = {"a": failed_a or {}, "b": failed_b or {}}
    wanted = ["group", "n_true", "n_predicted", "both_empty", metric]
    if a.index.identical(b.index) and a.index.is_monotonic_increasing:  # as nearly always: quicker
        samples = a.index
        of_a, of_b = a[wanted], b[wanted].set_axis(samples)  # pandas compares one index no more
        others = {*failures["a"], *failures["b"]}
    else:
        samples = a.index.intersection(b.index).sort_values()
        of_a, of_b = a.loc[samples, wanted], b.loc[samples, wanted]
        others = {*a.index, *b.index, *failures["a"], *failures["b"]}
    for column in ("group", "n_true"):
        differs = of_a[column] != of_b[column]
        if differs.any():
            raise ValueError(
                f"a and b disagree on '{column}' of sample '{samples[differs][0]}': they were "
                "scored against different truths"
            )
    reasons: dict[Any, str] = {
        sample: _lacking(str(sample), a, b, failures)
        for sample in others.difference(samples if others else ())
    }
    empty = of_a["both_empty"].astype(bool) | of_b["both_empty"].astype(bool)
    dropped = empty | of_a[metric].isna() | of_b[metric].isna()
    if dropped.any():
        both = of_a[dropped].add_suffix("_a").join(of_b[dropped].add_suffix("_b"))
        reasons |= {sample: _undefined(row, metric) for sample, row in both.iterrows()}
        of_a, of_b = of_a[~dropped], of_b[~dropped]
    values_a, values_b = of_a[metric].astype(float), of_b[metric].astype(float)
    pairs = pd.DataFrame(
        {
            "group": of_a["group"].astype(str),
            "a": values_a,
            "b": values_b,
            "difference": values_a - values_b,
        }
    )
    return pairs, tuple(Exclusion(str(name), reasons[name]) for name in sorted(reasons))


def _lacking(sample: str, a: pd.DataFrame, b: pd.DataFrame, failures: Mapping[str, Failed]) -> str:
    """Why one of the two, or both, have no score of it."""
    return "; ".join(
        f"failed in {name}: {failures[name][sample]}"
        if sample in failures[name]
        else f"not scored in {name}"
        for name, frame in (("a", a), ("b", b))
        if sample not in frame.index
    )


def _undefined(row: pd.Series[Any], metric: str) -> str:
    """Why a sample that both have scored doesn't count."""
    empty = [name for name in "ab" if row[f"both_empty_{name}"]]
    if len(empty) == 2:
        return "no object in the truth, nor in either prediction"
    if empty:
        other = "b" if empty == ["a"] else "a"
        count = int(row[f"n_predicted_{other}"])
        return f"no object in the truth, nor in {empty[0]}'s prediction ({other} predicts {count})"
    undefined = [name for name in "ab" if pd.isna(row[f"{metric}_{name}"])]
    return f"{metric} is undefined in {' and in '.join(undefined)}"
