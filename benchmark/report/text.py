"""How counts, intervals and p-values are written, in tables, pages and on the console."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.stats import FEWEST_FOR_P, FEWEST_GROUPS

MISSING = "n/a"


def counted(number: int, thing: str) -> str:
    """`1 group`, `4 groups`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def some(names: Sequence[str], shown: int = 6) -> str:
    """Names in a sentence: the first few, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def missing(groups: int, needed: int) -> str:
    """What stands in the place of a number that takes more groups: `n/a (4 groups)`, or `n/a`."""
    return f"{MISSING} ({counted(groups, 'group')})" if groups < needed else MISSING


def interval(low: float, high: float, groups: int, form: str = ".3f", between: str = " - ") -> str:
    """The ends of an interval; why there is none where they are NaN."""
    if low != low:
        return missing(groups, FEWEST_GROUPS)
    return f"{low:{form}}{between}{high:{form}}"


def p_value(p: float) -> str:
    """A p-value; tiny ones as `< 0.0001`, NaN as `n/a`."""
    if p != p:
        return MISSING
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def p_equation(p: float | None, groups: int) -> str:
    """A p-value in a sentence: `p = 0.0312`, `p < 0.0001`, `p n/a (5 groups)`."""
    if p is None or p != p:
        return f"p {missing(groups, FEWEST_FOR_P)}"
    written = p_value(p)
    return f"p {written}" if written.startswith("<") else f"p = {written}"
