"""What `model.tile`, `model.halo` and `model.rescale` ask for, and what that is on given images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.errors import UsageError

KEYS = ("tile", "halo", "rescale")
"""Keys of every model's configuration that the engine takes, and no adapter gets."""

SHRUNK = 2
"""Images that a model shrinks by more than this factor are tiled under `tile=auto`."""

SMALLEST_FACTOR, LARGEST_FACTOR = 0.01, 100.0

Pair = tuple[int, int]


@dataclass(frozen=True)
class Framing:
    """How the images of one run are brought to a model.

    Attributes:
        tile: rows and columns of a tile without its halo; None: no image is tiled.
        halo: rows and columns that a tile is extended by on each side.
        beyond: images are tiled whose longer side has more pixels than this; 0: all that are
            larger than a tile.
        rescale: the factor that images are scaled by before, and label images back after.
    """

    tile: Pair | None = None
    halo: Pair = (0, 0)
    beyond: int = 0
    rescale: float = 1.0

    @property
    def in_identity(self) -> dict[str, Any]:
        """What a run id depends on of it; empty where images are given to the model as they are."""
        found: dict[str, Any] = {}
        if self.tile is not None:
            found |= {"tile": [*self.tile], "halo": [*self.halo]}
        if self.beyond:
            found["beyond"] = self.beyond
        if self.rescale != 1:
            found["rescale"] = self.rescale
        return found

    @property
    def words(self) -> list[str]:
        """The same as it is written on a command line, for the name of a model."""
        words = []
        if self.tile is not None:
            words.append("tile=auto" if self.beyond else f"tile={_text(self.tile)}")
            if not self.beyond or self.halo != _halo_of(self.tile, None):
                words.append(f"halo={_text(self.halo)}")
        return [*words, *([f"rescale={self.rescale:g}"] if self.rescale != 1 else [])]

    def scaled(self, shape: tuple[int, ...]) -> Pair:
        """Rows and columns of an image after scaling, at least one each."""
        rows, columns = (max(1, math.floor(side * self.rescale + 0.5)) for side in shape[:2])
        return rows, columns

    def tiles(self, shape: tuple[int, ...]) -> bool:
        """Whether an image is tiled.

        Args:
            shape: of the image before scaling.
        """
        scaled = self.scaled(shape)
        return (
            self.tile is not None
            and max(scaled) > self.beyond
            and any(side > tile for side, tile in zip(scaled, self.tile, strict=True))
        )

    def longest(self, shape: tuple[int, ...]) -> int:
        """The longest side in pixels of what the model is given at once.

        Args:
            shape: of the image before scaling.
        """
        scaled = self.scaled(shape)
        if self.tile is None or not self.tiles(shape):
            return max(scaled)
        windows = (tile + 2 * halo for tile, halo in zip(self.tile, self.halo, strict=True))
        return max(min(pair) for pair in zip(scaled, windows, strict=True))

    def shrinks(self, shape: tuple[int, ...], input_size: int) -> float:
        """By which factor the model shrinks an image, where that is so much that cells are lost.

        Args:
            shape: of the image before scaling.
            input_size: length in pixels that the model scales the longer side to; 0: it does not.

        Returns:
            The factor; 0 where it is `SHRUNK` or less.
        """
        factor = self.longest(shape) / input_size if input_size else 0.0
        return factor if factor > SHRUNK else 0.0


@dataclass(frozen=True)
class Request:
    """What a configuration asks for.

    Attributes:
        tile: `auto`, `off`, or rows and columns.
        halo: rows and columns; None: an eighth of a tile.
        rescale: a factor.
        diameter: pixels that the median diameter of labelled objects is scaled to, in place of a
            factor.
    """

    tile: str | Pair = "off"
    halo: Pair | None = None
    rescale: float = 1.0
    diameter: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any], default: str) -> Request:
        """Check what a configuration says.

        Args:
            values: of those of `KEYS` that it names; null stands for the default.
            default: of `tile`: `auto` or `off`.

        Raises:
            UsageError: a value is invalid, or has no effect.
        """
        given = {name: value for name, value in values.items() if value is not None}
        tile = _tile(given.get("tile", default))
        halo = _pair("halo", given["halo"], least=0) if "halo" in given else None
        if halo is not None and tile == "off":
            raise UsageError(
                "model.halo belongs to tiles, and no image is tiled: give model.tile=[512,512] or "
                "model.tile=auto as well."
            )
        if halo is not None and isinstance(tile, tuple):
            _check_halo(tile, halo)
        factor, diameter = _rescale(given.get("rescale", 1))
        return cls(tile, halo, factor, diameter)

    @property
    def is_off(self) -> bool:
        """Whether it leaves every image as it is, whatever the images are."""
        return self == Request()

    @property
    def changes_scale(self) -> bool:
        """Whether images are scaled."""
        return self.rescale != 1 or self.diameter is not None

    @property
    def words(self) -> list[str]:
        """As written on a command line, without `tile=auto`, which depends on the images."""
        tile = self.tile if isinstance(self.tile, tuple) else None
        halo = _halo_of(tile, self.halo) if tile else (0, 0)
        return Framing(tile, halo).words + self._words_of_scale

    @property
    def possible_words(self) -> list[list[str]]:
        """The same where nobody knows whether an image is large enough to be tiled."""
        if self.tile == "off":
            return [self.words]
        scale = self._words_of_scale
        halo = [] if self.halo is None else [f"halo={_text(self.halo)}"]
        tiled = ["tile=auto", *halo, *scale] if self.tile == "auto" else self.words
        return [tiled, scale]

    @property
    def _words_of_scale(self) -> list[str]:
        if self.diameter is not None:
            return [f"rescale={{diameter:{self.diameter:g}}}"]
        return Framing(rescale=self.rescale).words

    def resolve(
        self, shapes: Iterable[tuple[int, ...]], input_size: int, factor: float | None = None
    ) -> Framing:
        """What it comes to on the images of a data set.

        Args:
            shapes: of the images; empty for one that could not be prepared.
            input_size: as for `Framing.shrinks`.
            factor: in place of a diameter.

        Raises:
            UsageError: the halo is larger than the tile.
        """
        rescale = self.rescale if factor is None else factor
        plain = Framing(rescale=rescale)
        if self.tile == "off":
            return plain
        prepared = [shape for shape in shapes if shape]
        if isinstance(self.tile, tuple):
            found = Framing(self.tile, _halo_of(self.tile, self.halo), 0, rescale)
            return found if any(map(found.tiles, prepared)) else plain
        if not any(plain.shrinks(shape, input_size) for shape in prepared):
            return plain
        tile = (input_size // 2, input_size // 2)
        halo = _halo_of(tile, self.halo)
        _check_halo(tile, halo)
        return Framing(tile, halo, SHRUNK * input_size, rescale)


def _halo_of(tile: Pair, halo: Pair | None) -> Pair:
    return (tile[0] // 8, tile[1] // 8) if halo is None else halo


def _check_halo(tile: Pair, halo: Pair) -> None:
    if any(h > t for h, t in zip(halo, tile, strict=True)):
        raise UsageError(
            f"model.halo is {_text(halo)}, which is larger than the tile, {_text(tile)}; give a "
            "larger model.tile or a smaller model.halo."
        )


def _tile(value: Any) -> str | Pair:
    if value is False:  # what YAML makes of `off`
        return "off"
    if value in ("auto", "off"):
        return str(value)
    return _pair("tile", value, least=1)


def _pair(name: str, value: Any, *, least: int) -> Pair:
    example = "[512,512]" if name == "tile" else "[64,64]"
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    if not is_pair or not all(type(side) is int and side >= least for side in value):
        others = "auto, off or " if name == "tile" else ""
        raise UsageError(
            f"model.{name} is {value!r}; it must be {others}two whole numbers of {least} or more, "
            f"rows and columns in pixels, such as model.{name}={example}."
        )
    return value[0], value[1]


def _rescale(value: Any) -> tuple[float, float | None]:
    """A factor, and the diameter that takes its place."""
    if isinstance(value, Mapping):
        if [*value] != ["diameter"] or not _is_positive(value["diameter"]):
            raise UsageError(
                f"model.rescale is {dict(value)!r}; it must be a factor, or a diameter in pixels "
                "above 0: model.rescale={diameter:30}."
            )
        return 1.0, float(value["diameter"])
    if not _is_positive(value) or not SMALLEST_FACTOR <= value <= LARGEST_FACTOR:
        raise UsageError(
            f"model.rescale is {value!r}; it must be a factor from {SMALLEST_FACTOR:g} to "
            f"{LARGEST_FACTOR:g}, such as 0.5, or the diameter in pixels that the median object of "
            "the validation images is to have: model.rescale={diameter:30}."
        )
    return float(value), None


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


def _text(pair: Pair) -> str:
    return f"[{pair[0]},{pair[1]}]"
