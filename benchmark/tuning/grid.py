"""The grid of a search: which parameters vary, and the points that they make."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.adapter import check_parameters, check_settings, defaults
from benchmark.choices import choices, file_of, nearest
from benchmark.errors import UsageError
from benchmark.own_yaml import read_yaml

Point = dict[str, Any]
"""A value for each parameter that the grid varies."""


@dataclass(frozen=True)
class Grid:
    """The points of a search.

    Attributes:
        axes: parameter -> its values, in order; the one it has by default is among them.
        points: the first is the default; the others are the products of the values asked for.
    """

    axes: Mapping[str, Sequence[Any]]
    points: Sequence[Point]

    def distances(self) -> list[int]:
        """Of each point how far it is from the default.

        A point that changes fewer parameters is nearer; of those that change equally many, the one
        with fewer steps along the axes.
        """
        places = [self.places(name) for name in self.axes]
        steps = [[abs(at[n] - at[0]) for at in places] for n in range(len(self.points))]
        more = 1 + max(map(sum, steps))  # than any number of steps
        return [more * sum(map(bool, each)) + sum(each) for each in steps]

    def places(self, name: str) -> list[int]:
        """Of each point where the value that it has for a parameter is among the axis's."""
        numbers = {_key(value): number for number, value in enumerate(self.axes[name])}
        return [numbers[_key(point[name])] for point in self.points]

    def edges(self, point: Point) -> list[str]:
        """The parameters of which a point has the smallest or the largest number of the grid."""
        numeric = {
            name: values
            for name, values in self.axes.items()
            if len(values) > 1 and all(type(value) in (int, float) for value in values)
        }
        return [name for name, vs in numeric.items() if point[name] in (min(vs), max(vs))]


def make_grid(axes: Mapping[str, Sequence[Any]], default: Point) -> Grid:
    """The grid of all combinations of values, and the default.

    Args:
        axes: parameter -> values.
        default: of each of these parameters the value that it has by default.
    """
    points = {_keys(default): default}
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        points.setdefault(_keys(point), point)
    with_default = {
        name: _ordered([*{_key(v): v for v in (*values, default[name])}.values()])
        for name, values in axes.items()
    }
    return Grid(with_default, list(points.values()))


def find_grid(
    chosen: Any,
    adapter: type,
    parameters: Mapping[str, Any],
    *,
    model: str,
    folders: Sequence[Path],
) -> Grid:
    """The grid that a configuration chooses.

    Args:
        chosen: the name of a YAML in `grid/`, or a mapping of parameters to lists of values.
        adapter: the adapter's class.
        parameters: as configured.
        model: its name, for messages.
        folders: configuration folders, in which grids are searched.

    Raises:
        UsageError: there is none of that name or for that adapter, a parameter can't be varied, or
            a value is of the wrong type.
    """
    axes = chosen if isinstance(chosen, Mapping) else _named(str(chosen), adapter, folders)
    if not axes:
        raise UsageError("tune.grid is empty; give parameters and values: tune.grid={sigma:[1,2]}.")
    for name, values in axes.items():
        plain = (str, int, float, bool, type(None))
        is_list = isinstance(values, list) and bool(values)
        if not is_list or any(type(v) not in plain or v in _NOT_FINITE or v != v for v in values):
            raise UsageError(
                f"tune.grid: {name} is {values!r}; it must be a list of values, such as [1,2]."
            )
    check_settings(adapter, [axes])
    known = defaults(adapter) | dict(parameters)
    grid = make_grid(axes, {name: known[name] for name in axes})
    for point in grid.points:
        check_parameters(adapter, {**parameters, **point}, model)
    return grid


def _named(name: str, adapter: type, folders: Sequence[Path]) -> Mapping[str, Any]:
    """The parameters and values of an adapter in a YAML of grids."""
    known = choices("grid", folders)
    if name not in known:
        raise UsageError(
            f"there is no grid '{name}'.{nearest(name, known)} Grids: {', '.join(known)}; or give "
            "parameters and values: tune.grid={sigma:[1,2]}."
        )
    path = file_of("grid", name, folders)
    from omegaconf import OmegaConf

    grids: Any = OmegaConf.to_container(read_yaml(path), resolve=False)
    by_class = grids if isinstance(grids, Mapping) else {}
    for each in adapter.__mro__:
        found = by_class.get(f"{each.__module__}.{each.__qualname__}")
        if isinstance(found, Mapping):
            return {str(parameter): values for parameter, values in found.items()}
    raise UsageError(
        f"{path} has no parameters for {adapter.__module__}.{adapter.__qualname__}; it has them "
        f"for {', '.join(map(str, by_class))}. Give parameters and values: "
        "tune.grid={sigma:[1,2]}."
    )


_NOT_FINITE = (math.inf, -math.inf)


def _key(value: Any) -> Any:
    """What makes two values one: 1 is 1.0, but not true."""
    return (float, float(value)) if type(value) is int else (type(value), value)


def _keys(point: Point) -> tuple[Any, ...]:
    return tuple(_key(value) for value in point.values())


def _ordered(values: list[Any]) -> list[Any]:
    """Numbers by size; other values as they were given."""
    are_numbers = all(type(v) in (int, float) and math.isfinite(v) for v in values)
    return sorted(values) if are_numbers else values
