"""Tables of images without labels: predicted objects, agreement of methods, what to label first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmark.report import escape
from benchmark.report.agreement import Agreement, Floats
from benchmark.report.results import RunResult
from benchmark.report.tables.table import Cell, Column, Table, number, words
from benchmark.report.text import counted, interval, some
from benchmark.stats import bootstrap_interval
from benchmark.stats.agreement import FEWEST_FAMILIES, NEAR_COPIES, ranks_of_families
from benchmark.store.names import safe_names

WRONG_TOGETHER = (
    "All methods may be wrong together: agreement is not accuracy, and no mSA against a truth. "
    "Label some images to know."
)
_NAMED = 5  # images that are named below the matrix


def agreement_tables(agreements: Sequence[Agreement]) -> list[Table]:
    """The tables of every data set that has images without labels.

    Args:
        agreements: the runs on each.
    """
    if not agreements:
        return []
    keys = [f"{one.data} {one.results[0].images_id}" for one in agreements]
    alone = Counter(one.data for one in agreements)
    names = [
        one.data if alone[one.data] == 1 else key for one, key in zip(agreements, keys, strict=True)
    ]
    stems = safe_names(names)
    tables = [predicted_objects(agreements)]
    for one, name in zip(agreements, names, strict=True):
        tables += tables_of(one, stems[name])
    return tables


def tables_of(one: Agreement, stem: str) -> list[Table]:
    """Matrix, ranking and list of images of one data set; none of them with a single run.

    Args:
        one: the runs.
        stem: ends the names of the tables' files.
    """
    if len(one.compared) < 2 or not len(one.samples):
        return []
    ranking = [_ranking(one, stem)] if one.may_rank else []
    return [_matrix(one, stem), *ranking, _label_first(one, stem)]


def predicted_objects(agreements: Sequence[Agreement]) -> Table:
    """What each run predicted: counts, sizes and coverage."""
    rows = []
    for one in agreements:
        for name, objects in zip(_methods(one.results), one.objects, strict=True):
            of_images = list(objects.values())
            areas = np.concatenate([[], *(each.areas for each in of_images)])
            diameter = float(np.median(2 * np.sqrt(areas / np.pi))) if len(areas) else np.nan
            share = float(np.mean([each.coverage for each in of_images])) if of_images else np.nan
            rows.append(
                [
                    words(name),
                    words(escape.plain(one.label)),
                    Cell(str(len(of_images)), len(of_images)),
                    Cell(str(len(areas)), len(areas)),
                    number(len(areas) / len(of_images) if of_images else np.nan, ".1f"),
                    number(diameter, ".1f"),
                    number(share, ".1%"),
                ]
            )
    columns = [
        Column("method"), Column("data"),
        *(Column(text, right=True) for text in
          ("images", "objects", "per image", "diameter", "coverage")),
    ]  # fmt: skip
    notes = [
        "All predicted images, with labels or without. diameter: the median over objects, of a "
        "circle of the object's area, in pixels; coverage: the mean share of an image that is in "
        "an object."
    ]
    title = "Predicted objects, where images have no labels"
    return Table("runs_predicted_objects", title, columns, rows, notes, on_console=True)


def _matrix(one: Agreement, stem: str) -> Table:
    names = _methods(one.compared)
    rows = [
        [words(name), words(label), *(number(value) for value in values)]
        for name, label, values in zip(names, _families(one), one.matrix.tolist(), strict=True)
    ]
    for place, row in enumerate(rows):
        row[place + 2] = Cell("-")
    columns = [Column("method"), Column("family"), *(Column(name, right=True) for name in names)]
    first = [escape.plain(_original(one, sample)) for sample, _ in one.to_label_first()]
    notes = [
        f"Mean over {counted(len(one.samples), 'image')} of the mSA that one method has if the "
        "other is taken for the truth; images on which both find nothing are left out. "
        + WRONG_TOGETHER,
        *_left_out(one),
    ]
    if not one.may_rank:
        found = len(set(one.families))
        notes.append(
            f"No ranking: it takes {FEWEST_FAMILIES} families of methods, and there "
            f"{'is' if found == 1 else 'are'} {found}. Methods with the same weights, or else of "
            "the same adapter, are one family; `family` in a model's YAML names another."
        )
    if first:
        listed = f" (all in runs_label_first_{stem}.csv)" if len(first) > _NAMED else ""
        notes.append(f"Label first, as methods agree least there: {some(first, _NAMED)}{listed}.")
    title = f"Agreement of methods on {escape.plain(one.label)}"
    return Table(f"runs_agreement_{stem}", title, columns, rows, notes, on_console=True)


def _ranking(one: Agreement, stem: str) -> Table:
    of_samples = one.cross_family
    means = [_mean(column) for column in of_samples.T]
    ranks = ranks_of_families(means, one.families)
    rows = []
    order = sorted(range(len(means)), key=lambda i: (means[i] != means[i], -means[i]))
    for i in order:
        column = of_samples[:, i]
        groups = one.groups
        low, high = bootstrap_interval(column, groups) or (np.nan, np.nan)
        counted_groups = len({g for g, v in zip(groups, column, strict=True) if v == v})
        rank = ranks[i]
        rows.append(
            [
                Cell("" if rank is None else str(rank), rank),
                words(_methods(one.compared)[i]),
                words(_families(one)[i]),
                number(means[i]),
                words(interval(low, high, counted_groups)),
            ]
        )
    columns = [
        Column("rank", right=True), Column("method"), Column("family"),
        Column("agreement", right=True), Column("95 % interval"),
    ]  # fmt: skip
    notes = [
        "Cross-family agreement: the mean agreement with the other families of methods, one vote "
        "for each, none for a method's own; of a family, members that agree with each other at "
        f"{NEAR_COPIES:g} or more count as one. Families are ranked, each by its best member. "
        + WRONG_TOGETHER,
    ]
    title = f"Ranking by cross-family agreement on {escape.plain(one.label)}, without labels"
    return Table(f"runs_cross_family_{stem}", title, columns, rows, notes, on_console=True)


def _label_first(one: Agreement, stem: str) -> Table:
    rows = []
    for sample, value in one.to_label_first():
        predicted = [objects[sample] for objects in one.objects if sample in objects]
        numbers = [len(each.areas) for each in predicted]
        rows.append(
            [
                words(escape.plain(_original(one, sample))),
                words(escape.plain(sample)),
                number(value),
                Cell(str(min(numbers)), min(numbers)),
                Cell(str(max(numbers)), max(numbers)),
            ]
        )
    columns = [
        Column("image"), Column("sample"),
        *(Column(text, right=True) for text in ("agreement", "fewest objects", "most objects")),
    ]  # fmt: skip
    notes = [
        "Images without labels, those on which families of methods agree least first; images on "
        "which every method finds nothing are left out."
    ]
    title = f"What to label first on {escape.plain(one.label)}"
    return Table(f"runs_label_first_{stem}", title, columns, rows, notes)


def _methods(results: Sequence[RunResult]) -> list[str]:
    """What the runs are called; with their id where two share a name."""
    shared = Counter(result.method for result in results)
    return [
        escape.plain(r.method) + (f" #{r.run_id[:6]}" if shared[r.method] > 1 else "")
        for r in results
    ]


def _families(one: Agreement) -> list[str]:
    """What the families are called: each as its first run calls it."""
    labels: dict[str, str] = {}
    for result in one.compared:
        labels.setdefault(result.family, escape.plain(result.family_label))
    return [labels[family] for family in one.families]


def _original(one: Agreement, sample: str) -> str:
    """The name of the image as its owner knows it."""
    return one.entries[sample].original if sample in one.entries else sample


def _left_out(one: Agreement) -> list[str]:
    fewer = [result for result in one.results if result not in one.compared]
    if not fewer:
        return []
    return [f"Left out, as they predicted fewer images: {some(_methods(fewer))}."]


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
