"""What can be chosen, and what is missing to run it."""

from __future__ import annotations

import re
from pathlib import Path

from rich.table import Table
from rich.text import Text

from benchmark.choices import GROUPS, choices, config_folders
from benchmark.console import out, printable
from benchmark.errors import DONE, BenchmarkError
from benchmark.job import Job, find_class
from benchmark.provenance import library_versions


def perform(job: Job) -> int:
    """Print one table for models, data sets and protocols."""
    folders = config_folders()
    table = Table("", "name", "what it is", "missing to run it", title=None)
    for group in GROUPS:
        for position, (name, description) in enumerate(choices(group, folders).items()):
            path = next(
                f / group / f"{name}.yaml" for f in folders if (f / group / f"{name}.yaml").exists()
            )
            table.add_row(
                group if position == 0 else "",
                name,
                Text(printable(description)),
                Text(printable("; ".join(_missing(path, group)) or "nothing")),
            )
        table.add_section()
    out.print(table)
    return DONE


def _missing(path: Path, group: str) -> list[str]:
    """What a person has to give or to install before this can run."""
    text = path.read_text(encoding="utf-8")
    needed = [f"{group}.{key}=..." for key in re.findall(r"^(\w+): \?\?\?", text, re.MULTILINE)]
    target = re.search(r"^_target_: (\S+)", text, re.MULTILINE)
    if target:
        try:
            libraries = getattr(find_class(target[1]), "libraries", ())
        except BenchmarkError as error:
            return [*needed, str(error)]
        absent = [name for name, version in library_versions(libraries).items() if version is None]
        needed += [f"pip install {' '.join(absent)}"] if absent else []
    return needed
