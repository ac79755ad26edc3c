"""OME-XML of a TIFF: its channels' names, and which of the planes lie in this file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


def channel_names(xml: str, image: int = 0) -> tuple[str, ...]:
    """Return the names of the channels of an image; '' for one without a name.

    Args:
        xml: the OME-XML.
        image: its number in the XML.
    """
    try:
        pixels = [*_pixels(ElementTree.fromstring(xml))][image]
    except (ElementTree.ParseError, IndexError):
        return ()
    return tuple(channel.get("Name", "") for channel in _children(pixels, "Channel"))


def of_this_file(xml: str, file: str) -> str | None:
    """Return the OME-XML reduced to the planes that lie in one file of a set.

    Args:
        xml: the OME-XML, which describes planes of several files.
        file: the file's name.

    Returns:
        None where it names no files, or can't be read.

    Raises:
        ValueError: it has no plane for this file, or the planes are no whole block of channels,
            slices and time points.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    references = [*_references(root)]
    if not references:
        return None
    uuid = root.get("UUID")
    if len({reference.text for reference in references}) == 1:  # this file, renamed perhaps
        uuid = references[0].text
    elif not any(reference.text == uuid for reference in references):  # no UUID of its own
        uuid = next((r.text for r in references if _same_name(r.get("FileName"), file)), None)
    if uuid is None:
        raise ValueError("its OME-XML describes other files")
    for parent in [*root]:
        for pixels in _children(parent, "Pixels"):
            _reduce(pixels, uuid)
    return ElementTree.tostring(root, encoding="unicode")


def _reduce(pixels: Element, uuid: str) -> None:
    """Keep what lies in the file of this UUID, and count its planes from 0."""
    data = _children(pixels, "TiffData")
    own = [d for d in data if not (u := _children(d, "UUID")) or u[0].text == uuid]
    for element in data:
        if element not in own:
            pixels.remove(element)
    if not own:
        return
    channels = _children(pixels, "Channel")
    samples = int(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    order = pixels.get("DimensionOrder", "XYCZT")[2:]  # the first varies fastest
    sizes = {a: int(pixels.get(f"Size{a}", 1)) // (samples if a == "C" else 1) for a in order}
    planes = {plane for element in own for plane in _planes_of(element, order, sizes)}
    present = [sorted({plane[k] for plane in planes}) for k in range(3)]
    if planes != set(itertools.product(*present)):
        raise ValueError("its planes are no whole block of channels, slices and time points")
    for axis, there in zip(order, present, strict=True):
        pixels.set(f"Size{axis}", str(len(there) * (samples if axis == "C" else 1)))
        for element in own:
            first = int(element.get(f"First{axis}", 0))
            element.set(f"First{axis}", str(there.index(first)))
        if axis == "C":
            for number, channel in enumerate(channels):
                if number not in there:
                    pixels.remove(channel)
    for element in own:
        for child in _children(element, "UUID"):
            element.remove(child)


def _planes_of(element: Element, order: str, sizes: dict[str, int]) -> Iterator[tuple[int, ...]]:
    """The planes that a TiffData element describes, as numbers in the order of the axes."""
    every = [p[::-1] for p in itertools.product(*(range(sizes[a]) for a in reversed(order)))]
    first = tuple(int(element.get(f"First{axis}", 0)) for axis in order)
    start = every.index(first)
    count = int(element.get("PlaneCount", element.get("NumPlanes", 1)))
    yield from every[start : start + count]


def _pixels(root: Element) -> Iterator[Element]:
    for image in _children(root, "Image"):
        yield from _children(image, "Pixels")


def _references(root: Element) -> Iterator[Element]:
    for pixels in _pixels(root):
        for data in _children(pixels, "TiffData"):
            yield from _children(data, "UUID")


def _children(element: Element, name: str) -> list[Element]:
    """Children by name, in whichever version of the namespace."""
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _same_name(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()
