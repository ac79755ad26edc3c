"""APG's options on the demo weights: equal to micro-sam's own class, called with the same."""

import subprocess
import sys

import numpy as np
import pytest
import yaml
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import study_boundary_prompts

from benchmark.adapter import AdapterInfo
from benchmark.choices import CONFIGS
from benchmark.data.sources.synthetic import draw
from benchmark.errors import ModelError
from models.apg import APG
from models.common.images import to_rgb8
from models.prompting.masks import Way, decode
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import of_points, split


def nuclei(height, width, channels=None, seed=0):
    """Drawn nuclei; with channels, each exposed otherwise."""
    grey = draw("fluorescent_nuclei", seed, seed=0, size=max(height, width))[0][:height, :width]
    grey = (grey // max(int(grey.max()) // 255, 1)).astype(np.uint8)
    return grey if channels is None else np.stack([grey // (1 + c) for c in range(channels)], 2)


IMAGES = {
    "grey": nuclei(128, 128),
    "rgb": nuclei(112, 112, 3, seed=1),
    "wide": nuclei(90, 150, seed=2),
    "high, rgb": nuclei(140, 96, 3, seed=3),
}


@pytest.fixture(scope="module")
def weights():
    return APG.find_weights("demo").fetch()


def upstream(weights, image, **options):
    """Micro-sam's class itself, on the demo network."""
    from micro_sam.instance_segmentation import AutomaticPromptGenerator

    backbone = APG(weights)._backbone
    generator = AutomaticPromptGenerator(backbone.predictor, backbone.decoder)
    generator.initialize(to_rgb8(image), ndim=2)
    return generator.generate(**options)


# What other parameters make them matter for: masks that overlap, and large ones.
CROWDED = {"center_distance_threshold": 0.8, "boundary_distance_threshold": 0.95}


def boundary_maxima(foreground, boundary_distances, foreground_threshold, **_):
    """A prompt function: one point for each maximum."""
    return study_boundary_prompts(foreground, boundary_distances, foreground_threshold)


def two_points(foreground, center_distances, boundary_distances, **thresholds):
    """A prompt function: pairs of a point in the object and one beside it."""
    found = study_boundary_prompts(foreground, boundary_distances)
    points = np.concatenate([found["points"], found["points"] + 9], axis=1)
    return {"points": points, "point_labels": np.tile([1, 0], (len(points), 1))}


def boxes_and_points(foreground, boundary_distances, **_):
    """A prompt function: a box of 20 x 16 pixels around each point, with the point."""
    found = study_boundary_prompts(foreground, boundary_distances)
    middle = found["points"][:, 0]
    foreground[:] = 0  # a function's maps are its own
    half = np.array([10, 8])
    return found | {"boxes": np.concatenate([middle - half, middle + half], axis=1)}


def boxes(foreground, boundary_distances, **_):
    """A prompt function: the boxes alone."""
    found = boxes_and_points(foreground.copy(), boundary_distances)
    return {"boxes": found["boxes"]}


def nothing(**_):
    """A prompt function that finds no prompt."""
    return None


FUNCTIONS = (boundary_maxima, two_points, boxes_and_points, boxes, nothing)
OPTIONS = [
    {"multimasking": True},
    {"intersection_over_min": True, "nms_threshold": 0.6},
    {"mask_threshold": 1.5},
    {"mask_threshold": -1},
    {"refine_with_box_prompts": True},
    {"refine_with_box_prompts": True, "multimasking": True, "mask_threshold": 0.5, "min_size": 60},
    {"refine_with_box_prompts": True, "intersection_over_min": True, "nms_threshold": 0.5},
    *({"prompt_function": function} for function in FUNCTIONS),
    {"prompt_function": boxes, "multimasking": True, "refine_with_box_prompts": True},
]


def cases():
    """Every option on every image; fast, each option on one and each image with several."""
    for number, options in enumerate(OPTIONS):
        for place, image in enumerate(IMAGES):
            fast = place == number % len(IMAGES)
            yield pytest.param(image, options, marks=[] if fast else [pytest.mark.slow])


def named(options):
    function = options.get("prompt_function")
    return options | ({"prompt_function": f"{__name__}.{function.__name__}"} if function else {})


@pytest.mark.parametrize(("image", "options"), list(cases()))
def test_an_option_means_what_it_means_in_micro_sam(weights, image, options):
    options = CROWDED | options
    expected = upstream(weights, IMAGES[image], **options)
    found = APG(weights, **named(options)).predict(IMAGES[image])
    assert found.dtype == expected.dtype == np.uint32
    assert np.array_equal(found, expected)
    assert expected.max() >= 1 or options.get("prompt_function") is nothing


def test_options_are_not_ignored(weights):
    """Else the comparison above would say little."""
    options = (
        {},
        {"multimasking": True},
        {"mask_threshold": 12},
        {"mask_threshold": -12.0},
        {"refine_with_box_prompts": True},
        {"prompt_function": f"{__name__}.boxes"},
    )
    model = APG(weights, **CROWDED)
    found = {labels.tobytes() for labels in model.predict_each(IMAGES["wide"], options)}
    assert len(found) == len(options)


def test_an_automatic_mask_threshold(weights):
    """Micro-sam takes over a gigabyte a mask for it: one of few prompts is compared here."""
    few = {"center_distance_threshold": 0.1}
    expected = upstream(weights, IMAGES["grey"], batch_size=1, mask_threshold="auto", **few)
    model = APG(weights, mask_threshold="auto", **few)
    assert np.array_equal(model.predict(IMAGES["grey"]), expected) and expected.any()
    assert not np.array_equal(APG(weights, **few).predict(IMAGES["grey"]), expected)


def _prompts_of_each_kind(side):
    """What `decode` can be asked for: nine prompts of each kind; masks have a side of their own."""
    rng = np.random.default_rng(2)
    points = rng.integers(0, 120, (9, 2))
    boxes = {"boxes": np.concatenate([points, points + rng.integers(10, 60, (9, 2))], axis=1)}
    pairs = {
        "points": np.stack([points, points[::-1]], axis=1),
        "point_labels": np.tile([1, 0], (9, 1)),
    }
    logits = {"logits_masks": rng.normal(0, 5, (9, 1, side, side))}
    kinds = {"points": of_points(points), "boxes": split(boxes), "pairs": split(pairs)}
    return kinds | {"all": split(pairs | boxes), "masks": split(boxes | logits)}


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        *((kind, Way()) for kind in ("points", "boxes", "pairs", "all", "masks")),
        ("points", Way(multimask=True)),
        ("points", Way(threshold=2.0)),
    ],
)
def test_a_mask_does_not_depend_on_its_neighbours_in_a_batch(weights, kind, way):
    """In a smaller batch, matrix products are rounded otherwise: without padding, this fails."""
    model = APG(weights)
    model.predict(IMAGES["grey"])
    predictor = model._backbone.predictor
    side, _ = predictor.model.prompt_encoder.mask_input_size
    prompts = _prompts_of_each_kind(side)[kind]
    together = decode(PromptableSam(predictor), [(way, prompts)], 8)[0][way]
    for own in (prompts[:1], prompts[4:6], prompts[::-1]):
        pool = decode(PromptableSam(predictor), [(way, own)], 8)[0][way]
        for prompt in own:
            scores = [one.scores[one.numbers[prompt]] for one in (pool, together)]
            assert np.array_equal(*scores, equal_nan=True)
            assert np.array_equal(pool.of(prompt).mask, together.of(prompt).mask)


def test_a_mask_threshold_that_is_none_is_refused(weights):
    with pytest.raises(ValueError, match="'high': give a number, or auto"):
        APG(weights, mask_threshold="high")


# A prompt function


def no_prompts(**_):
    """Not a prompt function: it returns points of another shape."""
    return {"points": np.zeros((3, 2)), "point_labels": np.ones(3)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module.f", "no_such_module.f can't be imported .ModuleNotFoundError"),
        (f"{__name__}.no_such", "can't be imported .AttributeError"),
        ("no_dots", "can't be imported .ValueError"),
        (f"{__name__}.no_prompts", "returned no valid prompts: 'points' has the shape"),
        (f"{__name__}.IMAGES", "is not a function"),
    ],
)
def test_what_is_no_prompt_function_is_refused_as_it_predicts(weights, name, message):
    model = APG(weights, prompt_function=name)
    with pytest.raises(ModelError, match=message):
        model.predict(IMAGES["grey"])


def identity(**changed):
    parameters = {"prompts": "connected_components", "min_size": 25, "batch_size": 32}
    return AdapterInfo.of(APG).in_identity("x", parameters | changed, None)["parameters"]


AS_BEFORE = {
    "multimasking": False,
    "intersection_over_min": False,
    "mask_threshold": None,
    "refine_with_box_prompts": False,
    "prompt_function": None,
}


def test_an_option_as_before_is_left_out_of_the_run_id():
    assert (
        identity(**AS_BEFORE) == identity() == {"prompts": "connected_components", "min_size": 25}
    )
    for name, value in (
        ("multimasking", True),
        ("intersection_over_min", True),
        ("mask_threshold", 0.5),
        ("mask_threshold", "auto"),
        ("refine_with_box_prompts", True),
    ):
        assert identity(**AS_BEFORE | {name: value}) == identity() | {name: value}


def test_options_are_parameters_of_the_yamls_as_before():
    for name in ("apg", "apg_boundary"):
        written = yaml.safe_load((CONFIGS / "model" / f"{name}.yaml").read_text())
        assert {key: written[key] for key in AS_BEFORE} == AS_BEFORE


def test_the_code_of_a_prompt_function_is_part_of_the_run_id_and_is_not_imported(
    tmp_path, monkeypatch
):
    """Nor is the package that it is in; what it imports beside it counts as well."""
    package = tmp_path / "own_prompts"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "better.py").write_text(
        "from own_prompts import beside\n\ndef f(): return beside.X\n"
    )
    (package / "beside.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = identity(prompt_function="own_prompts.better.f")["prompt_function"]
    assert found["name"] == "own_prompts.better.f"
    assert sorted(found["code"]) == [
        f"own_prompts/{n}.py" for n in ("__init__", "beside", "better")
    ]
    assert "own_prompts" not in sys.modules
    (package / "beside.py").write_text("X = 1  # as before\n")
    assert identity(prompt_function="own_prompts.better.f")["prompt_function"] == found
    (package / "beside.py").write_text("X = 2\n")
    assert identity(prompt_function="own_prompts.better.f")["prompt_function"] != found


def test_a_prompt_function_in_the_working_directory(tmp_path):
    (tmp_path / "myprompts.py").write_text(
        "import numpy as np\n\n\n"
        "def middle(foreground, **_):\n"
        "    points = np.array([[[side // 2 for side in foreground.shape[::-1]]]])\n"
        "    return {'points': points, 'point_labels': np.ones((1, 1))}\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmark", "model=demo_apg", "data=nuclei_demo", "limit=1",
         "model.prompt_function=myprompts.middle", "results=results", "datasets=datasets",
         "threads=1", "device=cpu"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [run] = (tmp_path / "results" / "runs").iterdir()
    assert "myprompts.middle" in (run / "run.json").read_text()
    code = "import sys; from benchmark.cli.main import main; main(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "action=report", "source=runs", "results=results"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'benchmark.report.frame'" in done.stdout and "'myprompts'" not in done.stdout
