"""The one way to people: results on standard output, progress and warnings on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Neither a file nor a pipe has a width: lines are left whole there.
_PIPED_WIDTH = 200

PROGRESS = "BENCHMARK_PROGRESS"
"""Environment variable: the file in which a job of a sweep keeps how far it is."""

out = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
err = Console(stderr=True, width=None if sys.stderr.isatty() else _PIPED_WIDTH, highlight=False)


def say(text: str) -> None:
    """A line of result."""
    out.print(Text(printable(text)), soft_wrap=True)


def say_json(content: Any) -> None:
    """A result for programs, as JSON in ASCII."""
    out.print(Text(json.dumps(content, indent=1)), soft_wrap=True)


def note(text: str) -> None:
    """A line about what is going on."""
    err.print(Text(_brief(printable(text))), soft_wrap=True)


def complain(text: str) -> None:
    """An error, as one clear message."""
    err.print(Text("error: ", style="bold red") + Text(_brief(printable(text))), soft_wrap=True)


def _brief(text: str) -> str:
    """A message without its middle where a value in it fills the terminal."""
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} [...] {text[-half:]}"


MAX_MESSAGE = 10_000
"""Characters of a message; the list of all choices has half as many."""

UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Controls and marks of direction, which change how the text around them is shown on a terminal,
and halves of surrogate pairs, which can't be encoded."""


def printable(text: str) -> str:
    """Replace unprintable characters, which may be in the names and texts of strangers."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class Steps:
    """Progress over samples: a bar on a terminal, now and then a plain line when piped.

    Args:
        title: what is being done.
        total: how many steps there are; None until `show` gives it.
    """

    _LINES = 10  # plain lines at most for the whole
    _PAUSE = 2.0  # seconds at least between two of them
    _LEFT = 0.5  # seconds at least between two times of telling the sweep

    def __init__(self, title: str, total: int | None = None) -> None:
        self._title = printable(title)
        self._total = total
        self._done = 0
        self._began = self._told = time.monotonic()
        self._left = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> Steps:
        if err.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=err,
                transient=True,
            )
            self._task = self._bar.add_task(self._title, total=self._total, rate="", detail="")
            self._bar.start()
        if self._total:
            _leave_progress(self._title, 0, self._total, 0.0, "")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, detail: str) -> None:
        """One step is done; `detail` says which, and how it went."""
        self.show(self._done + 1, self._total or 0, detail)

    def show(self, done: int, total: int, detail: str = "") -> None:
        """So many of so many steps are done."""
        self._done, self._total = done, total
        now = time.monotonic()
        seconds = now - self._began
        rate = f"{done / seconds:.1f}/s" if seconds > 0 and done else ""
        if now - self._left > self._LEFT or done == total:
            self._left = now
            _leave_progress(self._title, done, total, seconds, detail)
        if self._bar is not None:
            detail = printable(detail)
            self._bar.update(self._task, completed=done, total=total, rate=rate, detail=detail)
        elif done == total or (self._is_due(now) and done % max(1, total // self._LINES) == 0):
            self._told = now
            left = f"{seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
            state = ", ".join(part for part in (rate, left, detail) if part)
            note(f"{self._title}: {done}/{total}, {state}")

    def _is_due(self, now: float) -> bool:
        return now - self._told > self._PAUSE


def _leave_progress(title: str, done: int, total: int, seconds: float, detail: str) -> None:
    """In a job of a sweep: tell the sweep how far it is; of no use to anybody later."""
    path = os.environ.get(PROGRESS)
    if path:
        state = {"title": title, "done": done, "total": total, "seconds": seconds, "detail": detail}
        with contextlib.suppress(OSError):
            new = Path(f"{path}.new")
            new.write_text(json.dumps(state), encoding="utf-8")
            new.replace(path)
