"""Remarks: what is odd about a data set's files without stopping its preparation.

Whoever reads a file may `remark`; whoever prepares the data set collects the remarks, stores them
in its manifest, and has them shown on the console, below the table and by `action=check`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import NamedTuple


class Remark(NamedTuple):
    """One finding.

    Attributes:
        kind: a key of `KINDS`.
        detail: the numbers or names behind it.
    """

    kind: str
    detail: str


class Kind(NamedTuple):
    """What a kind of remark says.

    Attributes:
        what: the finding, for a sentence `what (where): detail`.
        remedy: what it means for the scores, and what to do; `{section}` is that of the
            configuration which the files are named in.
    """

    what: str
    remedy: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "fragments": Kind(
            "one id for many separate parts",
            "Parts that share an id count as one object. If the values are a mask or classes, not "
            "ids, use {section}.labels_are=mask; if they are ids, {section}.labels_are=ids removes "
            "this warning.",
        ),
        "clipped": Kind(
            "ids end where their integer type ends, and have several parts there",
            "Ids above were probably lost when the file was saved, and different objects count as "
            "one. Save the labels again with 16 or 32 bits; if that is impossible, "
            "{section}.labels_are=mask makes each connected part an object.",
        ),
        "no_background": Kind(
            "no pixel is background (0)",
            "If one of the ids is the background, use {section}.background=<id>; if objects fill "
            "the images, {section}.labels_are=ids removes this warning.",
        ),
        "gray_mask": Kind(
            "a mask of more than two values",
            "Touching regions of different values are separate objects. If the values are ids, "
            "leave out {section}.labels_are=mask; if the edges were smoothed, threshold the mask.",
        ),
        "overlaps": Kind(
            "outlines overlap",
            "A label image has one object per pixel: the later outline is on top.",
        ),
        "outside": Kind(
            "outlines without any pixel of the image",
            "They are not scored. Check that the outlines are in pixels of this image.",
        ),
        "no_area": Kind("annotations that are not areas (points, lines, no outline)", "Left out."),
        "regions": Kind(
            "annotated regions beside detected objects",
            "Only the detections are objects; export annotations alone to score these.",
        ),
        "crowds": Kind("crowds (iscrowd=1), which are no single object", "Left out."),
        "passed_over": Kind("other files in the folder", "They are not read."),
        "near_misses": Kind(
            "a pattern misses files only by the spelling of their ending",
            "They are left out. Give the folder in place of the pattern, or rename them.",
        ),
        "no_partner": Kind("annotations of images that are not among these", "Left out."),
        "turned": Kind(
            "images or labels are turned or mirrored, as their files' Orientation says",
            "Software that ignores it (Fiji) shows them otherwise: see that images and labels "
            "agree.",
        ),
        "alpha": Kind(
            "a channel that the file calls opacity (alpha) is not used",
            "If it is a channel of the specimen, choose all channels by their numbers.",
        ),
        "two_values": Kind(
            "the last channel has two values only, 0 and the highest, as opacity (alpha) has",
            "It is used as a channel. If it is opacity, leave it out: data.use_channels=[0] for "
            "gray, data.use_channels=[0,1,2] for colours.",
        ),
        "description": Kind(
            "a file's description speaks of other pages than the file has",
            "It was left behind by other software, and is not used.",
        ),
        "channels": Kind("chosen channels are used", ""),
    }
)

_collected: ContextVar[list[Remark] | None] = ContextVar("collected", default=None)


def remark(kind: str, detail: str) -> None:
    """Add a remark for whoever collects them; without a collector it is dropped.

    Args:
        kind: a key of `KINDS`.
        detail: the numbers or names behind it.
    """
    assert kind in KINDS
    found = _collected.get()
    if found is not None:
        found.append(Remark(kind, detail))


@contextmanager
def collected() -> Iterator[list[Remark]]:
    """Collect the remarks made inside."""
    found: list[Remark] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def sentences(of_samples: Iterable[tuple[str, Remark]], samples: int) -> list[str]:
    """Return the remarks on samples as sentences, one for each kind.

    Args:
        of_samples: a sample's name, and a remark on it.
        samples: how many there are in all.
    """
    by_kind: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, (kind, detail) in of_samples:
        by_kind[kind].setdefault(name, detail)
    lines = []
    for kind, found in by_kind.items():
        known = KINDS.get(kind, Kind(kind, ""))
        name, detail = next(iter(found.items()))
        where = f"in {len(found)} of {samples} images, e.g. '{name}': {detail}"
        lines.append(f"{known.what} ({where}). {known.remedy.format(section='data')}".strip())
    return lines


def sentence(found: Remark, section: str = "data") -> str:
    """Return one remark as a sentence.

    Args:
        found: the remark.
        section: of the configuration, that the files are named in.
    """
    known = KINDS.get(found.kind, Kind(found.kind, ""))
    return f"{known.what}: {found.detail}. {known.remedy.format(section=section)}".strip()
