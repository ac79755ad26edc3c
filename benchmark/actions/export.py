"""Write stored predictions as files of other programs, under the names of their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.actions.evaluate import stored_entries
from benchmark.console import Steps, complain, note, say
from benchmark.data.prepared import Entry
from benchmark.data.sources.layouts import is_read
from benchmark.errors import DONE, PARTIAL, BenchmarkError, UsageError
from benchmark.export.folder import ExportFolder
from benchmark.export.formats import DEFAULT, FORMATS, Format
from benchmark.export.predicted import Predicted, export_names
from benchmark.job import Job
from benchmark.store.lease import Lease
from benchmark.store.names import fits_windows


def perform(job: Job) -> int:
    """Export the stored predictions of the requested samples.

    Returns:
        0 if every requested sample is exported, else 1.

    Raises:
        UsageError: no prediction is stored, or the output is not allowed.
        StoreError: a file would be replaced that was not exported.
    """
    export = Export.of(job)
    entries = stored_entries(job) if export.format.needs_prediction else job.requested
    return export.write(entries)


@dataclass
class Export:
    """An export that was checked: nothing is left that could refuse it but the disk.

    Attributes:
        job: the run and its data.
        format: how predictions are written.
        folder: where to; None for a format without files.
        names: sample id -> name of its files.
    """

    job: Job
    format: Format
    folder: ExportFolder | None
    names: dict[str, str]
    _losses: Counter[str] = field(default_factory=Counter)
    _failed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job) -> Export:
        """Check format, folder and names, before anything is predicted or written.

        Raises:
            UsageError: the output is missing, or is read as images or labels; two samples would
                be exported to one file.
            StoreError: a file would be replaced that was not exported.
        """
        settings = job.settings
        chosen = settings.format or DEFAULT
        wanted = FORMATS[chosen]
        writes = bool(wanted.names(["sample"]))
        if settings.shard is not None or settings.shards > 1:
            raise UsageError(
                f"action={settings.action.name} takes no shards: run them with action=run, and "
                "export the whole run after it."
            )
        if writes and settings.output is None:
            raise UsageError(f"format={chosen} needs output=<folder>.")
        if not writes and settings.output is not None:
            raise UsageError(f"format={chosen} writes no file; omit output=.")
        if settings.output is None:
            return cls(job, wanted, None, export_names(job.data.entries))
        folder = ExportFolder(Path(settings.output))
        names = export_names(job.data.entries)
        files = wanted.names([names[entry.id] for entry in job.requested])
        _refuse_input(job, folder.folder, files)
        folder.check(files)
        return cls(job, wanted, folder, names)

    def write(self, entries: Sequence[Entry]) -> int:
        """Write the predictions of samples.

        Args:
            entries: the samples that have one.

        Returns:
            0 if every requested sample was exported, else 1.

        Raises:
            BenchmarkError: a file can't be made or written; then none is.
        """
        job = self.job
        chosen = job.settings.format or DEFAULT
        predictions = self._predictions(entries)
        if self.folder is None:
            for _ in self.format.files(predictions):
                raise AssertionError(f"format {chosen} has no folder to write into")
        else:
            lease = Lease(Path(job.settings.results) / ".lease-exports", job.settings.lease.timeout)
            with lease.held(lambda holder: note(f"waiting for {holder}, which exports")):
                self.folder.write(self.format.files(predictions), job.store.path.name)
            self._report(len(entries) - len(self._failed), chosen)
        for failure in self._failed:
            complain(failure)
        missing = len(job.requested) - len(entries)
        if missing:
            note(f"{missing} of {len(job.requested)} requested samples have no stored prediction")
        return PARTIAL if missing or self._failed else DONE

    def _predictions(self, entries: Sequence[Entry]) -> Iterator[Predicted]:
        """Yield the predictions; one that can't be read is left out and counted."""
        job, records = self.job, self.job.store.records()
        with Steps(f"exporting {job.model_name} on {job.data.name}", len(entries)) as steps:
            for entry in entries:
                record, name = records.get(entry.id), self.names[entry.id]
                predicted = Predicted(name, entry, job.data, job.store, record, self._losses)
                try:
                    if self.format.needs_prediction:
                        _ = predicted.labels
                except BenchmarkError as error:
                    self._failed.append(f"sample '{entry.id}' is not exported: {error}")
                else:
                    yield predicted
                steps.advance(name)

    def _report(self, count: int, chosen: str) -> None:
        assert self.folder is not None
        job = self.job
        samples = "sample" if count == 1 else "samples"
        say(f"{count} {samples} exported as {chosen} to {self.folder.folder}")
        for loss, times in self._losses.items():
            if times:
                note(f"{times} x {loss}")
        by_id = sum(name == entry.id != entry.original for entry, name in self._named())
        if by_id:
            note(
                f"{by_id} x sample called by its id: its original name can't be a file's name, or "
                "is that of several samples"
            )
        files = self.format.names([name for _, name in self._named()])
        odd = [file for file in files if not fits_windows(file)]
        if odd:
            note(f"{len(odd)} x file with a name that Windows does not allow, e.g. {odd[0]!r}")
        others = self.folder.of_other_runs(job.store.path.name)
        if others:
            note(
                f"{self.folder.folder} also holds {len(others)} files exported from other runs, "
                f"e.g. {others[0]}"
            )

    def _named(self) -> list[tuple[Entry, str]]:
        return [(entry, self.names[entry.id]) for entry in self.job.requested]


def _refuse_input(job: Job, folder: Path, files: Sequence[str]) -> None:
    """Refuse a folder that images, labels or predictions are read from, or that we keep.

    Raises:
        UsageError: it is one.
    """
    other = "Choose another output=<folder>."
    reads = getattr(job.source, "reads", None)
    if reads is not None and reads(folder, files):
        raise UsageError(
            f"output={folder} is read as images or labels of data '{job.data.name}': exported "
            f"files would be mixed with them. {other}"
        )
    theirs = job.parameters.get("predictions")
    if isinstance(theirs, str) and is_read(theirs, None, folder, files):
        raise UsageError(
            f"output={folder} is read by model.predictions: exported files would be mixed with "
            f"these. {other}"
        )
    for kept in (job.runs, Path(job.settings.datasets)):
        if folder.is_relative_to(kept.resolve()):
            raise UsageError(f"output={folder} is in {kept}, which the benchmark keeps. {other}")
