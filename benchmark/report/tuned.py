"""What choices of parameters deliver on the images that are tested, beside what they promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.report.comparison import COMPARABLE, compare_runs
from benchmark.report.results import RunResult
from benchmark.store.shapes import Selection


@dataclass(frozen=True)
class TunedGain:
    """A tuned run against the run of the default parameters; above 0 is better.

    Attributes:
        result: of the tuned run.
        selection: what chose its parameters.
        delivered: the mean difference over the images tested; NaN where the default has no run.
        low: the lower end of its 95 % interval; NaN where there is none.
        high: likewise.
        images: that both have.
        groups: of these.
    """

    result: RunResult
    selection: Selection
    delivered: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    images: int = 0
    groups: int = 0

    @property
    def is_default(self) -> bool:
        """Whether the default was kept."""
        return self.selection["chosen"] == self.selection["default"]

    @property
    def is_comparable(self) -> bool:
        """Whether promised and delivered gain are of one metric, and both are known."""
        same = self.selection["metric"] == self.result.metric.name
        return same and self.delivered == self.delivered

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """The ends of the interval; None where there is none."""
        low, high = (None if end != end else end for end in (self.low, self.high))
        return low, high


def gains(results: Sequence[RunResult]) -> list[TunedGain]:
    """The gain of each tuned run, in the order of data sets and methods.

    Args:
        results: of a report; that of the default parameters has to be among them.
    """
    tuned = [result for result in results if result.selection is not None and result.present]
    tuned.sort(key=lambda result: (result.data, result.protocol, result.method, result.key))
    return [_gain(result, results) for result in tuned]


def _gain(result: RunResult, results: Sequence[RunResult]) -> TunedGain:
    selection = result.selection
    assert selection is not None
    values = result.values.dropna()
    if selection["chosen"] == selection["default"]:
        groups = int(result.scores.loc[values.index, "group"].nunique())
        return TunedGain(result, selection, 0.0, 0.0, 0.0, len(values), groups)
    same = [getattr(result, key) for key in COMPARABLE]
    for other in results:
        is_default = other.run_id == selection["default_run"] and other.selection is None
        if is_default and [getattr(other, key) for key in COMPARABLE] == same:
            _, found = compare_runs(result, other)
            if not found.samples:
                break
            sign, nan = result.metric.sign, float("nan")
            low, high = sorted(sign * end for end in found.interval or (nan, nan))
            difference = sign * found.difference
            return TunedGain(result, selection, difference, low, high, found.samples, found.groups)
    return TunedGain(result, selection)
