"""The study's questions: point by point its own answers, and no number averaged in silently."""

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers.reports import run
from scipy.stats import rankdata
from test_published import row

from benchmark.report.cells import cells, cells_of_runs
from benchmark.report.published import published_cells
from benchmark.report.study.beside import beside, rank_correlation, sign_agreement, weights_name
from benchmark.report.study.beside_tables import beside_tables
from benchmark.report.study.choose import choose
from benchmark.report.study.numbers import (
    averages,
    by_domain,
    duel,
    mean_ranks,
    ranks,
    ranks_without_ties,
)
from benchmark.report.study.objects import DIAMETERS, cost, errors, recall_by_size
from benchmark.report.study.per_data_set import per_data_set
from benchmark.report.study.tables import study_tables
from benchmark.report.study_card import study_card
from benchmark.skips import Skip, forget_skip, leave_skip, read_skips
from benchmark.store import RunStore

MODALITIES = ("label_free_cells", "fluorescence_cells", "fluorescence_nuclei", "histopathology")
# The published figure: means of mSA, and mean ranks of two methods.
MEANS = {
    "CellPoseSAM": (0.544, 0.363, 0.483, 0.418),
    "APG": (0.541, 0.344, 0.518, 0.398),
    "AIS": (0.480, 0.347, 0.513, 0.390),
    "CellSAM": (0.380, 0.272, 0.386, 0.277),
    "Cellpose 3": (0.424, 0.218, 0.438, 0.155),
    "SAM3": (0.269, 0.143, 0.255, 0.331),
    "SAM": (0.106, 0.091, 0.283, 0.200),
}
RANKS = {"CellPoseSAM": (1.33, 1.67, 3.11, 1.89), "APG": (2.11, 2.89, 1.67, 2.33)}


@pytest.fixture(scope="module")
def published():
    return published_cells()


@pytest.fixture(scope="module")
def shown(published):
    return choose(published).matrix[study_card().shown]


def table(tables, name):
    """A table as {first column: {header: text}}, or rows of texts."""
    (found,) = [t for t in tables if t.name == name]
    return [
        {c.header: cell.text for c, cell in zip(found.columns, cells_, strict=True)}
        for cells_ in found.rows
    ]


# --- the published numbers --------------------------------------------------------------


def test_the_published_means_come_out(published):
    found = averages(choose(published).matrix)
    for method, means in MEANS.items():
        assert [f"{found['mean'][m, method]:.3f}" for m in MODALITIES] == [
            f"{x:.3f}" for x in means
        ]
    rows = {r["method"]: r for r in table(study_tables(published, "p"), "p_means")}
    for method, means in MEANS.items():
        assert list(rows[method].values())[1:] == [f"{x:.3f}" for x in means]


def test_the_published_ranks_come_out_where_ties_are_broken_as_there(published):
    rows = {r["method"]: r for r in table(study_tables(published, "p", tieless=True),
                                          "p_ranks_tieless")}  # fmt: skip
    assert set(rows) == set(MEANS)
    for method, means in RANKS.items():
        assert list(rows[method].values())[1:] == [f"{x:.2f}" for x in means]
    # Without the switch there are averaged ranks alone.
    averaged = study_tables(published, "p")
    assert not [t for t in averaged if "tieless" in t.name]
    nuclei = {r["method"]: r["fluorescence nuclei"] for r in table(averaged, "p_ranks")}
    assert (nuclei["CellPoseSAM"], nuclei["APG"]) == ("3.00", "1.67")


def transcribed(entries):
    """The study's `compute_method_avg_ranks`, its sort made stable.

    Args:
        entries: data set -> [(method, mSA)].
    """
    per_method = {}
    for scored in entries.values():
        methods = [method for method, _ in scored]
        scores = np.array([msa for _, msa in scored], dtype=float)
        for position, index in enumerate(np.argsort(-scores, kind="stable")):
            per_method.setdefault(methods[index], []).append(position + 1)
    return {method: float(np.mean(found)) for method, found in per_method.items()}


def test_tieless_ranks_are_those_of_the_studys_own_code(shown):
    order = [study_card().label(key) for key in study_card().tie_order]
    order += [method for method in shown if method not in order]
    for modality in MODALITIES:
        of = shown.loc[[modality]]
        entries = {data: [(m, of[m].loc[modality, data]) for m in order]
                   for data in of.loc[modality].index}  # fmt: skip
        found = mean_ranks(ranks_without_ties(of, order)).loc[modality].drop("sets")
        assert found.to_dict() == pytest.approx(transcribed(entries))


def random_matrix(seed, methods=6, sets=9):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, (sets, methods)) / 10  # many ties
    index = pd.MultiIndex.from_product([["synthetic"], [f"d{i}" for i in range(sets)]],
                                       names=["modality", "data"])  # fmt: skip
    return pd.DataFrame(values, index, [f"m{i}" for i in range(methods)])


@pytest.mark.parametrize("seed", range(20))
def test_averaged_ranks_are_scipys(seed):
    matrix = random_matrix(seed)
    expected = np.stack([rankdata(-line) for line in matrix.to_numpy()])
    assert np.array_equal(ranks(matrix).to_numpy(), expected)
    without = ranks_without_ties(matrix, ["m3", "m1"])
    assert np.array_equal(np.sort(without.to_numpy()), np.tile(np.arange(1.0, 7), (9, 1)))
    equal = matrix["m3"] == matrix["m0"]
    assert (without["m3"] < without["m0"])[equal].all()  # first in the order of ties


def test_ranks_are_over_data_sets_that_all_have():
    matrix = random_matrix(0)
    matrix.iloc[2, 1] = np.nan
    assert len(ranks(matrix)) == 8 and mean_ranks(ranks(matrix))["sets"].item() == 8


def test_a_mean_over_fewer_data_sets_has_their_count_and_is_never_the_best(published):
    (found,) = [t for t in study_tables(published, "p") if t.name == "p_means"]
    cells_of = {line[0].text: line[1:] for line in found.rows}
    assert cells_of["APG, grid search"][2].marks == ("8 of 9",)
    # The best number of the column, but over other data sets.
    numbers = [line[2].value for line in cells_of.values() if isinstance(line[2].value, float)]
    assert cells_of["APG, grid search"][2].value == max(numbers)
    assert cells_of["APG, grid search"][2].place == 0 and cells_of["APG"][2].place == 1
    assert {cell.text for cell in cells_of["SAM2"]} == {"not reported"}


@pytest.mark.parametrize(("a", "b"), [("APG", "AIS"), ("APG", "CellPoseSAM"),
                                      ("APG", "APG, boundary distance")])  # fmt: skip
def test_duels_are_counted_on_common_data_sets(published, a, b):
    by_data = {m: published[published["method"] == m].set_index("data")["msa"] for m in (a, b)}
    pairs = [(x, by_data[b][d]) for d, x in by_data[a].items()
             if not np.isnan(x) and not np.isnan(by_data[b][d])]  # fmt: skip
    found = duel(choose(published).matrix, a, b)
    assert found.sets == len(pairs)
    assert found.wins == sum(x > y for x, y in pairs)
    assert found.losses == sum(x < y for x, y in pairs)
    assert found.ties == sum(x == y for x, y in pairs)
    assert found.difference == pytest.approx(np.mean([x - y for x, y in pairs]))
    assert found.mean_a == pytest.approx(np.mean([x for x, _ in pairs]))


def test_a_duel_without_a_common_data_set_has_no_number():
    matrix = random_matrix(0)
    matrix.iloc[:5, 0], matrix.iloc[5:, 1] = np.nan, np.nan
    found = duel(matrix, "m0", "m1")
    assert found[:4] == (0, 0, 0, 0) and np.isnan(found.difference)


def test_domains_are_averaged_apart(published):
    found = by_domain(choose(published).cells).loc["CellPoseSAM"]
    rows = published[published["method"] == "CellPoseSAM"]
    seen = rows["in_domain"].astype(bool)
    assert found["mean_in"] == pytest.approx(rows.loc[seen, "msa"].mean())
    assert found["mean_out"] == pytest.approx(rows.loc[~seen, "msa"].mean())
    assert (found["sets_in"], found["sets_out"], found["unknown"]) == (
        seen.sum(),
        36 - seen.sum(),
        0,
    )


# --- what may be averaged ---------------------------------------------------------------


def some(method="a", data="u20s", msa=0.5, **changes):
    about = {"modality": "fluorescence_nuclei", "data_label": data.upper(), "protocol": "paper",
             "split": "test", "images_id": "1", "run": f"{method}-{data}",
             "run_id": f"{method}{data}"}  # fmt: skip
    return row(method=method, data=data, msa=msa, **(about | changes))


BASE = [some(m, d, msa) for (m, msa), d in itertools.product({"a": 0.4, "b": 0.6}.items(),
                                                             ("u20s", "dsb"))]  # fmt: skip


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (some("c", status="partial (2 of 3)"), "not all images are done"),
        (some("c", images_id="2"), "other images"),
        (some("c", split="val"), "other images, split"),
        (some("c", protocol="clean"), "other images, split or protocol"),
        (some("a", run="again", run_id="again"), "several runs on the same images"),
        (some("c", msa=np.nan), "no image has a score"),
    ],
)
def test_nothing_odd_is_averaged_in_and_each_is_named(odd, reason):
    chosen = choose(cells([*BASE, odd]))
    assert odd["run_id"] not in set(chosen.cells["run_id"])
    (note,) = chosen.notes
    assert reason in note and odd["run"] in note
    tables = study_tables(cells([*BASE, odd]), "r")
    means = {r["method"]: r for r in table(tables, "r_means")}
    assert means["b"]["fluorescence nuclei"] == "0.600"
    assert any(note in t.notes for t in tables if t.name == "r_means")
    # The table per data set shows it all the same, with what is the matter.
    shown = str([[c.text + str(c.marks) for c in line] for line in per_data_set(
        cells([*BASE, odd])).rows])  # fmt: skip
    assert {"c": "c", "a": "several runs"}[odd["method"]] in shown


def test_controls_are_shown_and_neither_averaged_nor_best():
    frame = cells([*BASE, some("oracle", msa=1.0, control=True)])
    assert "oracle" not in choose(frame).matrix
    (line,) = [line for line in per_data_set(frame).rows if line[1].text == "U20S"]
    assert [(c.text, c.place) for c in line[2:]] == [("0.400", 2), ("0.600", 1), ("1.000", 0)]


@pytest.mark.parametrize(
    ("change", "mark"),
    [({"mixed": True}, "mixed"), ({"mark": "user"}, "user"), ({"mark": "demo"}, "demo"),
     ({"lost": "why"}, "lost")],
)  # fmt: skip
def test_marks_follow_a_number_into_every_mean(change, mark):
    frame = cells([*BASE, some("c", msa=0.9, **change), some("c", "dsb", msa=0.9)])
    for found in study_tables(frame, "r"):
        marked = [line for line in found.rows for cell in line if mark in cell.marks]
        assert marked and all("c" in {c.text for c in line} or found.name == "r_per_data_set"
                              for line in marked), found.name  # fmt: skip


def test_skipped_methods_stand_in_the_table_with_their_reason(tmp_path):
    skip = Skip("cellsam", "u20s", "U20S", "fluorescence_nuclei", "paper", "no token")
    leave_skip(tmp_path, skip)
    leave_skip(tmp_path, Skip("sam3", "tnbc", "TNBC", "histopathology", "paper", "gated"))
    result = run("otsu", "u20s", config="otsu", data_label="U20S")
    found = per_data_set(cells_of_runs([result], read_skips(tmp_path)))
    shown = {line[1].text: [cell.text for cell in line[2:]] for line in found.rows}
    assert shown == {"U20S": ["0.500", "skipped", ""], "TNBC": ["", "", "skipped"]}
    assert "Skipped: cellsam on U20S: no token" in found.notes
    # What ran after all is no more skipped.
    ran = run("cellsam", "u20s", config="cellsam")
    assert set(cells_of_runs([ran], read_skips(tmp_path))["status"]) == {"complete", "skipped"}
    forget_skip(tmp_path, "sam3", "tnbc")
    assert read_skips(tmp_path) == [skip]


def test_a_run_in_its_cell():
    result = run(
        "apg", "livecell", msa=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0), config="apg", mark="verified",
        weights="vit_b_lm", trained_on=frozenset({"livecell"}), modality="label_free_cells",
        data_label="LIVECell", scores={"memory": [1e9, 3e9, 2e9, 1e9, 1e9, 1e9]},
    )  # fmt: skip
    (cell,) = cells_of_runs([result]).to_dict("records")
    assert (cell["key"], cell["in_domain"], cell["memory"]) == ("apg_cc", True, 3e9)
    assert (cell["msa"], cell["images"], cell["groups"]) == (pytest.approx(0.65), 6, 6)
    assert cell["msa_low"] < 0.65 < cell["msa_high"]
    (other,) = cells_of_runs([run("apg (min_size=3)", config="apg", altered=True)]).to_dict(
        "records"
    )
    assert other["key"] == "" and pd.isna(other["in_domain"])


def test_a_file_of_ones_own_never_stands_under_the_models_name_alone():
    assert run("apg", weights="user 1a2b", mark="user").method == "apg (user 1a2b)"
    assert run("apg (user 1a2b)", weights="user 1a2b", mark="user").method == "apg (user 1a2b)"
    assert run("apg", weights="vit_b_lm", mark="verified").method == "apg"


# --- beside the study -------------------------------------------------------------------


def own(published, methods=("apg_cc", "ais", "cellsam"), data=("u20s", "dsb"), **changes):
    """Runs that give exactly the study's numbers; `changes` of all of them."""
    rows = published[published["key"].isin(methods) & published["data"].isin(data)]
    made = []
    for r in rows.to_dict("records"):
        about = {**r, "source": "runs", "run": f"{r['key']}-{r['data']}", "mark": "verified",
                 "run_id": f"{r['key']}-{r['data']}", "groups": 9, "images_id": "1"}  # fmt: skip
        made.append(about | changes)
    return cells(made)


def test_the_same_numbers_differ_in_nothing(published):
    found = beside(published, own(published))
    assert len(found) == 6 and (found["delta"] == 0).all()
    assert set(found["differs"]) == {()}
    assert sign_agreement(found, "apg_cc", "ais") == (2, 2)
    correlation = rank_correlation(found)
    assert (correlation.rho, correlation.methods, correlation.sets) == (pytest.approx(1), 3, 2)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"protocol": "clean"}, "protocol"), ({"split": "val"}, "split"),
     ({"weights": "user 1a2b", "mark": "user"}, "weights"), ({"images": 3}, "3 images, theirs 172"),
     ({"status": "partial (3 of 172)"}, "not all images are done")],
)  # fmt: skip
def test_what_differs_is_marked_and_apart_from_what_is_alike(published, change, word):
    runs = own(published, **change)
    found = beside(published, runs).set_index(["data", "key"])["differs"]
    assert word in found["u20s", "apg_cc"]
    numbers, agreement = beside_tables(published, runs)
    assert all("differs" in line[5].marks for line in numbers.rows)
    assert [line[2].text for line in agreement.rows if line[1].text == "all"] == ["n/a", "2 of 2"]


def test_an_unknown_number_of_images_is_said_and_is_no_difference(published):
    runs = own(published, data=("usiigaci",), images=15)
    assert set(beside(published, runs)["differs"]) == {("number of images unknown",)}
    _, agreement = beside_tables(published, runs)
    assert agreement.rows[0][2].text == "1 of 1"


def test_signs_and_ranks_tell_two_sources_apart(published):
    runs = own(published)
    turned = runs.assign(msa=1 - runs["msa"])
    found = beside(published, turned)
    assert sign_agreement(found, "apg_cc", "ais") == (2, 0)
    assert rank_correlation(found).rho == pytest.approx(-1)
    assert np.isnan(rank_correlation(found[found["key"] != "cellsam"]).rho)  # two methods
    assert np.isnan(rank_correlation(found.assign(msa=0.5)).rho)  # nothing to rank


def test_demo_weights_are_beside_the_study_only_where_asked_for(published):
    runs = own(published, mark="demo", weights="demo_vit")
    numbers, _ = beside_tables(published, runs)
    assert not numbers.rows and "with_demo=true" in numbers.notes[-1]
    numbers, _ = beside_tables(published, runs, with_demo=True)
    assert len(numbers.rows) == 6
    assert all("demo" in line[2].marks and "weights" in line[6].text for line in numbers.rows)


def test_methods_that_are_not_the_studys_have_no_delta(published):
    numbers, _ = beside_tables(published, cells([some("otsu"), some("oracle", control=True)]))
    assert [(line[1].text, line[5].text, line[6].text) for line in numbers.rows] == [
        ("oracle", "n/a", "a control"), ("otsu", "n/a", "no method of the study"),
    ]  # fmt: skip


def test_weights_by_their_card():
    assert weights_name("vit_b_histopathology (PathoSAM)") == "vit_b_histopathology"
    assert weights_name("cpsam, digest unconfirmed") == "cpsam"
    assert weights_name("cpsam_v2") == "cpsam_v2"


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
    one, other = cost([run(msa=(0.5,) * 3, scores=scores), run(msa=(0.5,))]).to_dict("records")
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
