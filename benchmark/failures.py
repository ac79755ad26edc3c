"""Failures of many samples, as people read them: each sentence once."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMED = 3
"""How many are named of those that failed with one sentence."""


def grouped(failed: Mapping[str, str], thing: str = "sample") -> list[str]:
    """Return a line for each sentence, the most frequent first: its samples and their number.

    Sentences that differ in the id of their own sample alone are one.

    Args:
        failed: sample -> reason.
        thing: what fails, where it is not a sample.
    """
    groups: dict[str, list[str]] = {}
    for sample, reason in failed.items():
        groups.setdefault(without_sample(sample, reason), []).append(sample)
    lines = []
    for samples in sorted(groups.values(), key=len, reverse=True):
        named = ", ".join(f"'{sample}'" for sample in samples[:NAMED])
        more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
        count = f"{len(samples)} {thing}s: " if len(samples) > 1 else ""
        lines.append(f"{count}{named}{more}: {failed[samples[0]]}")
    return lines


def without_sample(sample: str, reason: str) -> str:
    """Return a reason without the id of its sample, but not without parts of other words."""
    return re.sub(rf"(?<!\w){re.escape(sample)}(?!\w)", "...", reason)
