"""What stored JSON files hold: the types of their entries, and reading them by these types.

A file may be edited, torn, or of a stranger. What does not fit is refused where it is read, as an
error of that file, and no reader has to expect it.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

LARGEST = 2**53
"""Of numbers: each integer up to it is exact as a float as well."""

Count = Annotated[int, "not negative"]
Amount = Annotated[float, "not negative"]


class _Identity(TypedDict):
    target: str
    parameters: dict[str, Any]
    images: str
    device: str


class Card(TypedDict):
    """What is read of a data set's card; all else is only shown."""

    known_images: NotRequired[dict[str, Any] | None]
    not_recoverable: NotRequired[dict[str, str] | None]


class Weights(TypedDict, total=False):
    """What weights are called in run.json."""

    name: str
    label: str
    mark: Literal["verified", "user", "demo", "untrained"]
    digests: dict[str, Any] | None
    parts: NotRequired[list[str]]


class Names(TypedDict):
    """names.json: what a data set was called."""

    data: str
    split: NotRequired[str]
    prepared: NotRequired[str]
    unlabelled: NotRequired[Count]
    data_card: NotRequired[Card | None]
    warnings: NotRequired[list[str]]


class Description(TypedDict):
    """run.json; what came with later versions may be missing."""

    run_id: str
    model: str
    config: NotRequired[str | None]
    control: bool
    data: str
    split: str
    samples: Count
    prepared: str
    labels: NotRequired[str | None]
    unlabelled: NotRequired[Count]
    family: NotRequired[str | None]
    data_card: NotRequired[Card | None]
    warnings: NotRequired[list[str]]
    weights: NotRequired[Weights | None]
    identity: _Identity


class Basis(TypedDict):
    """basis.json: what scores depend on."""

    labels: str | None
    protocol: dict[str, Any]
    metrics: Any
    written: str


class _Chosen(TypedDict):
    """What a choice and the selections made of it have in common; see `Selection`."""

    search: str
    data: str
    split: str
    limit: Count | None
    images: Count
    groups: Count
    trained: bool
    grid: str
    metric: str
    rule: str
    default: dict[str, Any]
    chosen: dict[str, Any]
    lower: float | None


class Selection(_Chosen):
    """What chose the parameters of a run; see `benchmark.tuning`.

    Attributes:
        search: the digest of the search: the model, the images, the protocol and the points.
        model: what the model is called without the choice.
        config: the name of its YAML.
        default_run: the id of the run of the default parameters on the images that are tested.
        data: the data set that chose.
        split: likewise.
        limit: `tune.limit`.
        images: how many chose.
        groups: of these.
        left_out_images: how many could not choose, as they or their group are tested.
        left_out_groups: of these.
        tested_images: of those that chose, how many are tested, or of a group that is tested.
        tested_groups: of these.
        trained: whether the weights may have been trained on those that chose.
        grid: its name, or a digest of the parameters and values given.
        metric: the choice is by it.
        rule: how it is made.
        default: the parameters of the grid as they are without the choice.
        chosen: as they are with it.
        promised: how far the best point is ahead of the default on the images that chose.
        lower: the lower end of the 95 % interval of that; None with too few groups.
    """

    model: str
    config: str
    default_run: str
    left_out_images: Count
    left_out_groups: Count
    tested_images: Count
    tested_groups: Count
    promised: float


class Selected(TypedDict):
    """A file of selections: what the scores under a protocol and labels were asked for by.

    The selection is None where the parameters were given by hand.
    """

    protocol: dict[str, Any]
    labels: str | None
    selection: Selection | None


class _Counts(TypedDict):
    images: Count
    groups: Count


class Choice(_Chosen):
    """choice.json: what a search chose; see `benchmark.tuning.selection`."""

    left_out: _Counts
    tested: _Counts
    gain: float
    digests: list[str]
    group_names: list[str]


class AdapterCode(TypedDict):
    """adapter.json."""

    files: Any


class _With(TypedDict):
    gpu: NotRequired[str | None]


AttemptRow = TypedDict("AttemptRow", {"with": _With})
"""A line of the journal of attempts."""


class RecordRow(TypedDict):
    """A line of the journal of records; see `benchmark.store.record.Record`."""

    sample: str
    status: Literal["done", "error"]
    attempt: Count
    prediction: NotRequired[str | None]
    seconds: NotRequired[Amount | None]
    stages: NotRequired[dict[str, float]]
    memory: NotRequired[dict[str, Amount]]
    warm_up: NotRequired[bool]
    details: NotRequired[dict[str, Any]]
    error: NotRequired[str | None]
    traceback: NotRequired[str | None]
    cached: NotRequired[dict[str, float]]
    stage_memory: NotRequired[dict[str, dict[str, Amount]]]


class ScoreRow(TypedDict):
    """A line of the journal of scores; see `benchmark.scoring.metrics.Score`."""

    sample: str
    prediction: str
    attempt: NotRequired[Count]
    group: str | None
    n_true: Count
    n_predicted: Count
    true_positives: list[Count]
    both_empty: bool
    metrics: dict[str, float | None]


class Objects(TypedDict):
    """Columns: an entry for each object."""

    id: list[Count]
    area: list[Count]
    best_iou: list[Amount]
    border: list[Count]


class ObjectRow(TypedDict):
    """A line of the journal of objects."""

    sample: str
    prediction: str
    attempt: NotRequired[Count]
    true: Objects
    predicted: Objects


class StagesOfObjects(TypedDict):
    """Columns: an entry for each true object; see `benchmark.scoring.stages.Evidence`."""

    id: list[Count]
    prompted: list[bool]
    first: list[Amount]
    last: list[Amount]
    kept: list[Amount]
    result: list[Amount]


class StageRow(TypedDict):
    """A line of the journal of stages."""

    sample: str
    prediction: str
    prompts: Count
    kept: Count
    true: StagesOfObjects


OF_SAMPLES = (RecordRow, ScoreRow, ObjectRow, StageRow)
"""Of lines of these types there may be many, and no other keys are read than theirs."""

ROWS: dict[str, Any] = {
    "records": RecordRow,
    "attempts": AttemptRow,
    "scores": ScoreRow,
    "objects": ObjectRow,
    "stages": StageRow,
}
"""Of each journal of a run the type of its lines; a line that does not fit is damaged."""


def parse(text: str) -> Any:
    """Parse JSON, in which every number has to be finite.

    Raises:
        ValueError: it is damaged.
        RecursionError: it is nested too deeply.
    """
    return _DECODER.decode(text)


def misfit(value: object, shape: Any, name: str = "") -> str | None:
    """Return which entry of a JSON value is missing or not of its type; None if all fit.

    Args:
        value: a parsed value.
        shape: a `TypedDict`, or a type of which its entries are: `str`, `int`, `float` (which
            integers are as well), `bool`, `None`, `Any`, `Count`, `Amount`, and `X | Y`,
            `Literal`, `list` and `dict` of them. Other keys than those of a `TypedDict` may
            be there.
        name: what the value is called in the answer.
    """
    if _check(shape)(value):
        return None
    if is_typeddict(shape) and isinstance(value, dict):
        prefix = f"{name}." if name else ""
        for key, (kind, is_needed) in _entries(shape).items():
            found = misfit(value[key], kind, f"{prefix}{key}") if key in value else None
            if found is not None:
                return found
            if is_needed and key not in value:
                return f"{prefix}{key}"
    return name or "all of it"


@cache
def quick_reader(shape: Any) -> Callable[[bytes], dict[str, Any] | None]:
    """Return the function that parses a line and checks it against a type, in one pass of C.

    What it returns is what `parse` returns, without the keys that the type does not have, and fits
    by `misfit`. None says nothing of the line: `parse` and `misfit` accept some that it does not.

    Args:
        shape: the type. Of one that is not in `OF_SAMPLES` nothing is ever said.
    """
    if shape not in OF_SAMPLES:
        return lambda line: None
    decode = msgspec.json.Decoder(_for_msgspec(shape)).decode
    columns = [key for key, (kind, _) in _entries(shape).items() if kind in _COLUMNS]

    def read(line: bytes) -> dict[str, Any] | None:
        if not line.isascii():  # as lines are written: of skipped keys it checks no encoding
            return None
        try:
            row: dict[str, Any] = decode(line)
        except (msgspec.MsgspecError, RecursionError):
            return None
        for key in columns:
            if len({*map(len, row[key].values())}) > 1:
                return None
        return row

    return read


def _for_msgspec(kind: Any) -> Any:
    """A type as msgspec has it: it takes no integer for a float, and needs limits of numbers."""
    if is_typeddict(kind):
        entries = {
            key: _for_msgspec(of) if is_needed else NotRequired[_for_msgspec(of)]
            for key, (of, is_needed) in _entries(kind).items()
        }
        return TypedDict(kind.__name__, entries)  # type: ignore[operator]
    least = 0 if get_origin(kind) is Annotated else -LARGEST
    number = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if number in _NUMBERS:
        limits = msgspec.Meta(ge=least, le=LARGEST)
        whole = Annotated[int, limits]
        return whole if number is int else whole | Annotated[float, limits]
    of = get_args(kind)
    match get_origin(kind):
        case origin if origin in (Union, types.UnionType):
            return Union[tuple(map(_for_msgspec, of))]  # noqa: UP007 - of a tuple
        case origin if origin in (list, dict):
            return origin[tuple(map(_for_msgspec, of))]
        case _:
            return kind


_COLUMNS = (Objects, StagesOfObjects)


@cache
def _check(kind: Any) -> Callable[[Any], bool]:
    """Return the function that says whether a value is of a type: made once, for many lines."""
    if kind is Any:
        return lambda value: True
    if is_typeddict(kind):
        return _check_of_entries(kind)
    of = get_args(kind)
    match get_origin(kind):
        case None if kind not in _NUMBERS:
            return lambda value: isinstance(value, kind)
        case origin if origin in (Union, types.UnionType):
            if set(of) <= {str, bool, types.NoneType}:
                return lambda value: isinstance(value, of)
            choices = [_check(each) for each in of]
            return lambda value: any(check(value) for check in choices)
        case origin if origin in (None, Annotated):
            of_numbers = _check_of_numbers(kind)
            return lambda value: of_numbers((value,))
        case origin if origin is Literal:
            return lambda value: isinstance(value, str) and value in of
        case origin if origin is list:
            all_fit = _check_of_all(of[0])
            return lambda value: isinstance(value, list) and all_fit(value)
        case _:
            all_fit = _check_of_all(of[1])
            return lambda value: isinstance(value, dict) and all_fit(value.values())


def _check_of_entries(shape: Any) -> Callable[[Any], bool]:
    entries = [(key, _check(kind), needed) for key, (kind, needed) in _entries(shape).items()]
    has_columns = shape in _COLUMNS

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for key, fits, is_needed in entries:
            if key in value:
                if not fits(value[key]):
                    return False
            elif is_needed:
                return False
        return not has_columns or len({len(value[key]) for key, _, _ in entries}) == 1

    return check


_NUMBERS: Mapping[Any, frozenset[type]] = {
    int: frozenset({int}),
    float: frozenset({int, float}),
}
"""Of a type of numbers those of its values; a bool, which Python counts as an integer, is none."""


def _check_of_numbers(kind: Any) -> Callable[[Collection[Any]], bool]:
    """Return the function that says whether all of some values are numbers of a type."""
    least = 0 if get_origin(kind) is Annotated else -LARGEST
    accepted = _NUMBERS[get_args(kind)[0] if get_args(kind) else kind]

    def check(values: Collection[Any]) -> bool:
        if not accepted.issuperset(map(type, values)):
            return False
        return not values or (least <= min(values) and max(values) <= LARGEST)

    return check


def _check_of_all(kind: Any) -> Callable[[Collection[Any]], bool]:
    """Return the function that says whether all of some values are of a type."""
    if kind in _NUMBERS or get_origin(kind) is Annotated:
        return _check_of_numbers(kind)
    if kind == float | None:
        numbers = _check_of_numbers(float)
        return lambda values: numbers([value for value in values if value is not None])
    fits = _check(kind)
    return lambda values: all(map(fits, values))


@cache
def _entries(shape: Any) -> dict[str, tuple[Any, bool]]:
    """The entries of a `TypedDict`: type, and whether it is needed."""
    entries = {}
    for key, kind in get_type_hints(shape, include_extras=True).items():
        optional = get_origin(kind) is NotRequired
        needed = shape.__total__ and not optional
        entries[key] = (get_args(kind)[0] if optional else kind, needed)
    return entries


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
"""One for all lines: `json.loads` would make one for each."""
