"""The study's numbers as data: all of them, as they were reported, and nothing made up."""

import csv
import itertools
import json

import numpy as np
import pytest
from helpers.study_tables import row

from benchmark.choices import CONFIGS
from benchmark.errors import StoreError
from benchmark.paper.card import PUBLISHED, study_card
from benchmark.paper.published import published_frame
from benchmark.report.frame import DTYPES, check_frame, frame_of_rows
from benchmark.report.training import trained_on


@pytest.fixture(scope="module")
def published():
    """The study's rows, named by its configurations' keys."""
    card = study_card()
    key_of = {card.name_of(key): key for key in card.configurations}
    frame = published_frame()
    return frame.assign(key=frame["key"].map(key_of))


@pytest.fixture(scope="module")
def written():
    with (PUBLISHED / "msa.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_number_is_the_one_that_is_written(published, written):
    assert len(written) == 36 * 11
    by_key = published.set_index(["key", "data"])["score"]
    for line in written:
        key = study_card().key_of_column(line["method"], line["setting"])
        msa = by_key[key, line["dataset"]]
        assert (np.isnan(msa) and line["msa"] == "") or msa == float(line["msa"])


def test_what_is_not_reported_has_no_number(published):
    silent = published[published["status"] == "not reported"]
    assert silent["score"].isna().all() and silent["images"].isna().all()
    without = silent["key"].value_counts()
    assert without["sam2"] == 36 and without.sum() - 36 == 19
    # As the card says of them.
    assert all("apg_bd" in key or "grid_search" in key for key in without.index.drop("sam2"))
    assert (published.loc[published["status"] == "complete", "score"] >= 0).all()


def test_what_the_authors_did_not_flag_is_unknown_and_not_out_of_domain(published):
    unflagged = published[published["key"].isin(["apg_bd", "apg_bd_grid_search"])]
    assert len(unflagged) == 2 * 36 and unflagged["in_domain"].isna().all()
    assert published.loc[published["key"] == "apg_cc", "in_domain"].notna().all()


def test_flags_are_the_authors(published, written):
    flagged = {(line["dataset"], line["method"], line["setting"])
               for line in written if line["flagged_in_domain"] == "1"}  # fmt: skip
    made = study_card().configurations
    ours = published[published["in_domain"].fillna(False)]
    assert {(r.data, made[r.key].method, made[r.key].setting) for r in ours.itertuples()} == flagged
    assert published.loc[published["key"] == "sam2", "in_domain"].isna().all()


def test_names_and_modalities_are_those_of_our_data_sets(published):
    from omegaconf import OmegaConf

    for one in published.drop_duplicates("data").itertuples():
        config = OmegaConf.load(CONFIGS / "data" / f"{one.data}.yaml")
        assert (config.title, config.modality) == (one.data_label, one.modality)
    assert dict(published.drop_duplicates("data")["modality"].value_counts()) == dict.fromkeys(
        ("label_free_cells", "fluorescence_cells", "fluorescence_nuclei", "histopathology"), 9
    )


def test_each_configuration_has_a_model_here_with_its_weights():
    from omegaconf import OmegaConf

    for made in study_card().configurations.values():
        assert bool(made.tuned) == (made.setting == "grid_search")
        model = OmegaConf.to_container(OmegaConf.load(CONFIGS / "model" / f"{made.model}.yaml"))
        assert model["weights"] == made.weights, made.key
        for modality in ("histopathology", "organoids"):
            assert trained_on(made.weights_for(modality)) is not None


def test_numbers_of_images_are_of_data_sets_of_the_study(published):
    from omegaconf import OmegaConf

    assert set(study_card().images) <= set(published["data"])
    for data, count in study_card().images.items():
        config = OmegaConf.load(CONFIGS / "data" / f"{data}.yaml")
        assert config.known_images == {"test": count}, "a report names images that are missing"
    assert set(study_card().tie_order) <= set(study_card().configurations)


def test_a_key_belongs_to_one_model():
    card = study_card()
    names = {key: card.name_of(key) for key in card.configurations}
    assert len(set(names.values())) == len(names)
    assert names["apg_cc"] == "apg" and names["ais"] == "musam_ais"
    tuned = [f"{model} tuned study msa best" for model in ("apg", "apg_boundary")]
    assert [names["apg_cc_grid_search"], names["apg_bd_grid_search"]] == tuned
    assert card.variants == dict.fromkeys(("apg_boundary", *tuned), "apg")
    labels = [made.label for made in card.configurations.values()]
    assert len(set(labels)) == len(labels)


def test_training_data_is_known_from_cards_alone(tmp_path):
    assert "livecell" in trained_on("vit_b_lm") and "orgasegment" in trained_on("vit_b_lm")
    assert "usiigaci" not in trained_on("vit_b_lm")
    assert trained_on("user 1a2b3c4d") is trained_on("../cards/vit_b_lm") is None
    (tmp_path / "silent.yaml").write_text("family: x\n")
    assert trained_on("silent", tmp_path) is None


# --- the frame --------------------------------------------------------------------------


def test_the_frame_has_its_types_even_when_empty():
    for rows in ([], [row()]):
        frame = frame_of_rows(rows)
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert json.loads(frame_of_rows([row()]).to_json(orient="records"))[0]["score"] == 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"source": "else"}, {"modality": "fluo_cells"}, {"status": "done"}, {"score": np.inf},
     {"status": "skipped", "score": np.nan}, {"reason": "why"}, {"mark": "untrained"},
     {"status": "not reported", "score": 0.0}],
)  # fmt: skip
def test_wrong_cells_are_refused(wrong):
    with pytest.raises(ValueError, match="wrong"):
        frame_of_rows([row(**wrong)])


def test_a_missing_column_is_refused():
    with pytest.raises(ValueError, match="missing"):
        check_frame(frame_of_rows([row()]).drop(columns="score"))


def test_a_run_that_lies_in_two_folders_is_refused_by_their_names():
    with pytest.raises(StoreError, match=r"more than once \(copy, otsu-u20s\)"):
        frame_of_rows([row(run_id="abc", run="otsu-u20s"), row(run_id="abc", run="copy")])
    others = [row(run_id=a, protocol=b) for a, b in itertools.product("ab", "cd")]
    assert len(frame_of_rows(others)) == 4
