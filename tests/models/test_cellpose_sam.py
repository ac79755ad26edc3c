"""Cellpose-SAM: equal to cellpose 4 called as the study did, and never on other weights."""

import inspect
import os
from dataclasses import replace

import numpy as np
import pytest
from helpers.adapters import GREY, ODD, RGB, child, configured, drawn, process_state
from helpers.adapters import valid_or_refused as valid

from benchmark.adapter import missing_libraries
from benchmark.errors import ModelError, UsageError
from benchmark.store.digest import array_digest
from models.cellpose_sam import CellposeSam

if missing_libraries(CellposeSam):
    pytest.skip(f"not here: {missing_libraries(CellposeSam)}", allow_module_level=True)

import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_cellpose import SmallCellposeSam, make_checkpoint, small_encoder

FINDING = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}  # random weights find nothing else


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("cellpose") / "small")


@pytest.fixture(scope="module")
def weights(path):
    return SmallCellposeSam.find_weights(str(path)).fetch()


@pytest.fixture(scope="module")
def model(weights):
    return SmallCellposeSam(weights, **FINDING)


@pytest.fixture(scope="module")
def expected(model):
    return model.predict(GREY)


def upstream(path, image, bfloat16=True, **settings):
    """The study's call, with the checkpoint in the place of the one it downloads."""
    from cellpose import models

    with small_encoder():
        net = models.CellposeModel(
            gpu=torch.cuda.is_available(), pretrained_model=str(path), use_bfloat16=bfloat16
        )
    settings = {"diameter": None} | settings
    return net.eval(image.copy(), channels=[0, 0], **settings)[0]


@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.float32), RGB.astype(np.uint16) * 9])
@pytest.mark.parametrize("bfloat16", [True, False])
def test_equal_to_upstream(path, weights, image, bfloat16):
    labels = SmallCellposeSam(weights, bfloat16=bfloat16, **FINDING).predict(image)
    np.testing.assert_array_equal(labels, upstream(path, image, bfloat16, **FINDING))
    assert len(np.unique(labels)) > 3


@pytest.mark.parametrize(
    "other",
    [{"diameter": 20.0}, {"min_size": 40}, {"cellprob_threshold": 0.0}, {"flow_threshold": 1.0}],
)
def test_every_parameter_reaches_cellpose(path, weights, expected, other):
    labels = SmallCellposeSam(weights, **FINDING | other).predict(GREY)
    np.testing.assert_array_equal(labels, upstream(path, GREY, **FINDING | other))
    assert not np.array_equal(labels, expected)


def test_many_settings_equal_the_single_adapter_and_the_network_runs_once_a_diameter(weights):
    shown = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}  # random weights find nothing else
    settings = [
        {},
        shown,
        shown | {"min_size": 40},
        shown | {"diameter": 45.0},
        {"cellprob_threshold": -5.0, "flow_threshold": 0.0, "bfloat16": False},
        shown,
    ]
    image = GREY[:80, :90]
    model = SmallCellposeSam(weights, bfloat16=False)
    runs = []
    network = model._model.net.forward
    model._model.net.forward = lambda *given: runs.append(1) or network(*given)
    together = list(model.predict_each(image, settings))
    assert len(runs) == 2
    assert together[1] is together[5] and together[1].any()
    for setting, labels in zip(settings, together, strict=True):
        alone = SmallCellposeSam(weights, **{"bfloat16": False} | setting).predict(image)
        assert labels.dtype == alone.dtype and np.array_equal(labels, alone)
    assert len({labels.tobytes() for labels in together}) >= 3
    with pytest.raises(ValueError, match="bfloat16 can't be varied"):
        model.predict_each(image, [{"bfloat16": True}])


def test_defaults_are_upstreams():
    from cellpose.models import CellposeModel

    theirs = inspect.signature(CellposeModel.eval).parameters
    ours = {k: p.default for k, p in inspect.signature(CellposeSam).parameters.items()}
    ours.pop("weights"), ours.pop("device")
    assert (
        ours.pop("bfloat16") is inspect.signature(CellposeModel).parameters["use_bfloat16"].default
    )
    assert ours == {name: theirs[name].default for name in ours}


def test_configuration():
    target, read, first = configured("cellpose_sam")
    assert target == "models.cellpose_sam.CellposeSam" and first.startswith("# ")
    assert read.pop("weights") == "cpsam"
    parameters = inspect.signature(CellposeSam).parameters
    assert read == {name: parameters[name].default for name in list(parameters)[2:]}


@pytest.mark.parametrize("kind", ODD)
def test_odd_images(model, kind):
    labels = valid(model, ODD[kind])
    assert (labels is None) == (kind in ("NaN", "five channels"))
    if kind in ("RGBA", "two channels", "one channel", "uint16", "small"):
        assert labels.max() > 0


def test_no_axis_is_guessed(path, model):
    wide = drawn((40, 60, 3))[:2]  # two rows of three channels: upstream would guess wrongly
    expected = upstream(path, wide, channel_axis=2, **FINDING)
    np.testing.assert_array_equal(model.predict(wide), expected)
    assert model.predict(wide).shape == (2, 60) != upstream(path, wide, **FINDING).shape


def test_alpha_is_ignored(model):
    rgba = np.dstack([RGB, drawn(RGB.shape[:2], seed=9)])
    np.testing.assert_array_equal(model.predict(rgba), model.predict(RGB))


@pytest.mark.slow
def test_large_image(model):
    labels = valid(model, drawn((3000, 2000)))
    assert labels.max() > 100


@pytest.mark.slow
def test_same_in_another_process_left_as_it_was(path, model, expected):
    np.testing.assert_array_equal(model.predict(GREY), expected)
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from helpers.adapters import GREY, process_state\n"
        "from helpers.small_cellpose import SmallCellposeSam as Model\n"
        "from benchmark.store.digest import array_digest\n"
        "before = process_state()\n"
        f"model = Model(Model.find_weights({str(path)!r}).fetch(), **{FINDING})\n"
        "assert process_state() == before, process_state()\n"
        "labels = model.predict(GREY)\n"
        "assert process_state() == before, process_state()\n"
        # Cellpose allows TF32 when it is imported; so it shall have it, but nobody else.
        "with model.predicting(): print(torch.backends.cuda.matmul.allow_tf32)\n"
        "print(array_digest(labels))"
    )
    assert child(code).split()[-2:] == ["True", array_digest(expected)]


def test_process_is_left_as_it_was(model):
    before = process_state()
    model.predict(GREY)
    assert process_state() == before


def test_stages(model):
    model.predict(GREY)
    assert set(model.stages) == {"network", "postprocess"} and min(model.stages.values()) > 0
    assert model.details == {"reproducible": True, "batch_size": 8}


def test_flows_are_not_painted(monkeypatch, model, expected):
    def paint(flows):
        raise AssertionError("painted")

    monkeypatch.setattr("cellpose.plot.dx_to_circ", paint)
    assert np.array_equal(model.predict(GREY), expected)


def out_of_memory_beyond(monkeypatch, model, most):
    net, batches = model._model.net, []
    forward = net.forward

    def limited(tiles):
        batches.append(len(tiles))
        if len(tiles) > most:
            raise torch.OutOfMemoryError("fake")
        return forward(tiles)

    monkeypatch.setattr(net, "forward", limited)
    return batches


def test_batch_is_halved_where_memory_is_short(monkeypatch, weights):
    image = drawn((400, 500), dtype=np.float32)  # six tiles; what is in float32, cellpose changes
    model = SmallCellposeSam(weights, **FINDING)
    expected = model.predict(image)
    batches = out_of_memory_beyond(monkeypatch, model, 2)
    np.testing.assert_array_equal(model.predict(image), expected)
    assert batches == [6, 4, 2, 2, 2]
    assert model.details["batch_size"] == 2 and model.details["batch_size_asked"] == 8


def test_no_memory_at_all(monkeypatch, weights):
    model = SmallCellposeSam(weights)
    out_of_memory_beyond(monkeypatch, model, 0)
    with pytest.raises(ModelError, match="out of memory on cpu even with a batch of one"):
        model.predict(GREY)


def test_other_weights_taken_silently(monkeypatch, tmp_path, weights, path):
    """By another path, as cellpose does for one that it does not find."""
    other = make_checkpoint(tmp_path / "other", seed=1)
    build = SmallCellposeSam._build
    monkeypatch.setattr(SmallCellposeSam, "_build", lambda s, p, **k: build(s, str(other), **k))
    with pytest.raises(ModelError, match=f"cellpose loaded {other} instead of {path}"):
        SmallCellposeSam(weights)


def test_other_values_loaded_silently(monkeypatch, weights, path):
    """Under the right path: one parameter is left as it was made."""
    from cellpose.vit import BaseModel

    load = BaseModel.load_state_dict

    def partly(net, state, strict):
        return load(net, {k: v for k, v in state.items() if k != "out.bias"}, strict=strict)

    monkeypatch.setattr(BaseModel, "load_state_dict", partly)
    with pytest.raises(ModelError, match=f"not {path}.*'out.bias' differs"):
        SmallCellposeSam(weights)


def test_nothing_is_downloaded_for_a_lost_file(monkeypatch, tmp_path, weights):
    import cellpose.models

    monkeypatch.setattr(cellpose.models, "cache_model_path", pytest.fail)
    lost = replace(weights, paths={"weights": tmp_path / "lost"})
    with pytest.raises(FileNotFoundError, match="lost"):
        SmallCellposeSam(lost)


def test_unknown_name():
    with pytest.raises(UsageError, match="cpsamm"):
        CellposeSam.find_weights("cpsamm")


def changed(path, tmp_path, change, **saving):
    """A checkpoint's weights after a change, as a user would give them."""
    state = torch.load(path, weights_only=True)
    file = tmp_path / "changed"
    torch.save(change(state), file, **saving)
    return SmallCellposeSam.find_weights(str(file)).fetch()


def without(*names):
    return lambda state: {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: {"output.2.weight": s["out.weight"]}, "model=cellpose3"),
        (lambda s: s | {"encoder.cls_token": s["out.bias"]}, "model=cellpose_dino"),
        (lambda s: {f"module.{k}": v for k, v in s.items()}, "not of cellpose 4"),
        (lambda s: {"model": s}, "more than parameters"),
        (lambda s: s | {"epoch": 3}, "more than parameters"),
        (lambda s: s | {"out.bias": torch.zeros(7)}, "size mismatch for out.bias"),
        (without("out.bias"), "1 parameters are not in it, such as 'out.bias'"),
    ],
)
def test_other_architectures(path, tmp_path, change, why):
    with pytest.raises(ModelError, match=why) as caught:
        SmallCellposeSam(changed(path, tmp_path, change))
    assert str(tmp_path / "changed") in str(caught.value)


def test_a_format_that_cellpose_does_not_read(path, tmp_path):
    old = changed(path, tmp_path, dict, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match="changed can't be loaded"):
        SmallCellposeSam(old)


def test_unused_parameters_may_be_missing(path, tmp_path, expected):
    weights = changed(path, tmp_path, without("diam_mean", "diam_labels"))
    np.testing.assert_array_equal(SmallCellposeSam(weights, **FINDING).predict(GREY), expected)


def test_weights_are_marked(weights, path):
    assert weights.mark == "untrained"
    assert CellposeSam.find_weights(os.fspath(path)).fetch().mark == "user"


def test_a_device_without_room_is_not_taken_for_another_architecture(monkeypatch, weights):
    for error in (torch.OutOfMemoryError("CUDA"), RuntimeError("MPS backend out of memory")):

        def full(*_, error=error, **__):
            raise error

        monkeypatch.setattr(SmallCellposeSam, "_build", full)
        with pytest.raises(ModelError, match=r"^out of memory on cpu .*loaded"):
            SmallCellposeSam(weights)


def test_a_batch_below_one_is_refused(weights):
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"^batch_size is {value}; .*1 or more"):
            SmallCellposeSam(weights, batch_size=value)
