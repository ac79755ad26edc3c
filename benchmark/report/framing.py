"""What a reader has to know of the images that were tiled or scaled, or that a model shrank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.report.text import counted
from benchmark.store.record import Record


def framing_sentences(records: Iterable[Record]) -> tuple[str, ...]:
    """What records say of tiles and scale, in sentences.

    Args:
        records: of one run; what is of another type than it should be is passed over.
    """
    done = [record.details for record in records if record.status == "done"]
    sentences = []
    tiled = [d["tiled"] for d in done if isinstance(d.get("tiled"), Mapping)]
    if tiled:
        tile, halo = (_sides(tiled[0].get(key)) for key in ("tile", "halo"))
        sentences.append(
            f"{_of(len(tiled), len(done))} predicted in tiles of {tile} pixels with a halo of "
            f"{halo}."
        )
    rescaled = sum("rescaled" in details for details in done)
    if rescaled:
        sentences.append(f"{_of(rescaled, len(done))} scaled before prediction.")
    shrunk = [by for d in done if isinstance(by := d.get("shrunk"), (int, float))]
    if shrunk:
        sentences.append(
            f"{_of(len(shrunk), len(done))} shrunk by the model, by up to {max(shrunk):.1f}, so "
            "that small cells are lost; model.tile=auto predicts such images in tiles."
        )
    return tuple(sentences)


def _of(some: int, every: int) -> str:
    return f"{some} of {counted(every, 'image')} {'was' if some == 1 else 'were'}"


def _sides(value: Any) -> str:
    sides = value if isinstance(value, list) and len(value) == 2 else ["?", "?"]
    return " x ".join(str(side) if isinstance(side, int) else "?" for side in sides)
