"""Which cells may enter a mean, and why others may not: nothing is averaged in silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from benchmark.report.frame import COMPLETE, MODALITIES, NOT_REPORTED, SAME_IMAGES


@dataclass(frozen=True)
class Eligible:
    """Cells that may be averaged and ranked.

    Attributes:
        cells: of them, at most one for each method and data set; the others are gone.
        of: how many data sets of each modality there are, whatever their cells hold.
        methods: all of them, in the order in which they came.
        silent: methods of which no number at all is reported.
        notes: what was left out, and why, in sentences.
    """

    cells: pd.DataFrame
    of: dict[str, int]
    methods: tuple[str, ...]
    silent: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def matrix(self) -> pd.DataFrame:
        """Scores: a row for each (modality, data), a column for each method, in the rows' order."""
        found = matrix(self.cells)
        return found[[name for name in self.methods if name in found]]


def select_eligible(cells: pd.DataFrame) -> Eligible:
    """The cells of one source that may be averaged.

    Left out are controls, cells without a number, partial runs, runs on other images than most
    runs on that data set, and methods that ran on the same images more than once.

    Args:
        cells: a frame as `benchmark.report.frame` has it, of one source.
    """
    shown = cells[~cells["control"]]
    counts = shown.drop_duplicates("data")["modality"].value_counts()
    of = {str(modality): int(n) for modality, n in counts.items()}
    partial = shown["status"].str.startswith("partial")
    empty = (shown["status"] == COMPLETE) & shown["score"].isna()
    kept = shown[(shown["status"] == COMPLETE) & ~empty]
    aside = kept["set_aside"] != ""
    present = kept[~aside]
    other = _on_other_images(present)
    alike = present[~other]
    twice = alike.duplicated(["method", "data"], keep=False)
    chosen = alike[~twice]
    unlabelled = shown["labelled"].str.startswith("0 of")
    reasons = {
        "not all images are done": shown[partial],
        "no image has a score": shown[empty & ~unlabelled],
        "no image has labels": shown[empty & unlabelled],
        **{str(reason): rows for reason, rows in kept[aside].groupby("set_aside")},
        "other images, labels, split or protocol than most runs on that data set": present[other],
        "several runs on the same images": alike[twice],
    }
    notes = (_note(rows, reason) for reason, rows in reasons.items() if len(rows))
    heard = set(shown.loc[shown["status"] != NOT_REPORTED, "method"])
    methods = tuple(pd.unique(shown["method"]))
    silent = tuple(name for name in methods if name not in heard)
    return Eligible(in_order(chosen), of, methods, silent, tuple(notes))


def matrix(cells: pd.DataFrame) -> pd.DataFrame:
    """Scores as (modality, data) x method, each in the order of appearance."""
    table = cells.pivot(index=["modality", "data"], columns="method", values="score")
    rows = pd.MultiIndex.from_frame(cells[["modality", "data"]].drop_duplicates())
    return table.reindex(index=rows, columns=pd.unique(cells["method"]))


def in_order(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells by modality, as tables have them; within one, in the order they came."""
    place = {modality: i for i, modality in enumerate(MODALITIES)}
    return cells.sort_values("modality", key=lambda names: names.map(place), kind="stable")


def told_apart(rows: pd.DataFrame, names: pd.Series[str]) -> pd.Series[str]:
    """Names of data sets, told apart where one name stands for several things.

    With the split, unless all are of the test split; with the protocol where there are several;
    with the beginning of the images' digest where rows of one data set are of different images,
    and with that of the labels where they are of the same images and different labels.
    What is not known of a row (a published number has no digest of images) is not said.

    Args:
        rows: with the columns `SAME_IMAGES`.
        names: what each row's data set is called.
    """
    split, protocol, *digests = (rows[key] for key in SAME_IMAGES[1:])
    several = split[split != ""].nunique() > 1
    names = names.where((split == "") | ((split == "test") & (not several)), names + ", " + split)
    if protocol[protocol != ""].nunique() > 1:
        names = names.where(protocol == "", names + ", " + protocol)
    for place, (before, digest) in enumerate(zip((" #", ", labels "), digests, strict=True), 3):
        known = digest.where(digest != "")
        within = known.groupby([rows[key] for key in SAME_IMAGES[:place]])
        alone = (within.transform("nunique") < 2) | known.isna()
        names = names.where(alone, names + before + digest)
    return names


def starred(names: pd.Series[str], lost: pd.Series[str]) -> pd.Series[str]:
    """Names of data sets, with a star where the study's own images can't be had."""
    return names.where(lost.groupby(names).transform("max") == "", names + "*")


def variants(cells: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of a variant of a method that is there too: it is ranked once."""
    return (cells["variant_of"] != "") & cells["variant_of"].isin(cells["key"])


def methods_named(cells: pd.DataFrame, name: str) -> list[str]:
    """The methods that a name of a configuration stands for: by method, or by key."""
    return list(pd.unique(cells.loc[(cells["method"] == name) | (cells["key"] == name), "method"]))


def modalities(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The modalities that there are, in order, each with its cells."""
    for modality in MODALITIES:
        rows = cells[cells["modality"] == modality]
        if len(rows):
            yield modality, rows


def _on_other_images(cells: pd.DataFrame) -> pd.Series[bool]:
    """Which cells are not over the images that most methods of the data set are over."""
    parts = []
    for _, rows in cells.groupby("data", sort=False):
        methods = rows.groupby(SAME_IMAGES, sort=True)["method"].nunique()
        most = methods.idxmax()  # of equals the first by name
        keys = rows[SAME_IMAGES].itertuples(index=False, name=None)
        parts.append(pd.Series([key != most for key in keys], index=rows.index))
    return pd.concat(parts).reindex(cells.index) if parts else cells["control"]


def _note(rows: pd.DataFrame, reason: str) -> str:
    named = rows["method"] + " on " + rows["data_label"] + rows["run"].map(_run)
    return f"In no mean or rank, since {reason}: {'; '.join(named.unique())}."


def _run(name: str) -> str:
    return f" ({name})" if name else ""
