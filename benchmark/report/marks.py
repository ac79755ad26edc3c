"""Marks: what a reader has to know about a number besides, by a sign behind it or in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from benchmark.report.results import RunResult


class Mark(NamedTuple):
    """A mark.

    Attributes:
        sign: in plain text.
        latex: the same in LaTeX.
        meaning: a sentence for the notes.
        words: what the status of a marked run says; empty where no run is marked by it.
    """

    sign: str
    latex: str
    meaning: str
    words: str = ""


MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        "in-domain": Mark("†", r"\dag", "trained on data of this set"),
        "mixed": Mark(
            "‡", r"\ddag", "made in attempts that differ in code or environment", "mixed"
        ),
        "edited": Mark(
            "?", "?", "the code of its adapter was edited, meanwhile or since", "edited"
        ),
        "gone": Mark(
            "#",
            r"\#",
            "stored predictions behind its scores are missing; overwrite=errors predicts them "
            "again",
            "predictions gone",
        ),
        "uncounted": Mark(
            "°",
            r"\textdegree",
            "nobody knows how many images the study's preparation keeps, so a part may look "
            "complete",
            "count unknown",
        ),
        "seen": Mark(
            "^",
            r"\textasciicircum",
            "its parameters were chosen on images that are tested, or that its weights may have "
            "been trained on, so that the score is too good",
            "chosen on seen images",
        ),
        "user": Mark("¶", r"\P", "weights of one's own, by no card"),
        "demo": Mark("§", r"\S", "small demonstration weights, which stand for no published model"),
        "lost": Mark("*", "*", "not the published study's own images, which can't be had any more"),
        "differs": Mark("!", "!", "protocol, weights or number of images differ from the study's"),
    }
)
"""By name; a mark of any other name is shown as it is, in brackets behind the number."""

RUN_MARKS = tuple(name for name, mark in MARKS.items() if mark.words)
"""Those of runs: attributes of `RunResult`, and columns of frames."""

UNMARKED: Mapping[str, bool] = MappingProxyType(dict.fromkeys(RUN_MARKS, False))
"""The columns of what no run made."""


def marks_of_run(result: RunResult) -> dict[str, bool]:
    """Which marks a run has, by name."""
    return {name: bool(getattr(result, name)) for name in RUN_MARKS}


def in_words(row: Mapping[str, object]) -> list[Mark]:
    """Return the marks that a row of a frame, or anything with these keys, has."""
    return [MARKS[name] for name in RUN_MARKS if row[name]]
