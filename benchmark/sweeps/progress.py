"""What a sweep shows while it works: one live table on a terminal, a line per job elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.console import err, note, printable
from benchmark.sweeps.process import PROGRESS_FILE, JobOutcome


class SweepProgress:
    """Told what begins and ends; it looks for itself how far the jobs are.

    Args:
        total: how many jobs there are.
    """

    _ROWS = 8  # jobs that ended, at most, in the live table

    def __init__(self, total: int) -> None:
        self._total = total
        self._running: dict[str, tuple[Path, float]] = {}
        self._ended: list[JobOutcome] = []
        self._live: Live | None = None

    def __enter__(self) -> SweepProgress:
        if err.is_terminal:
            self._live = Live(
                get_renderable=self._drawn, console=err, refresh_per_second=2, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begins(self, words: str, folder: Path) -> None:
        """A job has begun; its folder tells how far it is."""
        self._running.setdefault(words, (folder, time.monotonic()))

    def waits(self, words: str) -> None:
        """A job waits, perhaps again."""
        self._running.pop(words, None)

    def ends(self, outcome: JobOutcome) -> None:
        """A job has ended, or needed none."""
        self._running.pop(outcome.words, None)
        self._ended.append(outcome)
        if self._live is None:
            took = f", {outcome.seconds:.0f} s" if outcome.log else ""
            note(f"[{len(self._ended)}/{self._total}] {outcome.words}: {outcome.state}{took}")

    def _drawn(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1))
        for title in ("job", "state", "", "samples", "time", ""):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        jobs = [outcome for outcome in self._ended if outcome.log][-self._ROWS :]
        for outcome in jobs:
            told = str(outcome.told.get("status", ""))
            score = outcome.told.get("msa", "")
            cells = (outcome.words, outcome.state, "", told, _clock(outcome.seconds))
            table.add_row(*map(_text, cells), _text(f"mSA {score}" if score else ""))
        for words, (folder, began) in list(self._running.items()):
            far = _progress(folder)
            done, total = far.get("done", 0), far.get("total", 0)
            bar = ProgressBar(total=total or None, completed=done, width=20, pulse=not total)
            left = ""
            if 0 < done < total:
                left = f"{_clock(far['seconds'] / done * (total - done))} left, "
            table.add_row(
                _text(words), _text("running"), bar, _text(f"{done}/{total}" if total else ""),
                _text(_clock(time.monotonic() - began)), _text(left + far.get("detail", "")),
            )  # fmt: skip
        counts = Counter(outcome.state for outcome in self._ended)
        counts["running"] = len(self._running)
        counts["to do"] = self._total - len(self._ended) - len(self._running)
        told = ", ".join(f"{many} {state}" for state, many in counts.items() if many)
        return Group(table, _text(f"{self._total} jobs: {told}"))


def _text(cell: Any) -> Text:
    return Text(printable(str(cell)))


def _progress(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / PROGRESS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
