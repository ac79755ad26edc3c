"""Findings of checks: sections that run by themselves, their verdicts, and the summary."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What came of one check."""

    PASSED = "ok"
    FAILED = "FAILED"
    MEASURED = "measured"  # a number without a limit
    UNCHECKED = "not checked"


class Finding(NamedTuple):
    """One line of the output.

    Attributes:
        what: the property that was looked at.
        verdict: what came of it.
        detail: numbers with their limits, or the reason.
    """

    what: str
    verdict: Verdict
    detail: str


class UncheckedError(Exception):
    """A section can't be checked here; its text is the reason."""


def held(what: str, holds: bool, detail: str) -> Finding:
    """A finding with a limit."""
    return Finding(what, Verdict.PASSED if holds else Verdict.FAILED, detail)


def measured(what: str, detail: str) -> Finding:
    """A finding without a limit."""
    return Finding(what, Verdict.MEASURED, detail)


class Report:
    """Runs sections one by one, prints what each finds, and keeps it for the summary.

    Args:
        seconds: after this time no further section begins.
    """

    def __init__(self, seconds: float) -> None:
        self.findings: list[tuple[str, Finding]] = []
        self._begin = time.monotonic()
        self._seconds = seconds

    def run(self, section: str, check: Callable[[], Iterable[Finding]]) -> None:
        """Run one section. Whatever it raises is printed and stops nothing but itself."""
        begin = time.monotonic()
        print(f"\n{section}", flush=True)
        if begin - self._begin > self._seconds:
            reason = f"{self._seconds / 60:.0f} minutes have passed"
            self._add(section, Finding("all of it", Verdict.UNCHECKED, reason))
            return
        try:
            for finding in check():
                self._add(section, finding)
        except UncheckedError as reason:
            self._add(section, Finding("what remains", Verdict.UNCHECKED, str(reason)))
        except Exception as error:  # a library, a driver or our own code: the rest is still run
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            self._add(section, Finding("runs to its end", Verdict.FAILED, text))
        print(f"  ({time.monotonic() - begin:.1f} s)", flush=True)

    def summary(self) -> str:
        """The counts, then each check that failed and each that could not be made."""
        counts = Counter(finding.verdict for _, finding in self.findings)
        lines = [
            "\nSummary: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict),
            *self._listed(Verdict.FAILED),
            *self._listed(Verdict.UNCHECKED),
        ]
        return "\n".join(lines)

    @property
    def failed(self) -> bool:
        """Whether any check failed."""
        return any(finding.verdict is Verdict.FAILED for _, finding in self.findings)

    def _add(self, section: str, finding: Finding) -> None:
        self.findings.append((section, finding))
        first, *more = finding.detail.splitlines() or [""]
        print(f"  {finding.verdict:<11} {finding.what}: {first}{' ...' * bool(more)}", flush=True)

    def _listed(self, verdict: Verdict) -> Sequence[str]:
        return [
            f"  {verdict}: {section}: {finding.what}: {' '.join(finding.detail.split())}"
            for section, finding in self.findings
            if finding.verdict is verdict
        ]
