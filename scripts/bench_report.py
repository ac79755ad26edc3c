"""How long a large report and its status take: simulated runs in the real layout, by commands.

    python scripts/bench_report.py [--sets 36] [--methods 10] [--samples 1000] [--objects 30]

Scores are drawn at random, and every simulated run says so in its model's name. Seconds of the
processor count what is done, whatever else the machine does meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.paper.published import published_frame
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_basis, score_key
from benchmark.store.digest import canonical_json, json_digest

PROTOCOL = Protocol("paper", "drifting", "zero")
STEPS = len(PROTOCOL.thresholds)


def main() -> None:
    """Write the runs, report them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("sets", 36), ("methods", 10), ("samples", 1000), ("objects", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("words", nargs="*", help="more words for the command line")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        sets = published_frame().drop_duplicates("data").head(chosen.sets)
        for data in sets.to_dict("records"):
            for method in range(chosen.methods):
                write_run(Path(folder), data, f"simulated {method}", chosen, rng)
        what = f"{chosen.sets} data sets x {chosen.methods} methods x {chosen.samples} records"
        load = os.getloadavg()[0]
        print(f"{what} of {chosen.objects} objects, on {os.cpu_count()} cores, load {load:.1f}:")
        measure(folder, "status")
        measure(folder, "report", *chosen.words)
        written = sum(1 for path in Path(folder, "reports").rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{peak / 1e6:.2f} GB at the peak; {written} files written")


def measure(folder: str, action: str, *words: str) -> None:
    """Do an action on the runs in a folder, and print what it took."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "benchmark", f"action={action}", f"results={folder}"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{action}: {seconds:.1f} s, {used:.1f} s of processor time", flush=True)


def write_run(
    root: Path,
    data: dict[Any, Any],
    model: str,
    chosen: argparse.Namespace,
    rng: np.random.Generator,
) -> None:
    """One simulated run, as `benchmark.store.store` lays it out."""
    images = json_digest(data["data"])
    identity = {
        "target": "simulated", "version": 1, "parameters": {}, "images": images, "model": model,
        "device": "cpu", "seed": 0, "libraries": {},
    }  # fmt: skip
    run_id = json_digest(identity)
    folder = root / "runs" / f"{model.replace(' ', '_')}-{data['data']}-{run_id[:12]}"
    basis = score_basis(PROTOCOL, images)
    key = score_key(basis)
    for part in ("records", "attempts", f"scores/{key}", f"objects/{key}"):
        (folder / part).mkdir(parents=True)
    described = {
        "run_id": run_id, "model": model, "control": False, "data": data["data"], "split": "test",
        "samples": chosen.samples, "prepared": "nowhere", "weights": None, "identity": identity,
        "data_card": {"title": data["data_label"], "modality": data["modality"]},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(described))
    written = basis | {"written": "2026-01-01T00:00:00Z"}
    (folder / "scores" / key / "basis.json").write_text(json.dumps(written))
    write_lines(folder / "attempts", [{"writer": "simulated", "with": {}}])
    rows = [sample(i, chosen.objects, rng) for i in range(chosen.samples)]
    for i, part in enumerate(("records", f"scores/{key}", f"objects/{key}")):
        write_lines(folder / part, [row[i] for row in rows])


def sample(index: int, objects: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """The record, the score and the rows of objects of one sample."""
    belongs = {"sample": f"image_{index:04d}", "prediction": f"{index:064x}"}
    tps = sorted(rng.integers(0, objects + 1, STEPS).tolist(), reverse=True)
    sa = [tp / (2 * objects - tp) for tp in tps]
    counts = ("matched", "missed", "spurious", "split", "merged")
    drawn = zip(counts, rng.integers(0, objects, len(counts)), strict=True)
    metrics = dict.fromkeys(METRICS, 0.5) | {
        "msa": float(np.mean(sa)),
        **{f"sa{round(100 * t)}": a for t, a in zip(PROTOCOL.thresholds, sa, strict=True)},
        **{name: int(number) for name, number in drawn},
    }
    columns = {
        "id": list(range(1, objects + 1)),
        "area": rng.integers(20, 4000, objects).tolist(),
        "best_iou": rng.random(objects).round(4).tolist(),
        "border": [0] * objects,
    }
    seconds = float(rng.random())
    record = belongs | {
        "status": "done", "attempt": 1, "seconds": seconds, "warm_up": index == 0,
        "stages": {"encode": seconds / 2}, "memory": {"host": 10**9}, "details": {},
        "error": None, "traceback": None,
    }  # fmt: skip
    score = belongs | {
        "group": f"group_{index // 3}", "n_true": objects, "n_predicted": objects,
        "true_positives": tps, "both_empty": False, "metrics": metrics, "attempt": 1,
    }  # fmt: skip
    return record, score, belongs | {"true": columns, "predicted": columns}


def write_lines(folder: Path, rows: Any) -> None:
    """A journal of one writer."""
    lines = "".join(canonical_json(row) + "\n" for row in rows)
    (folder / "simulated.jsonl").write_text(lines)


if __name__ == "__main__":
    main()
