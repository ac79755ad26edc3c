"""The contract test fails on each kind of broken adapter, in a `--config-dir` of a stranger's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import contract

MODULE = """
import numpy as np
from scipy import ndimage


class Good:
    version = 1
    libraries = ("numpy", "scipy")
    requires = ("scipy>=1",)
    execution = ("batch_size",)

    def __init__(self, level: float = 1.0, batch_size: int = 4):
        self.level = level

    def predict(self, image):
        grey = image if image.ndim == 2 else image.mean(axis=2)
        return ndimage.label(grey > self.level * grey.mean())[0]


class Plain:
    def predict(self, image):
        return np.zeros(image.shape[:2], int)


class GreyOnly(Good):
    def predict(self, image):
        if image.ndim != 2:
            raise ValueError("only grey images are segmented")
        return super().predict(image)


class Chance(Good):
    def predict(self, image):
        labels = super().predict(image)
        return np.random.default_rng().permutation(labels)


class HonestChance(Chance):
    details = {"reproducible": False}


class Seeded(Good):
    def predict(self, image):
        return np.random.permutation(super().predict(image))


class Remembering(Good):
    before = 0

    def predict(self, image):
        labels = np.roll(super().predict(image), self.before, axis=0)
        self.before = image.ndim
        return labels


class Float(Good):
    def predict(self, image):
        return super().predict(image).astype(float)


class Shape(Good):
    def predict(self, image):
        return super().predict(image)[1:]


class Deep(Good):
    def predict(self, image):
        return super().predict(image)[None]


class Negative(Good):
    def predict(self, image):
        return super().predict(image) - 1


class Nothing(Good):
    def predict(self, image):
        super().predict(image)


class Mutating(Good):
    def predict(self, image):
        labels = super().predict(image)
        image //= 2
        return labels


class MutatingFloats(Good):
    def predict(self, image):
        labels = super().predict(image)
        if image.dtype.kind == "f":
            image -= image.mean()
        return labels


class Undeclared(Plain):
    def __init__(self):
        import no_such_library


class Unlinked(Plain):
    def __init__(self):
        raise ImportError("libtorch.so: cannot open shared object file")


class UnlinkedByTorch(Plain):
    def __init__(self):
        raise OSError("libtorch.so: cannot open shared object file")


class Declared(Undeclared):
    requires = ("no-such-library>=2",)
    install = "pip install no-such-library"


class Letters(Good):
    requires = "scipy>=1"


class Unloadable(Plain):
    def __init__(self):
        raise ValueError("the weights are missing")


class Crashing(Good):
    def predict(self, image):
        return super().predict(image[:, :, 0][image[:, :, 1] > 0])


class Refusing(Good):
    def predict(self, image):
        raise ValueError("too small")


class Peeking(Good):
    def attend(self, sample):
        self.truth = sample.labels

    def predict(self, image):
        return self.truth


class Blind(Good):
    sees_truth = True


class Timeless(Good):
    def predict(self, image):
        self.stages = {"encode": float("nan")}
        return super().predict(image)


class Talking(Good):
    def predict(self, image):
        self.details = {"features": image}
        return super().predict(image)


class Misspelt(Good):
    execution = ("batchsize",)


class Weightless(Good):
    @staticmethod
    def find_weights(chosen, folder, unpickle): ...


class Moody(Good):
    @classmethod
    def identity(cls, parameters):
        return {"mood": np.random.default_rng().random()}


class Unwritable(Good):
    @classmethod
    def identity(cls, parameters):
        return {"array": np.zeros(3)}


class Sharing(Good):
    def predict_each(self, image, settings):
        for setting in settings:
            yield Sharing(**({"level": self.level} | setting)).predict(image)


class Moving(Sharing):
    def predict_each(self, image, settings):
        for number, labels in enumerate(super().predict_each(image, settings)):
            yield np.roll(labels, number, axis=0)


class Brief(Sharing):
    def predict_each(self, image, settings):
        yield from super().predict_each(image, settings[:1])


class Staged(Good):
    row = 0

    def segment_stages(self, image):
        from types import SimpleNamespace as Of

        labels = self.predict(image)
        masks = [Of(mask=labels == n, row=self.row, column=0) for n in range(1, labels.max() + 1)]
        points = np.zeros((len(masks), 1, 2))
        return Of(
            prompts=Of(points=points, point_labels=None, boxes=None),
            first=Of(masks=masks), refined=None, kept=np.arange(len(masks)), labels=labels,
        )


class Elsewhere(Staged):
    row = 3


class Another(Staged):
    def segment_stages(self, image):
        stages = super().segment_stages(image)
        stages.labels = stages.labels * 2
        return stages


class Tiling(Good):
    def predict_tiled(self, image, tile, halo):
        return self.predict(image)


class TilingSmaller(Tiling):
    def predict_tiled(self, image, tile, halo):
        return super().predict_tiled(image, tile, halo)[:-1]


class TilingOver(Tiling):
    def predict_tiled(self, image, tile, halo):
        image[:] = 0
        return super().predict_tiled(image, tile, halo)


class TilingByChance(Tiling):
    def predict_tiled(self, image, tile, halo):
        labels = super().predict_tiled(image, tile, halo)
        return np.random.default_rng().permutation(labels)


class Adding(Good):
    added = ("levels",)


class Idle:
    pass
"""

BROKEN = {
    "Chance": "two predictions of 'grey' from one seed differ",
    "Remembering": "two predictions of 'grey' from one seed differ",
    "Float": "predict returned an array of shape (96, 72), float64: not integers",
    "Shape": "predict returned an array of shape (95, 72)",
    "Deep": "predict returned an array of shape (1, 96, 72)",
    "Negative": "predict returned negative ids (smallest -1)",
    "Nothing": "predict returned NoneType, not a numpy array",
    "Mutating": "on the sample 'grey' ((96, 72), uint8), predict changed its image",
    "MutatingFloats": "on the sample 'float32' ((96, 72), float32), predict changed its image",
    "Undeclared": "needs a library that is not installed: No module named 'no_such_library'",
    "Unlinked": "needs a library that is installed, but can't be loaded: libtorch.so",
    "UnlinkedByTorch": "OSError: libtorch.so: cannot open",
    "Letters": "Letters.requires is 'scipy>=1'; it must be a tuple of strings",
    "Unloadable": "the weights are missing",
    "Crashing": "predict raised IndexError",
    "Refusing": "it refuses all of 5 images, the last one by: too small",
    "Peeking": "its labels of 'grey' depend on the truth: set `sees_truth = True`",
    "Blind": "it has `sees_truth`, and no `attend`",
    "Timeless": "its stages are {'encode': nan}, but seconds are finite",
    "Talking": "Object of type ndarray is not JSON serializable",
    "Misspelt": "`execution` names batchsize, which the constructor does not take",
    "Weightless": "it has `find_weights`, and its constructor takes no `weights`",
    "Moody": "its `identity` gives something else each time",
    "Unwritable": "can't be written as JSON",
    "Moving": "predict_each of 'grey' with {} differs from predict",
    "Brief": "predict_each gave 1 label images for 3 settings",
    "Elsewhere": "segment_stages of 'grey': ValueError: a mask of 96 x 72 pixels at row 3",
    "Another": "segment_stages of 'grey' ends with other labels than predict returns",
    "TilingSmaller": "sample 'grey', in tiles: predict returned an array of shape (95, 72)",
    "TilingOver": "predict_tiled of 'grey' changed its image",
    "TilingByChance": "two calls of predict_tiled of 'grey' differ",
    "Adding": "`added` names levels, which the constructor does not take",
    "Idle": "Idle has no predict(image)",
    "Missing": "the _target_ strange.Missing can't be imported",
}
GOOD = ("Good", "Plain", "GreyOnly", "HonestChance", "Seeded", "Sharing", "Staged", "Tiling")


@pytest.fixture
def place(tmp_path):
    """A folder of a stranger's: a module, and a YAML for each of its classes."""
    (tmp_path / "strange.py").write_text(MODULE)
    for name in (*GOOD, *BROKEN, "Declared"):
        _add(tmp_path, name.lower(), f"name: {name.lower()}\n_target_: strange.{name}\n")
    return tmp_path


def _add(place, name, text):
    path = place / "own" / "model" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check(place, name):
    return contract.check(name.lower(), place, place, configs=place / "own")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_adapter_is_found(place, name):
    found = check(place, name)
    assert any(BROKEN[name] in violation for violation in found.violations), found
    assert not any("Traceback" in violation for violation in found.violations)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_adapter_passes(place, name):
    assert check(place, name) == contract.Finding()


def test_one_whose_library_is_missing_is_skipped_with_the_line_that_installs_it(place):
    found = check(place, "Declared")
    assert found.violations == []
    assert "no-such-library>=2 is not installed" in str(found.skipped)
    assert "pip install no-such-library" in str(found.skipped)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [("levl: 2", "'levl'"), ("level: high", "it must be a number"), ("level: ???", "model.level")],
)
def test_a_yaml_that_does_not_fit_its_class_is_found(place, parameter, said):
    _add(place, "mine", f"name: mine\n_target_: strange.Good\n{parameter}\n")
    (violation,) = check(place, "mine").violations
    assert said in violation


def test_the_documented_command_fails_on_a_broken_adapter_alone(place):
    """As README.md has it, in a process of its own and in the stranger's folder."""
    for name in {*GOOD, *BROKEN, "Declared"} - {"Good", "Negative", "Mutating", "Declared"}:
        (place / "own" / "model" / f"{name.lower()}.yaml").unlink()
    test = Path(__file__).with_name("test_contract.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(test), "--config-dir", "own", "-n", "0"],
        cwd=place, env=os.environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed, 1 skipped" in done.stdout
    for said in ("negative ids", "predict changed its image", "pip install no-such-library"):
        assert said in done.stdout
