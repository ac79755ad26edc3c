"""What a report is asked for: whom it compares, and what it has besides our tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.choices import nearest
from benchmark.errors import UsageError
from benchmark.report.comparison import FurtherTest
from benchmark.report.eligible import methods_named
from benchmark.report.figures.draw import FigureInput
from benchmark.report.tables.over_data_sets import TableInput
from benchmark.report.tables.table import Table
from benchmark.scoring.metrics import MSA, Metric

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportOptions:
    """The choices of a report. A method is named as in the tables, or by its model's YAML.

    Attributes:
        metric: that methods are ranked and drawn by.
        truth: of data sets with the same images but other labels, the name of the one that counts.
        reference: the method that each other is compared with; empty: the first by name of those
            on most data sets.
        pairs: methods to set against each other over data sets.
        pairs_title: the title of that table.
        variants: key of a method -> key of the method that it is a variant of, beside which it is
            not ranked.
        tables: further tables over data sets; see `benchmark.report.tables.over_data_sets.TABLES`.
        figures: further figures; see `benchmark.report.figures.draw.FIGURES_OVER_DATA_SETS`.
        further_test: a test of two methods that is shown beside ours.
    """

    metric: Metric = MSA
    truth: str = ""
    reference: str = ""
    pairs: Sequence[tuple[str, str]] = ()
    pairs_title: str = ""
    variants: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Callable[[TableInput], Table | None]] = field(default_factory=dict)
    figures: Mapping[str, Callable[[FigureInput], Figure | None]] = field(default_factory=dict)
    further_test: FurtherTest | None = None


def titled(pairs: Sequence[tuple[str, str]]) -> str:
    """The title of a table of pairs: `a against b and against c; d against e`."""
    rivals: dict[str, list[str]] = {}
    for a, b in pairs:
        rivals.setdefault(a, []).append(f"against {b}")
    return "; ".join(f"{a} {' and '.join(others)}" for a, others in rivals.items())


def check_truth(truth: str | None, data: Iterable[str]) -> None:
    """Refuse a name that no data set of a report has.

    Args:
        truth: as given by `truth`; None if it is not.
        data: the names of the data sets.

    Raises:
        UsageError: it is not one of them.
    """
    known = sorted(set(data))
    if truth is not None and truth not in known:
        raise UsageError(
            f"truth={truth}: there is no result on that data set.{nearest(truth, known)} "
            f"Data sets: {', '.join(known) or 'none'}."
        )


def check_pairs(rows: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse a pair of names that stand for the same method.

    Args:
        rows: a frame as `benchmark.report.frame` has it.
        pairs: as given by `comparison.pairs`.

    Raises:
        UsageError: a pair has no two methods.
    """
    for a, b in pairs:
        if len({*methods_named(rows, a), *methods_named(rows, b)}) < 2:
            raise UsageError(
                f"comparison.pairs: '{a}' and '{b}' are the same method; name two methods."
            )


def check_names(rows: pd.DataFrame, names: Mapping[str, Sequence[str]]) -> None:
    """Refuse names of methods that no row has.

    Args:
        rows: a frame as `benchmark.report.frame` has it.
        names: option of the command line -> the names given there.

    Raises:
        UsageError: a name stands for no method.
    """
    known = list(dict.fromkeys([*rows["method"], *rows.loc[rows["key"] != "", "key"]]))
    for option, given in names.items():
        for name in given:
            if not methods_named(rows, name):
                raise UsageError(
                    f"{option}: no result is of a method '{name}'.{nearest(name, known)} "
                    f"Methods: {', '.join(dict.fromkeys(rows['method'])) or 'none'}."
                )
