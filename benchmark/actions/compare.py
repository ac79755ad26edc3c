"""Two runs side by side, sample by sample, sorted by difference."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from benchmark.choices import nearest
from benchmark.console import note, out, printable, say
from benchmark.errors import DONE, UsageError
from benchmark.files import disk_errors, write_whole
from benchmark.job import Job
from benchmark.report.results import RunResult, load_results
from benchmark.stats import bootstrap_interval
from benchmark.store import SHORT

_SHOWN = 20  # rows on the console; the CSV has them all


def perform(job: Job) -> int:
    """Compare the runs named by a= and b=, on the samples that both have scored.

    Raises:
        UsageError: a run is not named or not found, or they share no sample.
    """
    results = load_results(job.runs, job.protocol)
    a, b = (_find(results, word, getattr(job.settings, word)) for word in ("a", "b"))
    if a.data != b.data:
        raise UsageError(f"a is a run on data '{a.data}', b one on '{b.data}': nothing to pair.")
    pairs = pd.DataFrame({"group": a.scores["group"], "a": a.scores["msa"], "b": b.scores["msa"]})
    pairs = pairs[pairs.index.isin(b.scores.index) & pairs.index.isin(a.scores.index)].dropna()
    if pairs.empty:
        raise UsageError("the two runs have no scored sample in common.")
    pairs["difference"] = pairs["a"] - pairs["b"]
    pairs = pairs.sort_values(["difference"], kind="stable")
    _show(pairs, a, b)
    name = f"{a.run_id[:SHORT]}-{b.run_id[:SHORT]}.csv"
    folder = Path(job.settings.results) / "reports" / "compare"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, pairs.to_csv(index_label="sample").encode())
    note(f"every sample is in {folder / name}")
    return DONE


def _find(results: list[RunResult], word: str, wanted: str | None) -> RunResult:
    names = {result.path.name: result for result in results}
    if wanted is None:
        raise UsageError(
            f"action=compare needs {word}=<run>: the folder name of a run or the beginning of its "
            f"id. Runs: {', '.join(names) or 'none'}."
        )
    found = [r for name, r in names.items() if name == wanted or r.run_id.startswith(wanted)]
    if len(found) != 1:
        how = "more than one run" if found else "no run"
        raise UsageError(
            f"{word}='{wanted}' names {how}.{nearest(wanted, names)} Runs: {', '.join(names)}."
        )
    return found[0]


def _show(pairs: pd.DataFrame, a: RunResult, b: RunResult) -> None:
    table = Table(title=Text(printable(f"mSA on {a.data}: a = {a.model}, b = {b.model}")))
    for column in ("sample", "a", "b", "a - b"):
        table.add_column(column, justify="left" if column == "sample" else "right")
    shown = pairs
    if len(pairs) > _SHOWN:
        shown = pd.concat([pairs.head(_SHOWN // 2), pairs.tail(_SHOWN // 2)])
    for position, (sample, row) in enumerate(shown.iterrows()):
        if len(pairs) > _SHOWN and position == _SHOWN // 2:
            table.add_row(f"... {len(pairs) - _SHOWN} more ...", "", "", "")
        numbers = (f"{row['a']:.3f}", f"{row['b']:.3f}", f"{row['difference']:+.3f}")
        table.add_row(Text(printable(str(sample))), *numbers)
    out.print(table)
    groups = pairs["group"].nunique()
    interval = bootstrap_interval(pairs["difference"].to_numpy(), list(pairs["group"]))
    told = f"n/a ({groups} group{'s' * (groups != 1)})"
    if interval is not None:
        told = f"{interval[0]:+.3f} to {interval[1]:+.3f}, {groups} groups"
    say(
        f"mean difference {pairs['difference'].mean():+.3f} over {len(pairs)} samples that both "
        f"have; 95 % interval {told}; a is better on {(pairs['difference'] > 0).sum()}, b on "
        f"{(pairs['difference'] < 0).sum()}, equal on {(pairs['difference'] == 0).sum()}"
    )
