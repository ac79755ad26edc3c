"""Write `tests/net`: run ids, labels, scores and tables, as this version of the code makes them.

    python scripts/write_net.py identities   (or predictions, runs, tables; all where none is named)

The tests compare with these files; rewrite them only where something changes on purpose, and say in
the commit what does.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import net


def _write(name: str, content: Any) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (net.NET / name).write_text(f"{text}\n", encoding="utf-8")


def identities(folder: Path) -> None:
    """Run ids and identities of every model's YAML."""
    _write("identities.json", net.identities(folder))


def predictions(folder: Path) -> None:
    """Digests of labels, and scores, of every model that runs without a download."""
    runs = {model: net.run_of(model, folder) for model in (*net.FAST, *net.SLOW)}
    found = {m: {"labels": net.labels_of(r), "scores": net.scores_of(r)} for m, r in runs.items()}
    _write("predictions.json", found)


def runs(folder: Path) -> None:
    """An archive of stored runs, without what tells of the machine."""
    for model in (*net.FAST, *net.SLOW):
        net.run_of(model, folder)
    net.command(
        "model=otsu",
        "data=synthetic",
        "limit=4",
        f"results={folder}/results",
        f"datasets={folder}/datasets",
    )
    with zipfile.ZipFile(net.NET / "runs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "results" / "runs").rglob("*")):
            inside = path.relative_to(folder).as_posix()
            if path.is_dir() or "/report/" in inside or "/lease/" in inside:
                continue
            content = path.read_bytes()
            if path.suffix in (".json", ".jsonl"):
                text = content.decode().replace(str(folder), "/somewhere")
                text = re.sub(r'("host(?:name)?": ?)"[^"]*"', r'\1"somebody"', text)
                content = text.encode()
            archive.writestr(zipfile.ZipInfo(inside, (2026, 1, 1, 0, 0, 0)), content)


def tables(folder: Path) -> None:
    """All tables of reports, and the names of all files of one."""
    reports = {
        "published": net.report_of(folder / "published", "source=published"),
        "both": net.report_of(net.stored_runs(folder / "both"), "source=both"),
        "runs": net.report_of(net.stored_runs(folder / "runs"), "source=runs", "format=html"),
    }
    for source, report in reports.items():
        _write(f"tables_{source}.json", net.tables_of(report))
    _write("report_files.json", net.files_of(reports["runs"]))


PARTS: tuple[Callable[[Path], None], ...] = (identities, predictions, runs, tables)

if __name__ == "__main__":
    for part in PARTS:
        if part.__name__ in sys.argv[1:] or not sys.argv[1:]:
            with tempfile.TemporaryDirectory() as place:
                part(Path(place))
            print(f"{part.__name__}: written")
