"""Progress of a sweep: one live table on a terminal, a line per job elsewhere."""

from __future__ import annotations

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
from benchmark.store.files import parse_json
from benchmark.sweeps.process import PROGRESS_FILE, JobOutcome


class SweepProgress:
    """Shows which jobs run and have ended; how far each is, it reads from the job's folder.

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

    def begins(self, label: str, folder: Path) -> None:
        """Show a job as running; its progress is read from its folder."""
        self._running.setdefault(label, (folder, time.monotonic()))

    def waits(self, label: str) -> None:
        """Show a job as waiting, also one that ran before."""
        self._running.pop(label, None)

    def ends(self, outcome: JobOutcome) -> None:
        """Show the outcome of a job."""
        self._running.pop(outcome.label, None)
        self._ended.append(outcome)
        if self._live is None:
            took = f", {outcome.seconds:.0f} s" if outcome.log else ""
            note(f"[{len(self._ended)}/{self._total}] {outcome.label}: {outcome.state}{took}")

    def _drawn(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1))
        for title in ("job", "state", "", "samples", "time", ""):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        jobs = [outcome for outcome in self._ended if outcome.log][-self._ROWS :]
        for outcome in jobs:
            samples, score = (outcome.details.get(key, "") for key in ("status", "msa"))
            row = (outcome.label, outcome.state, "", samples, _clock(outcome.seconds))
            table.add_row(*map(_text, row), _text(f"mSA {score}" if score else ""))
        for label, (folder, began) in list(self._running.items()):
            progress = _progress(folder)
            done, total = progress.get("done", 0), progress.get("total", 0)
            bar = ProgressBar(total=total or None, completed=done, width=20, pulse=not total)
            left = ""
            if 0 < done < total:
                left = f"{_clock(progress['seconds'] / done * (total - done))} left, "
            table.add_row(
                _text(label), _text("running"), bar, _text(f"{done}/{total}" if total else ""),
                _text(_clock(time.monotonic() - began)), _text(left + progress.get("detail", "")),
            )  # fmt: skip
        counts = Counter(outcome.state for outcome in self._ended)
        counts["running"] = len(self._running)
        counts["to do"] = self._total - len(self._ended) - len(self._running)
        summary = ", ".join(f"{many} {state}" for state, many in counts.items() if many)
        return Group(table, _text(f"{self._total} jobs: {summary}"))


def _text(value: Any) -> Text:
    return Text(printable(str(value)))


def _progress(folder: Path) -> dict[str, Any]:
    try:
        found = parse_json((folder / PROGRESS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
