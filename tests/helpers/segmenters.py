"""A segmenter that does on demand what segmenters should not, and leaves a trace.

What is demanded comes by environment variables, which are no part of a run's identity:

- ``TRACE``: a file that gets a line per event, ``<event> <sample> <process>``;
- ``SECONDS``: how long each prediction takes;
- ``ODD``: ``<sample>=<what>``, separated by commas: what to do on a sample, see `_ODD`.
"""

import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from models.weights import find_weights


class Traced:
    """Connected bright regions."""

    version = 1

    def __init__(self, level: float = 1.0, draw: bool = False, fate: str = ""):
        self.level, self.draw, self.fate, self.sample = level, draw, fate, ""
        trace("load", "-")

    def attend(self, sample):
        self.sample = sample.id

    def predict(self, image):
        trace("start", self.sample)
        self.stages = {}
        time.sleep(float(os.environ.get("SECONDS", 0)))
        labels = ndimage.label(image > self.level * image.mean())[0]
        if self.draw:  # one object more, wherever chance puts it
            row, column = random.randrange(labels.shape[0]), np.random.randint(labels.shape[1])
            labels[row, column] = labels.max() + 1
        return _ODD[demanded(self.sample) or self.fate](self, labels)


class Quitting:
    """Ends its process as it is built."""

    def __init__(self):
        sys.exit(0)

    def predict(self, image): ...


class Unloadable:
    """Can't be built."""

    def __init__(self):
        raise ValueError("the weights are missing")

    def predict(self, image): ...


def trace(event, sample):
    if "TRACE" in os.environ:
        line = f"{event} {sample} {os.getpid()}\n".encode()
        with Path(os.environ["TRACE"]).open("ab", buffering=0) as file:
            file.write(line)


def demanded(sample):
    pairs = (word.split("=") for word in os.environ.get("ODD", "").split(",") if word)
    return next((what for name, what in pairs if name in (sample, "*")), "")


def _raise(model, labels):
    raise RuntimeError(f"no luck with {model.sample}")


def _stages(model, labels):
    model.stages = {"encode": float("nan")}
    return labels


class UnspeakableError(Exception):
    def __str__(self):
        raise KeyError("no text")


def _unspeakable(model, labels):
    raise UnspeakableError


def _hostile(model, labels):
    raise RuntimeError("half \ud800, turned \u202e, \x1b[31mred" + "x" * 10**6)


def _details(model, labels):
    circle = []
    circle.append(circle)
    model.details = {
        "rate": np.float32(0.5),
        "count": np.int64(3),
        "nan": float("nan"),
        "sizes": np.arange(3),
        "many": np.zeros(10**6),
        "flag": np.bool_(True),
        7: {"path": Path("a"), "odd": UnspeakableError()},
        "text": "\ud800\u202e",
        "circle": circle,
        "huge": 10**5000,
    }
    return labels


def _kill(model, labels):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _once(odd):
    """Be odd the first time, with `TRACE`, and never again."""

    def act(model, labels):
        try:
            Path(f"{os.environ['TRACE']}.{model.sample}").touch(exist_ok=False)
        except FileExistsError:
            return labels
        return odd(model, labels)

    return act


def _linger(model, labels):
    time.sleep(600)


def _wait(condition):
    """Wait until something holds; not for ever, so that a test that never makes it hold fails."""

    def act(model, labels):
        until = time.monotonic() + 300
        while not condition(Path(os.environ["TRACE"])) and time.monotonic() < until:
            time.sleep(0.01)
        return labels

    return act


_ODD = {
    "": lambda model, labels: labels,
    "other": lambda model, labels: np.roll(labels, 3, axis=1),
    "raise": _raise,
    "float": lambda model, labels: labels.astype(float),
    "shape": lambda model, labels: labels[1:],
    "negative": lambda model, labels: labels - 1,
    "none": lambda model, labels: None,
    "3d": lambda model, labels: labels[None],
    "stages": _stages,
    "details": _details,
    "unspeakable": _unspeakable,
    "hostile": _hostile,
    "exit": lambda model, labels: sys.exit(0),
    "leave": lambda model, labels: os._exit(0),
    "memory": lambda model, labels: np.empty((1 << 60,), np.uint8),
    "kill": _kill,
    "kill_once": _once(_kill),
    "linger_once": _once(_linger),
    "wait": _wait(lambda trace: Path(f"{trace}.go").exists()),
    "wait_for_four": lambda model, labels: (
        _linger(model, labels)
        if Path(os.environ["TRACE"]).read_text().count("start ") == 4
        else labels
    ),
}


class Weighted(Traced):
    """Has weights, which it never reads, and asks for a device."""

    find_weights = staticmethod(partial(find_weights, family="musam"))
    requires = ("numpy>=1",)
    install = "pip install numpy"
    execution = ("batch_size",)

    def __init__(self, weights, device="cpu", batch_size=4, level=1.0):
        super().__init__(level)
        self.weights, self.device, self.batch_size = weights, device, batch_size

    def predict(self, image):
        labels = super().predict(image)
        self.stages = {"encode": 0.5}
        self.stage_memory = {"encode": {"host": 3 << 50, "device": 2 << 20}}
        self.details = {"batch_size": self.batch_size, "reproducible": True}
        return labels


class Unattended:
    """Has weights, and is given images alone."""

    find_weights = Weighted.find_weights

    def __init__(self, weights, level=1.0):
        self.model = Weighted(weights, level=level)

    def predict(self, image):
        return self.model.predict(image)


class Shrinking:
    """Connected bright regions, by a model that scales the longer side to 30 pixels, as it says."""

    input_size = 30

    def __init__(self, level=1.0):
        self.level = level

    def predict(self, image):
        trace("shape", "x".join(map(str, image.shape)))
        return ndimage.label(image > self.level * image.mean())[0]


class OwnTile(Shrinking):
    """Has a parameter of the name of one of the engine's."""

    def __init__(self, level=1.0, tile=7):
        super().__init__(level)
        self.tile = tile


class Untrained(Weighted):
    """Its weights come through the tests' own door."""

    find_weights = staticmethod(partial(find_weights, family="musam", untrained=True))


class Homeless(Weighted):
    """Its library is not installed."""

    requires = ("no-such-library>=2", "numpy<1")
    install = "pip install no-such-library"
