"""The study's part of a report: whom it compares, its tables and figures, and its numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.paper import ablation
from benchmark.paper.agreement_tables import agreement_tables
from benchmark.paper.card import StudyCard, study_card
from benchmark.paper.published import published_frame
from benchmark.paper.significance import STUDY_TEST, study_test
from benchmark.report.assemble import Report, source_tables
from benchmark.report.comparison import FurtherTest
from benchmark.report.eligible import methods_named
from benchmark.report.figures.draw import FigureInput
from benchmark.report.figures.methods import comparable
from benchmark.report.frame import check_frame
from benchmark.report.options import ReportOptions, titled
from benchmark.report.tables.numbers import ranks_without_ties
from benchmark.report.tables.over_data_sets import TableInput, head_to_head_table, rank_table
from benchmark.report.tables.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FURTHER_TEST = FurtherTest("paper", "msa", "p (the study's test)", STUDY_TEST, study_test)
"""The study's own test, shown under its own protocol alone."""


def study_options(*, study_ranks: bool = False) -> ReportOptions:
    """What the study compares, as options of a report.

    Args:
        study_ranks: with ranks as the study gave them, of equal methods one simply first.
    """
    card = study_card()
    ranks = {"ranks_tieless": partial(_ranks_table, card)} if study_ranks else {}
    return ReportOptions(
        reference=card.name_of(card.reference),
        pairs=_named(card, card.pairs),
        pairs_title=titled([(card.label(a), card.label(b)) for a, b in card.pairs]),
        variants=card.variants,
        tables={**ranks, "ablation": partial(_ablation_table, card)},
        figures={
            "ablation": partial(_ablation_figure, ablation.CONTRASTS),
            "ablation_to_ais": partial(_ablation_figure, ablation.TO_AIS),
        },
        further_test=FURTHER_TEST,
    )


def published_report(options: ReportOptions) -> Report:
    """A report of the study's numbers alone."""
    theirs = published_frame()
    tables = [_cited(table) for table in source_tables(theirs, "published", options)]
    return Report(theirs, (), tables, options, study=study_card())


def beside(report: Report, *, with_demo: bool = False) -> Report:
    """A report of runs, with the study's numbers beside them.

    Args:
        report: of runs, or of methods that were skipped.
        with_demo: set demonstration weights beside published numbers too.
    """
    published = published_report(report.options)
    agreement = agreement_tables(published.cells, report.cells, with_demo=with_demo)
    return replace(
        published,
        cells=check_frame(pd.concat([report.cells, published.cells], ignore_index=True)),
        results=report.results,
        tables=[*report.tables, *agreement, *published.tables],
        verdicts=report.verdicts,
        agreements=report.agreements,
        with_demo=with_demo,
    )


def _named(card: StudyCard, pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [(card.name_of(a), card.name_of(b)) for a, b in pairs]


def _ranks_table(card: StudyCard, given: TableInput) -> Table | None:
    order = [
        method
        for key in card.tie_order
        for method in methods_named(given.chosen.cells, card.name_of(key))
    ]
    return rank_table(
        given.chosen,
        partial(ranks_without_ties, tie_order=order),
        "Mean rank per modality, as the study gives it",
        "Of equal methods one is simply first, as the study's sorting left them: ties are broken "
        "by no merit.",
        given.metric,
    )


def _ablation_table(card: StudyCard, given: TableInput) -> Table | None:
    title = "Connected components against boundary distance, default against grid search"
    return head_to_head_table(
        "ablation", title, given.chosen, _named(card, card.ablation), given.metric
    )


def _ablation_figure(contrasts: ablation.Contrasts, given: FigureInput) -> Figure:
    return ablation.draw(comparable(given.frame)[0], contrasts)


def _cited(table: Table) -> Table:
    card = study_card()
    return replace(table, notes=[*table.notes, f"Numbers: {card.citation}, {card.title}."])
