"""`precision` of the SAM family's adapters: a named switch that is recorded, and undone."""

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.runs import do, drawn, make_job
from helpers.sam_family import ADAPTERS, BUILD, EVERY, needs_sam2, prompted
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_sam3 import needs_sam3

from benchmark.adapter import AdapterInfo, check_settings
from benchmark.choices import CONFIGS
from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError
from benchmark.report.results import is_altered
from benchmark.scoring.match import match
from benchmark.store.identity import run_id
from models.apg import APG
from models.common.cache import Cache
from models.common.precision import Precision, keep_places_exact
from models.common.torch_adapter import TorchAdapter
from models.musam import AIS
from models.prompted import PromptedMicroSam
from models.prompting.promptable import PromptableSam3

IMAGE = draw("fluorescent_nuclei", 1, seed=0, size=160)[0]


def state():
    backends = torch.backends
    return (
        backends.cuda.matmul.allow_tf32,
        backends.cudnn.allow_tf32,
        torch.is_autocast_enabled("cpu"),
    )


@pytest.fixture(params=[(8, 0), (9, 0)], ids=str)
def ampere(request, monkeypatch):
    """As on a GPU with TF32, as far as an adapter asks; nothing can be computed on it."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: request.param)


@pytest.fixture(params=[(False, True), (True, False)], ids=str)
def outside(request):
    """What other code of the process has allowed."""
    before = state()
    _set(*request.param)
    yield request.param
    _set(*before[:2])


def _set(matmul, cudnn):
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


@pytest.fixture
def older(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")


def shared(wanted, found):
    """The share of the foreground that is in the same objects."""
    pairs = match(wanted, found)
    foreground = np.count_nonzero((wanted > 0) | (found > 0))
    return pairs.intersection[pairs.iou > 0.5].sum() / foreground


@pytest.mark.parametrize("adapter", [APG, AIS])
def test_bfloat16_gives_close_labels_that_are_recorded(adapter):
    weights = adapter.find_weights("demo").fetch()
    plain = adapter(weights).predict(IMAGE)
    model = adapter(weights, precision="bfloat16")
    found = model.predict(IMAGE)
    assert model.details["precision"] == "bfloat16"
    assert not np.array_equal(found, plain) and shared(plain, found) > 0.98


EVERYONE = [
    *EVERY,
    pytest.param("prompted_sam2", marks=needs_sam2),
    pytest.param("prompted_sam3", marks=needs_sam3),
]


def _build(name, request, **given):
    masks = name.partition("prompted_")[2]
    return prompted(masks, request, **given) if masks else BUILD[name](request, **given)


@pytest.mark.parametrize("name", EVERYONE)
def test_every_adapter_computes_in_bfloat16_and_gives_float32(name, request, monkeypatch):
    seen = []
    torch_linear = torch.nn.functional.linear

    def linear(*args):
        made = torch_linear(*args)
        seen.append(made.dtype)
        return made

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    model = _build(name, request, precision="bfloat16")
    before = state()
    labels = model.predict(IMAGE)
    assert labels.shape == IMAGE.shape and state() == before
    assert torch.bfloat16 in seen
    assert model.details["precision"] == "bfloat16"
    seen.clear()
    plain = _build(name, request)
    plain.predict(IMAGE)
    assert torch.bfloat16 not in seen and "precision" not in plain.details


def test_default_and_bfloat16_do_not_disturb_each_other(request, tmp_path):
    expected = {p: _apg(p, tmp_path / p).predict(IMAGE) for p in ("default", "bfloat16")}
    assert not np.array_equal(*expected.values())
    kept = []  # of the same backbone, and of the same cache
    for precision in ("default", "bfloat16", "default", "bfloat16", "default"):
        model = _apg(precision, tmp_path / "both")
        kept.append(model)
        assert np.array_equal(model.predict(IMAGE), expected[precision])
        model.cache.finish()
    for precision in ("bfloat16", "default"):
        model = _apg(precision, tmp_path / "both")
        model._backbone._last.clear()
        assert np.array_equal(model.predict(IMAGE), expected[precision]) and model.cached
    assert len({id(model._backbone) for model in kept}) == 1


def _apg(precision, cache):
    model = APG(APG.find_weights("demo").fetch(), precision=precision)
    model.cache = Cache(cache, 10**9)
    return model


@pytest.mark.parametrize(
    ("name", "expected"),
    [("default", None), ("float32", (False, False)), ("tf32", (True, True)), ("bfloat16", None)],
)
def test_it_is_set_within_and_undone_after(name, expected, outside, ampere):
    is_cast = name == "bfloat16"  # on a CPU, as torch switches it off where there is no GPU
    model = TorchAdapter("cpu" if is_cast else "cuda", precision=name)
    for _ in range(2):  # what was set does not stay in the state that is kept for the library
        with model.predicting():
            assert state() == (*(expected or outside), is_cast)
            with model.precision.suspended():
                assert state() == (*outside, False)
            assert state() == (*(expected or outside), is_cast)
        assert state() == (*outside, False)
    with pytest.raises(KeyError), model.predicting():
        raise KeyError
    assert state() == (*outside, False)


@pytest.mark.parametrize("name", ["float32", "tf32"])
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_tf32_is_refused_where_there_is_none(name, device):
    with pytest.raises(ValueError, match=rf"'{name}'.*device={device} does not have"):
        Precision(name, device)


@pytest.mark.parametrize("name", ["float32", "tf32", "bfloat16"])
def test_older_gpus_are_refused_by_name(name, older):
    with pytest.raises(ValueError, match=rf"'{name}'.*8.0 .*Tesla T4 has 7.5"):
        Precision(name, "cuda")
    Precision("default", "cuda")


def test_bfloat16_is_refused_on_mps_and_no_such_precision_anywhere():
    with pytest.raises(ValueError, match="device=mps does not have"):
        Precision("bfloat16", "mps")
    with pytest.raises(ValueError, match="'half': give one of default, float32, tf32, bfloat16"):
        Precision("half", "cpu")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_run_ids_of_before_stay_and_others_differ(adapter):
    info = AdapterInfo.of(adapter)
    before = info.in_identity("x", {"min_size": 3}, None)
    assert info.in_identity("x", {"min_size": 3, "precision": "default"}, None) == before
    for name in ("float32", "tf32", "bfloat16"):
        found = info.in_identity("x", {"min_size": 3, "precision": name}, None)
        assert found["parameters"] == {"min_size": 3, "precision": name}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_setting_of_a_built_adapter_names_it(adapter):
    with pytest.raises(UsageError, match="names 'precision'"):
        check_settings(adapter, [{"precision": "bfloat16"}])


def test_a_run_is_another_one_recorded_and_no_method_of_the_study(tmp_path):
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.load(CONFIGS / "model" / "apg.yaml"))
    given = {k: v for k, v in config.items() if k not in ("name", "_target_")}
    given |= {"target": config["_target_"], "weights": "demo", "data": drawn(size=96), "limit": 1}
    plain = make_job(tmp_path, **given)
    job = make_job(tmp_path, **given | {"precision": "bfloat16"})
    assert run_id(job.identity) != run_id(plain.identity)
    assert do(job).complete
    assert {one.details["precision"] for one in job.store.records().values()} == {"bfloat16"}
    altered = [is_altered("apg", each.identity, {}) for each in (plain, job)]
    assert altered == [False, True]


def test_a_precision_that_the_device_lacks_is_one_message(tmp_path):
    job = make_job(tmp_path, target="models.apg.APG", weights="demo", precision="tf32")
    with pytest.raises(UsageError, match="precision is 'tf32', which device=cpu does not have"):
        job.load_model()


class Watching:
    """A source that is a segmenter of its own; it sees how torch would compute for it."""

    def __init__(self):
        self.seen = None

    def predict(self, image):
        self.seen = state()
        return np.zeros(image.shape[:2], np.uint8)


def test_a_source_of_prompts_is_computed_as_by_itself():
    source = Watching()
    weights = PromptedMicroSam.find_weights("demo").fetch()
    model = PromptedMicroSam(weights, source, precision="bfloat16")
    model.predict(IMAGE)
    assert source.seen == state()


def _sam():
    from models.demo.network import build_sam

    return build_sam().prompt_encoder.pe_layer, "_pe_encoding"


def _sam2():
    pytest.importorskip("sam2")
    from sam2.modeling.position_encoding import PositionEmbeddingRandom

    return PositionEmbeddingRandom(16), "_pe_encoding"


def _sam3():
    from transformers import Sam3TrackerPromptEncoderConfig
    from transformers.models.sam3_tracker.modeling_sam3_tracker import (
        Sam3TrackerPositionalEmbedding,
    )

    return Sam3TrackerPositionalEmbedding(Sam3TrackerPromptEncoderConfig()), "forward"


@pytest.mark.parametrize("build", [_sam, _sam2, pytest.param(_sam3, marks=needs_sam3)])
def test_codes_of_places_stay_in_float32(build):
    module, method = build()
    places = torch.rand(2, 3, 5, 2)
    expected = getattr(module, method)(places)
    with Precision("bfloat16", "cpu").applied():
        rounded = getattr(module, method)(places)
    keep_places_exact(module)
    with Precision("bfloat16", "cpu").applied():
        exact = getattr(module, method)(places)
    assert torch.equal(exact, expected) and not torch.equal(rounded.float(), expected)
    assert torch.equal(getattr(module, method)(places), expected)


@pytest.mark.parametrize("name", EVERYONE)
def test_every_promptable_model_has_them(name, request):
    if name == "sam3":
        pytest.skip("it is prompted by words; its boxes are no places of this kind")
    model = _build(name, request)
    promptable = getattr(model, "_model", None)
    if name == "sam2":
        network = model._predictor.model
    elif isinstance(promptable, PromptableSam3):
        network = promptable._model
    else:
        network = getattr(model, "_backbone", promptable).predictor.model
    classes = {"PositionEmbeddingRandom", "Sam3TrackerPositionalEmbedding"}
    codes = [module for module in network.modules() if type(module).__name__ in classes]
    assert codes
    for module in codes:
        assert {"_pe_encoding", "forward"} & vars(module).keys()
