"""A sweep of four models over three data sets in which all goes wrong that can."""

import re
import sys
from collections import Counter

from helpers.runs import HELPERS, assert_sound, environment, journals

from benchmark.data.prepared import PreparedData
from benchmark.store.store import RunStore

MODELS = ("traced", "oracle", "otsu", "empty")
DATA = {
    "tiny_a": "fluorescent_nuclei", "tiny_b": "rod_bacteria", "tiny_c": "phase_contrast_cells",
}  # fmt: skip
RAISES, KILLS, LINGERS = (f"{style}_001" for style in DATA.values())
FAULTS = f"{RAISES}=raise,{KILLS}=kill_once,{LINGERS}=linger_once"


def sweep(root, *words):
    """Its command line."""
    return [
        sys.executable, "-m", "benchmark", "-m", "--config-dir", str(HELPERS / "configs"),
        f"model={','.join(MODELS)}", f"data={','.join(DATA)}", "errors.max_failures=1",
        f"results={root / 'results'}", f"datasets={root / 'datasets'}", *words,
    ]  # fmt: skip


def faulty(root):
    """Its environment: one model (`traced`) fails, is killed, and takes for ever, once each."""
    (root / "trace").touch()
    return environment(ODD=FAULTS, TRACE=str(root / "trace"), COLUMNS="200")


def assert_all_is_done_once(root):
    """Every sample that could be done is there exactly once; what could not, is told."""
    stores = RunStore.all(root / "results" / "runs")
    assert len(stores) == len(MODELS) * len(DATA)
    failed = []
    for store in stores:
        assert_sound(store.path, store)
        described = store.describe()
        data = PreparedData(store.path / described["prepared"], described["data"], "test")
        rows = journals(store.path, "records")
        assert sorted(row["sample"] for row in rows) == sorted(e.id for e in data.entries)
        failed += [(described["model"], row["sample"]) for row in rows if row["status"] != "done"]
        (key,) = store.score_bases()
        done = {row["sample"] for row in rows if row["status"] == "done"}
        assert set(store.scores(key)) == done
        assert {row["sample"] for row in journals(store.path, "scores")} == done
    assert failed == [("traced", RAISES)]


def states(told):
    """From the summary's table: model, data -> state."""
    rows = re.findall(r"model=(\w+) data=(\w+) +│ ([\w ]+?) +│", told)
    return {(model, data): state for model, data, state in rows}


def starts(root):
    """How often each sample was begun by `traced`."""
    lines = (root / "trace").read_text().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith("start"))


def lingers(root):
    """Whether the sample that takes for ever the first time is in hand."""
    return (root / f"trace.{LINGERS}").exists()
