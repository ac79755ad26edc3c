"""What a run is called whose parameters were chosen on other images."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.report.text import counted
from benchmark.store.shapes import Selection

USUAL = {"grid": "default", "metric": "msa", "rule": "safe"}
"""Options of tuning that a name does not mention."""


def name_of_selection(chosen: Selection, data: str, images: Iterable[int] = ()) -> str:
    """`apg, tuned on 25 val images`; with the options of tuning that are not the usual ones.

    Args:
        chosen: what chose.
        data: the data set that is tested; another one that chose is named.
        images: how many chose in other rows of the same method; all rows share one name.
    """
    numbers = {chosen["images"], *images}
    thing = "val image" if chosen["split"] == "val" else "image"
    many = counted(max(numbers), thing)
    if len(numbers) > 1:
        many = f"{min(numbers)} to {many}"
    of = "" if chosen["data"] == data else f" of {chosen['data']}"
    options = {key: str(chosen[key]) for key in USUAL}  # type: ignore[literal-required]
    words = ", ".join(f"{key}={value}" for key, value in options.items() if value != USUAL[key])
    return f"{chosen['model']}, tuned on {many}{of}" + (f" ({words})" if words else "")


def key_of_selection(chosen: Selection) -> str:
    """What the rows of a model's YAML tuned in one way are known by: `apg tuned study msa best`."""
    return f"{chosen['config']} tuned {chosen['grid']} {chosen['metric']} {chosen['rule']}"
