"""What may be averaged, what stands beside a number, and what stored rows add up to."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from helpers.reports import run
from helpers.study_tables import some, table

from benchmark.report.eligible import select_eligible
from benchmark.report.frame import frame_of_rows, frame_of_runs
from benchmark.report.tables.objects import DIAMETERS, cost, errors, recall_by_size
from benchmark.report.tables.over_data_sets import tables_of
from benchmark.report.tables.per_data_set import per_data_set
from benchmark.store.skipped import SkippedModel, read_skipped, record_skipped, remove_skipped
from benchmark.store.store import RunStore

BASE = [some(m, d, msa) for (m, msa), d in itertools.product({"a": 0.4, "b": 0.6}.items(),
                                                             ("u20s", "dsb"))]  # fmt: skip


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (some("c", status="partial (2 of 3)"), "not all images are done"),
        (some("c", images_id="2"), "other images"),
        (some("c", split="val"), "other images, labels, split"),
        (some("a", run="again", run_id="again"), "several runs on the same images"),
        (some("c", score=np.nan), "no image has a score"),
    ],
)
def test_nothing_odd_is_averaged_in_and_each_is_named(odd, reason):
    chosen = select_eligible(frame_of_rows([*BASE, odd]))
    assert odd["run_id"] not in set(chosen.cells["run_id"])
    (note,) = chosen.notes
    assert reason in note and odd["run"] in note
    tables = tables_of(frame_of_rows([*BASE, odd]), "r")
    means = {r["method"]: r for r in table(tables, "r_means")}
    assert means["b"]["fluorescence nuclei"] == "0.600"
    assert any(note in t.notes for t in tables if t.name == "r_means")
    # The table per data set shows it all the same, with what is the matter.
    shown = str([[c.text + str(c.marks) for c in line] for line in per_data_set(
        frame_of_rows([*BASE, odd])).rows])  # fmt: skip
    assert {"c": "c", "a": "several runs"}[odd["method"]] in shown


def test_controls_are_shown_and_neither_averaged_nor_best():
    frame = frame_of_rows([*BASE, some("oracle", score=1.0, control=True)])
    assert "oracle" not in select_eligible(frame).matrix
    (line,) = [line for line in per_data_set(frame).rows if line[1].text == "U20S"]
    assert [(c.text, c.place) for c in line[2:]] == [("0.400", 2), ("0.600", 1), ("1.000", 0)]


@pytest.mark.parametrize(
    ("change", "mark"),
    [({"mixed": True}, "mixed"), ({"mark": "user"}, "user"), ({"mark": "demo"}, "demo"),
     ({"lost": "why"}, "lost"), ({"edited": True}, "edited"), ({"gone": True}, "gone")],
)  # fmt: skip
def test_marks_follow_a_number_into_every_mean(change, mark):
    frame = frame_of_rows([*BASE, some("c", score=0.9, **change), some("c", "dsb", score=0.9)])
    for found in tables_of(frame, "r"):
        marked = [line for line in found.rows for cell in line if mark in cell.marks]
        assert marked and all("c" in {c.text for c in line} or found.name == "r_per_data_set"
                              for line in marked), found.name  # fmt: skip


def test_skipped_methods_stand_in_the_table_with_their_reason(tmp_path):
    skip = SkippedModel("cellsam", "u20s", "U20S", "fluorescence_nuclei", "paper", "no token")
    record_skipped(tmp_path, skip)
    record_skipped(
        tmp_path, SkippedModel("sam3", "tnbc", "TNBC", "histopathology", "paper", "gated")
    )
    result = run("otsu", "u20s", config="otsu", data_label="U20S")
    found = per_data_set(frame_of_runs([result], read_skipped(tmp_path)))
    shown = {line[1].text: [cell.text for cell in line[2:]] for line in found.rows}
    assert shown == {"U20S": ["0.500", "skipped", ""], "TNBC": ["", "", "skipped"]}
    assert "Skipped: cellsam on U20S: no token" in found.notes
    # What ran after all is no more skipped.
    ran = run("cellsam", "u20s", config="cellsam")
    assert set(frame_of_runs([ran], read_skipped(tmp_path))["status"]) == {"complete", "skipped"}
    remove_skipped(tmp_path, "sam3", "tnbc")
    assert read_skipped(tmp_path) == [skip]


def test_a_run_in_its_cell():
    result = run(
        "apg", "livecell", msa=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0), config="apg", mark="verified",
        weights="vit_b_lm", trained_on=frozenset({"livecell"}), modality="label_free_cells",
        data_label="LIVECell", scores={"memory": [1e9, 3e9, 2e9, 1e9, 1e9, 1e9]},
    )  # fmt: skip
    (cell,) = frame_of_runs([result]).to_dict("records")
    assert (cell["key"], cell["in_domain"], cell["memory"]) == ("apg", True, 3e9)
    assert (cell["score"], cell["images"], cell["groups"]) == (pytest.approx(0.65), 6, 6)
    assert cell["score_low"] < 0.65 < cell["score_high"]
    (other,) = frame_of_runs([run("apg (min_size=3)", config="apg", altered=True)]).to_dict(
        "records"
    )
    assert other["key"] == "" and pd.isna(other["in_domain"])


def test_a_file_of_ones_own_never_stands_under_the_models_name_alone():
    assert run("apg", weights="user 1a2b", mark="user").method == "apg (user 1a2b)"
    assert run("apg (user 1a2b)", weights="user 1a2b", mark="user").method == "apg (user 1a2b)"
    assert run("apg", weights="vit_b_lm", mark="verified").method == "apg"


# --- stored rows ------------------------------------------------------------------------


def test_errors_are_added_up_over_images():
    kinds = {"missed": [1, 0], "spurious": [2, 2], "split": [0, 1], "merged": [3, 0]}
    (found,) = errors([run(msa=(0.5, 0.5), scores=kinds)]).to_dict("records")
    assert found == {
        "n_true": 8,
        "n_predicted": 8,
        "missed": 1,
        "spurious": 4,
        "split": 1,
        "merged": 3,
    }


def test_cost_is_the_median_time_and_the_highest_peak():
    scores = {"memory": [1.0, 5.0, 2.0], "stage.encode": [1.0, np.nan, 4.0]}
    scores |= {"peak.encode": [3.0, 4.0, 2.0]}
    one, other = cost([run(msa=(0.5,) * 3, scores=scores), run(msa=(0.5,))]).to_dict("records")
    assert one["peak.encode"] == 4 and np.isnan(other["peak.encode"])
    assert (one["seconds"], one["memory"], one["stage.encode"], one["timed"]) == (1, 5, 2.5, 3)
    assert np.isnan(one["device_memory"]) and np.isnan(other["stage.encode"])


def test_recall_by_size_is_counted_object_by_object(monkeypatch):
    rng = np.random.default_rng(0)
    rows = {
        f"s{i}": {"true": {"area": rng.integers(1, 9000, n).tolist(),
                           "best_iou": rng.random(n).round(4).tolist()}}
        for i, n in enumerate((40, 0, 25))
    }  # fmt: skip
    monkeypatch.setattr(RunStore, "objects", lambda self, key: rows)
    found = recall_by_size(run())
    expected = [[0, 0] for _ in DIAMETERS[1:]]
    for sample in rows.values():
        for area, iou in zip(sample["true"]["area"], sample["true"]["best_iou"], strict=True):
            diameter = (4 * area / np.pi) ** 0.5
            place = sum(diameter >= limit for limit in DIAMETERS) - 1
            expected[place][0] += 1
            expected[place][1] += iou >= 0.5
    assert found[["objects", "found"]].to_numpy().tolist() == expected


@pytest.mark.parametrize("odd", ["", "[]", "{}", "null", '{"model": 3}', "\xff", "[" * 100_000])
def test_a_damaged_reason_is_left_out_with_a_warning(tmp_path, capsys, odd):
    skip = SkippedModel("apg", "u20s", "U20S", "", "paper", "no weights")
    record_skipped(tmp_path, skip)
    (tmp_path / "a.skipped.json").write_text(odd, encoding="latin-1")
    whole = json.loads((tmp_path / "apg-u20s.skipped.json").read_text())
    (tmp_path / "b.skipped.json").write_text(json.dumps(whole | {"reason": None}))
    assert read_skipped(tmp_path) == [skip]
    told = capsys.readouterr().err
    assert "a.skipped.json" in told and "b.skipped.json" in told
