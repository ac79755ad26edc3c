"""The demo weights: trained, so that a swapped axis or a misplaced prompt shows."""

import json

import numpy as np
import pytest
from demo.checks import accuracy, load, stages, symmetry
from demo.pictures import EXCLUDED
from helpers.adapters import one_thread as one_thread
from helpers.command_line import main, main_process
from helpers.data_sets import composed_whole

from benchmark.data.sources.folder import PackagedNuclei
from benchmark.data.sources.synthetic import draw
from benchmark.data.transforms import apply
from models.weights.card import PACKAGED, cards

# Seen with the weights on the card; another processor's arithmetic moves single objects.
PINNED = {"ais": 0.530, "apg": 0.539, "amg": 0.265}
PINNED_FIRST_TILE = 0.492  # of APG
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def tiles():
    """The packaged real image, as `nuclei_demo` has it: (image, labels) of four tiles."""
    [raw] = PackagedNuclei().items("test")
    image, labels = raw.read()
    parts = apply([{"tiles": {"rows": 2, "columns": 2}}], image, labels)
    return [(image, labels) for _, image, labels in parts]


@pytest.mark.parametrize(
    "mode", ["ais", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("apg", "amg"))]
)
def test_each_mode_scores_on_the_packaged_image_what_it_did(tiles, mode):
    model = load(mode)
    scores = [accuracy(labels, model.predict(image)) for image, labels in tiles]
    assert np.mean(scores) == pytest.approx(PINNED[mode], abs=TOLERANCE)


# Seen here: AIS 0.87 to 0.91, APG 0.85 to 0.86; scripts/check_demo_weights.py has more images. A
# swapped axis, or prompts beside their objects, would leave next to nothing.
@pytest.mark.parametrize(
    ("mode", "number", "least"),
    [
        ("ais", 1, 0.8),
        pytest.param("ais", 4, 0.8, marks=pytest.mark.slow),
        pytest.param("apg", 4, 0.75, marks=pytest.mark.slow),
    ],
)
def test_turned_images_give_turned_labels(tiles, mode, number, least):
    """Random weights could not show a swapped axis: what they find means nothing either way."""
    found = symmetry(load(mode), [image for image, _ in tiles[:number]])
    assert min(found.values()) > least, found


@pytest.mark.slow
def test_taking_apg_apart_starts_from_what_it_gives(tiles):
    model = load("apg")
    found = stages(model, tiles[:1])
    [(image, labels)] = tiles[:1]
    score = accuracy(labels, model.predict(image))
    assert score == pytest.approx(PINNED_FIRST_TILE, abs=TOLERANCE)
    assert found["as it is"] == pytest.approx(score, abs=0.01)
    assert found["as it is"] < found["true masks"] <= 1 and 0 < found["mask IoU"] < 1


def test_other_kinds_of_images_give_something_sensible():
    for style, least in (("bright_field_organoids", 0.5), ("phase_contrast_cells", 0.3)):
        drawn = [draw(style, index, 0) for index in range(2)]
        scores = [accuracy(labels, load("ais").predict(image)) for image, labels in drawn]
        assert np.mean(scores) > least, style


@pytest.mark.parametrize(
    ("small", "published", "others"),
    [
        ("demo_apg", "apg", {}),
        ("demo_apg_boundary", "apg_boundary", {}),
        ("demo_ais", "musam_ais", {}),
        ("demo_amg", "musam_amg", {"points_per_side": 16}),
    ],
)
def test_entries_differ_from_the_published_ones_by_their_weights(small, published, others):
    own, other = (composed_whole(f"model={name}")["model"] for name in (small, published))
    assert {k: v for k, v in own.items() if v != other[k]} == {"weights": "demo", **others}
    assert own.keys() == other.keys()


def test_the_card_says_what_they_are():
    card = cards("musam")["demo"]
    assert card.mark == "demo" and card.title == "no published model"
    assert "no published model" in card.notes and "BBBC038" in card.notes
    logs = json.loads((PACKAGED / "demo" / "parts.json").read_text())
    # Each part began with what the one before it ended with.
    digests = [log["digest"] for log in logs]
    assert [log["settings"].get("start", "") for log in logs] == ["", *digests[:-1]]
    assert digests[-1] == card.files["weights"].digest
    assert all(revision in card.notes for log in logs for revision in log["revisions"])


def test_the_list_of_training_images_has_none_that_is_scored():
    images = json.loads((PACKAGED / "demo" / "images.json").read_text())
    assert len(images["training"]) > 300
    assert not set(images["training"]) & set(images["validation"])
    for name in (*images["training"], *images["validation"]):
        assert name[:12] not in EXCLUDED


@pytest.mark.parametrize("run", [main, pytest.param(main_process, marks=pytest.mark.slow)])
def test_the_default_run_is_apg_with_the_demo_weights(tmp_path, run):
    """What the README's first command does."""
    done = run(tmp_path, "limit=1")
    assert done.returncode == 0, done.stderr
    assert "demo (no published model)" in done.stdout and "nuclei_demo" in done.stdout
    [run] = (tmp_path / "results" / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["weights"]["mark"] == "demo"
    assert list((run / "report" / "overlays").glob("*.png"))
