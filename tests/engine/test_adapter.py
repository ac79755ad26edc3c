"""What an adapter's class and its instances say about themselves, read in one place."""

import ast
from pathlib import Path

import numpy as np
import pytest

from benchmark.adapter import AdapterInfo, PredictionInfo, find_class, missing_libraries
from benchmark.errors import ModelError, UsageError
from benchmark.types import Attending, Segmenter
from models.controls import Oracle
from models.musam import AIS, AMG, SamAMG

ENGINE = Path(__file__).parents[2] / "benchmark"


class Plain:
    def predict(self, image):
        return np.zeros(image.shape[:2], int)


def declaring(**attributes):
    return type("Declaring", (Plain,), attributes)


def test_a_class_with_predict_alone_is_an_adapter():
    assert AdapterInfo.of(Plain) == AdapterInfo()
    assert PredictionInfo.of(Plain()) == PredictionInfo({}, {}, {}, {})
    assert isinstance(Plain(), Segmenter) and not isinstance(Plain(), Attending)
    assert missing_libraries(Plain) is None


def test_class_attributes_are_read_inherited_ones_as_well():
    info = AdapterInfo.of(SamAMG)
    assert info.requires == ("micro-sam>=1.8,<2",) and info.devices == ("cuda", "mps", "cpu")
    assert info.execution == ("batch_size",) and AdapterInfo.of(AIS).execution == ()
    assert {"weights", "device", "cache"} <= set(info.parameters)
    assert info.find_weights is not None
    assert info.find_weights("sam_vit_b", None, False).about().name == "sam_vit_b"
    assert AdapterInfo.of(AMG).find_weights("vit_b_lm", None, False).about().name == "vit_b_lm"
    assert AdapterInfo.of(Oracle).control and AdapterInfo.of(Oracle).sees_truth
    assert isinstance(Oracle(), Attending)


@pytest.mark.parametrize("several", [("a", "b"), ["a", "b"]])
def test_several_names_may_be_a_list(several):
    assert AdapterInfo.of(declaring(libraries=several)).libraries == ("a", "b")


def test_a_version_may_be_text():
    assert AdapterInfo.of(declaring(version="2.1")).version == "2.1"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("libraries", "numpy", "a tuple of strings"),
        ("requires", "numpy>=1", "a tuple of strings"),
        ("execution", "batch_size", "a tuple of strings"),
        ("max_channels", "3", "a whole number"),
        ("devices", "cpu", "a tuple of strings"),
        ("devices", (0,), "a tuple of strings"),
        ("devices", ("cpu", "tpu"), "'tpu'; valid are cpu, cuda, mps"),
        ("requires", ("numpy >",), "'numpy >'"),
        ("install", ("pip", "install"), "text"),
        ("version", 1.5, "a whole number or text"),
        ("version", True, "a whole number or text"),
        ("version", property(lambda self: 1), "a whole number or text"),
        ("control", "yes", "true or false"),
        ("sees_truth", 1, "true or false"),
        ("find_weights", "vit_b_lm", "a static or class method"),
        ("identity", {}, "a static or class method"),
    ],
)
def test_an_attribute_of_another_type_is_one_message(name, value, wanted):
    with pytest.raises(ModelError, match=f"Declaring.{name} ") as error:
        AdapterInfo.of(declaring(**{name: value}))
    assert wanted in str(error.value)


def test_a_class_without_a_signature_has_no_parameters():
    class Foreign(Plain):
        __signature__ = "none"

    assert AdapterInfo.of(Foreign).parameters == ()


def test_what_an_instance_says_is_plain_numbers():
    model = Plain()
    model.stages = {"encode": np.float32(0.5)}
    model.cached = {"encode": 1}
    model.stage_memory = {"encode": {"host": np.int64(7)}}
    model.details = {"batch_size": 4}
    info = PredictionInfo.of(model)
    assert (info.stages, info.cached) == ({"encode": 0.5}, {"encode": 1.0})
    assert type(info.stages["encode"]) is float
    assert type(info.stage_memory["encode"]["host"]) is int
    assert info.details == {"batch_size": 4} and info.details is not model.details


@pytest.mark.parametrize("kind", ["stages", "cached"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_seconds_are_finite(kind, seconds):
    model = Plain()
    setattr(model, kind, {"encode": seconds})
    with pytest.raises(ValueError, match=f"its {kind} are"):
        PredictionInfo.of(model)


def test_nobody_else_asks_an_adapter_for_its_attributes():
    """Else a name would be looked up that no check has seen."""
    derived = {"parameters", "as_before"}  # of the constructor, not attributes
    names = {"attend", *AdapterInfo.__annotations__, *PredictionInfo.__annotations__} - derived
    for path in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
                asked = node.args[1]
                assert not isinstance(asked, ast.Constant) or asked.value not in names, path


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Model:\n    def predict((self): ...\n", ("SyntaxError", "line 2")),
        ("x = 1\ny = x / 0\n", ("ZeroDivisionError", "line 2")),
        ("x = undefined\n", ("NameError", "undefined", "line 1")),
        ("import no_such_library\n", ("no_such_library",)),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_without_a_traceback(
    tmp_path, monkeypatch, source, said
):
    (tmp_path / "broken_model.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as error:
        find_class("broken_model.Model")
    assert all(text in str(error.value) for text in ("broken_model.Model", *said))
