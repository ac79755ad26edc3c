"""What a run or a sweep would take: images, hours of a device, disk space; nothing is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from benchmark.actions.formats import JSON
from benchmark.console import note, out, printable, say, say_json
from benchmark.data.sources.torch_em import access_needed
from benchmark.errors import DONE, BenchmarkError
from benchmark.fitted_table import FittedColumn, FittedTable
from benchmark.job import Job
from benchmark.settings import bytes_of
from benchmark.sweeps.estimate import Kept, Planned, images_of, kept, planned
from benchmark.sweeps.rates import read_table
from benchmark.sweeps.state import StoredRuns

UNKNOWN = "unknown"


def perform(job: Job) -> int:
    """Print what the run would take."""
    return show([job])


def show(jobs: Sequence[Job]) -> int:
    """Print what jobs of one folder of runs would take; the exit status."""
    settings, table = jobs[0].settings, read_table()
    runs = StoredRuns(jobs[0].runs, settings.lease.timeout)
    plan = planned(jobs, runs, table)
    data, methods = _data(plan), _methods(plan)
    hours, uncounted = _hours(plan)
    caches = kept(plan, table)
    missing = _missing(jobs)
    if settings.format == JSON:
        say_json(
            {
                "data": data,
                "methods": methods,
                "hours": hours,
                "runs_not_counted": uncounted,
                "embeddings": [each._asdict() for each in caches],
                "missing": missing,
            }
        )
        return DONE
    _print(_DATA, data)
    _print(_METHODS, methods)
    _say_sums(plan, hours, uncounted)
    _show_caches(caches, settings.cache)
    for trouble in dict.fromkeys(each.trouble for each in plan if each.trouble):
        note(trouble)
    models: dict[str, list[str]] = {}
    for model, lines in missing.items():
        for line in lines:
            models.setdefault(line, []).append(model)
    for line, names in models.items():
        note(f"to run {', '.join(names)}: {line}")
    return DONE


def _data(plan: Sequence[Planned]) -> list[dict[str, Any]]:
    """A row for each data set."""
    images = images_of(plan)
    rows = []
    for data, same in _by(plan, lambda each: each.data).items():
        done = sum(each.state.is_complete for each in same)
        row = {"data": data, "images": images[data], "files": _files(same[0])}
        rows.append(row | {"runs": len(same), "done": done})
    return rows


def _files(each: Planned) -> str:
    """Whether a data set is prepared, and how its files come here where they are not."""
    if each.is_prepared:
        return "prepared"
    if each.trouble:
        return "not usable"
    access = access_needed(each.job.settings.data)
    if access is None:
        return "to prepare"
    return "to download" if access == "download" else f"to fetch: {access}"


def _methods(plan: Sequence[Planned]) -> list[dict[str, Any]]:
    """A row for each method, and for each device that it is reckoned on."""

    def key(each: Planned) -> tuple[str, str]:
        return each.model, each.rate.device if each.rate else ""

    rows = []
    for (model, device), same in _by(plan, key).items():
        left = [each for each in same if each.state.samples is not None]
        images = sum(each.state.remaining for each in left)
        counted = [each.hours for each in same if each.hours is not None]
        seconds = [each.rate.seconds for each in same if each.rate]
        sources = dict.fromkeys(each.rate.source for each in same if each.rate)
        rows.append(
            {
                "model": model,
                "runs": len(same),
                "done": sum(each.state.is_complete for each in same),
                "images": images,
                "unknown": len(same) - len(left),
                "device": device or None,
                "seconds_per_image": sum(seconds) / len(seconds) if seconds else None,
                "hours": sum(counted) if seconds else None,
                "source": "; ".join(sources) or None,
            }
        )
    return rows


def _hours(plan: Sequence[Planned]) -> tuple[dict[str, float], int]:
    """Hours that remain of each device, and the number of runs that are not in them."""
    hours: dict[str, float] = {}
    uncounted = 0
    for each in plan:
        if each.hours is None:
            uncounted += 1
        elif each.rate is not None:
            hours[each.rate.device] = hours.get(each.rate.device, 0.0) + each.hours
    return hours, uncounted


def _missing(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Of each model what is missing to run it, and how it comes here; nothing is asked for."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        lines = found.setdefault(str(job.settings.model["name"]), [])
        lines += [line for line in _missing_of(job) if line not in lines]
    return {model: lines for model, lines in found.items() if lines}


def _missing_of(job: Job) -> list[str]:
    if job.not_imported:
        names = ", ".join(job.not_imported)
        return [f"not known, as action=plan runs no code from outside this repository: {names}"]
    try:
        about = [choice.about() for choice in job.weights_choices]
        library = job.missing_libraries
    except BenchmarkError as error:
        return [str(error)]
    weights = [f"weights {each.name}: {each.state}" for each in about if each.state != "here"]
    return [*([f"library: {library}"] if library else []), *weights]


_DATA: Mapping[FittedColumn, Callable[[Mapping[str, Any]], str]] = {
    FittedColumn("data"): lambda row: row["data"],
    FittedColumn("images", right=True): lambda row: _known(row["images"], "d"),
    FittedColumn("files"): lambda row: row["files"],
    FittedColumn("runs done", right=True): lambda row: f"{row['done']} of {row['runs']}",
}
_METHODS: Mapping[FittedColumn, Callable[[Mapping[str, Any]], str]] = {
    FittedColumn("model"): lambda row: row["model"],
    FittedColumn("runs done", right=True): lambda row: f"{row['done']} of {row['runs']}",
    FittedColumn("images left", right=True): lambda row: _at_least(row, "images", "d"),
    FittedColumn("s/image", right=True): lambda row: _known(row["seconds_per_image"], ".3g"),
    FittedColumn("device"): lambda row: row["device"] or "",
    FittedColumn("hours", right=True): lambda row: _at_least(row, "hours", ".3g"),
    FittedColumn("measured by", drop=1, shorten=True): lambda row: row["source"] or "",
}


def _known(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _at_least(row: Mapping[str, Any], name: str, form: str) -> str:
    """A number that more is added to by the data sets of which nobody knows the size."""
    value = row[name]
    if value is None or not row["unknown"]:
        return _known(value, form)
    return f">= {format(value, form)}" if row["unknown"] < row["runs"] else UNKNOWN


def _print(
    columns: Mapping[FittedColumn, Callable[[Mapping[str, Any]], str]],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    cells = [[Text(printable(cell(row))) for cell in columns.values()] for row in rows]
    out.print(FittedTable([*columns], cells))


def _say_sums(plan: Sequence[Planned], hours: Mapping[str, float], uncounted: int) -> None:
    images = images_of(plan)
    counts = [count for count in images.values() if count is not None]
    done = sum(each.state.is_complete for each in plan)
    say(f"runs: {len(plan)}, of which {done} are done")
    say(f"images: {sum(counts)} in data sets of known size: {len(counts)} of {len(images)}")
    for device, value in sorted(hours.items()):
        say(f"hours of {device}: {value:.3g}, for what remains")
    if uncounted:
        say(f"not counted: runs without a known rate or number of images: {uncounted}")
    rateless = dict.fromkeys(each.model for each in plan if each.rate is None)
    if rateless:
        note(
            f"no rate is known of {', '.join(rateless)}: run a few images (limit=5) on the device "
            "that is meant, and plan again"
        )


def _show_caches(caches: Sequence[Kept], cache: str) -> None:
    """Print what is kept on disk between methods that share an encoder."""
    if not caches:
        return
    size = bytes_of(cache)
    if not size:
        say("embeddings: not kept (cache=off), so each method encodes each image")
        return
    columns = ("embeddings of", "MB/image", "GB, all sets", "GB, largest set", f"fits {cache}")
    rows = []
    for each in caches:
        of_all, of_largest = (each.gigabytes(n) for n in (each.images, each.largest))
        fits = UNKNOWN if of_largest is None else "yes" if of_largest * 1e9 <= size else "no"
        sizes = (None if each.bytes is None else each.bytes / 1e6, of_all, of_largest)
        rows.append([each.weights, *(_known(value, ".3g") for value in sizes), fits])
    heads = [FittedColumn(name, right=0 < place < 4) for place, name in enumerate(columns)]
    out.print(FittedTable(heads, [[Text(printable(cell)) for cell in row] for row in rows]))


def _by(plan: Sequence[Planned], key: Callable[[Planned], Any]) -> dict[Any, list[Planned]]:
    """The jobs with the same key, in their order."""
    found: dict[Any, list[Planned]] = {}
    for each in plan:
        found.setdefault(key(each), []).append(each)
    return found
