"""Tables of one's own runs beside the published numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from benchmark.paper.agreement import beside_published, rank_correlation, sign_agreement
from benchmark.paper.card import study_card
from benchmark.report.eligible import modalities
from benchmark.report.frame import MODALITIES, NOT_REPORTED
from benchmark.report.tables.per_data_set import marks
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, words

ALIKE, EVERY = "like with like", "all shown"
_UNREPORTED = "no number of the study"


def agreement_tables(
    published: pd.DataFrame, runs: pd.DataFrame, *, with_demo: bool = False
) -> list[Table]:
    """Each run beside the study's number, and whether both say the same.

    Args:
        published: its cells.
        runs: cells of runs.
        with_demo: with those of demonstration weights.
    """
    demo = runs["mark"] == "demo"
    some = runs if with_demo else runs[~demo]
    rows = beside_published(published, some)
    made = [_numbers(rows, published, some), _agreement(rows)]
    if with_demo or not demo.any():
        return made
    note = (
        f"Left out: {', '.join(runs.loc[demo, 'run'])}, as demonstration weights stand for no "
        "published model; with_demo=true shows them."
    )
    return [replace(table, notes=[*table.notes, note]) for table in made]


def _numbers(rows: pd.DataFrame, published: pd.DataFrame, runs: pd.DataFrame) -> Table:
    columns = [
        Column("data"), Column("method"), Column("own mSA", right=True),
        Column("95 % from", right=True), Column("to", right=True), Column("study's", right=True),
        Column("own - study's", right=True), Column("differs in"), Column("run"),
    ]  # fmt: skip
    written = []
    for row in rows.sort_values(["data_label", "method", "run"]).to_dict("records"):
        differs = ("differs",) if row["differs"] else ()
        delta = number(row["delta"], "+.3f", differs)
        written.append(_line(row, number(row["theirs"]), delta, "; ".join(row["differs"])))
    alone = runs[~runs["result"].isin(rows["result"]) & runs["score"].notna()]
    for row in alone.sort_values(["data_label", "method", "run"]).to_dict("records"):
        reason = _why_alone(row, published)
        theirs = words(NOT_REPORTED if reason == _UNREPORTED else MISSING)
        written.append(_line(row, theirs, words(MISSING), reason))
    notes = [
        "The interval is of the choice of images alone, and only of one's own number; the study "
        "gives none."
    ]
    title = "One's own runs beside the study"
    return Table("beside", title, columns, written, notes, on_console=True)


def _line(row: dict[Any, Any], theirs: Cell, delta: Cell, differs: str) -> list[Cell]:
    return [
        words(row["data_label"]),
        words(row["method"]),
        number(row["score"], marks=marks(row)),
        number(row["score_low"]),
        number(row["score_high"]),
        theirs,
        delta,
        words(differs),
        words(row["run"]),
    ]


def _why_alone(row: dict[Any, Any], published: pd.DataFrame) -> str:
    if row["control"]:
        return "a control"
    if row["set_aside"]:
        return str(row["set_aside"])
    if row["key"] not in set(published["key"]):
        return "no method of the study"
    on_data = published["data"] == row["data"]
    return _UNREPORTED if on_data.any() else "no data set of the study"


def _agreement(rows: pd.DataFrame) -> Table:
    """Signs of APG - AIS, and rank correlations: of comparable runs, and of all."""
    # An unknown number of images is no known difference.
    known = rows["differs"].map(lambda words: [w for w in words if not w.endswith("unknown")])
    alike = rows[known.map(len) == 0]
    card = study_card()
    apg, ais = (card.name_of(key) for key in ("apg_cc", "ais"))
    written = []
    for name, some in ((ALIKE, alike), (EVERY, rows)):
        for modality, of in [*modalities(some), ("all", some)]:
            signs = sign_agreement(of, apg, ais)
            correlation = rank_correlation(of)
            written.append(
                [
                    words(name),
                    words(MODALITIES.get(modality, "all")),
                    Cell(str(signs.agree), signs.agree) if signs.sets else words(MISSING),
                    Cell(str(signs.sets), signs.sets),
                    number(correlation.rho, ".2f"),
                    Cell(str(correlation.methods), correlation.methods),
                    Cell(str(correlation.sets), correlation.sets),
                ]
            )  # fmt: skip
    columns = [
        Column("runs"), Column("modality"), Column("sign of APG - AIS agrees on", right=True),
        Column("of data sets", right=True), Column("rank correlation", right=True),
        Column("methods", right=True), Column("data sets", right=True),
    ]  # fmt: skip
    notes = [
        f"{ALIKE}: runs that differ from the study in nothing known; {EVERY}: also those that "
        "differ in protocol, weights, split or images. Signs: on data sets where both methods "
        "have both numbers. Rank correlation: Spearman's, of the methods' mean mSA over the data "
        "sets that all of them have; at least three methods. A method that ran more than once on "
        "a data set is left out there."
    ]
    return Table("agreement", "Do both say the same?", columns, written, notes, on_console=True)
