"""Read the GeoJSON that QuPath exports: outlines of annotations, detections and cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.data.formats.polygons import Region, draw, inside
from benchmark.data.remarks import remark
from benchmark.errors import DataError
from benchmark.types import Labels

_AREAS = ("Polygon", "MultiPolygon", "GeometryCollection")


def is_geojson(content: Any) -> bool:
    """Whether a decoded JSON file is GeoJSON: a collection, a list of features, or one feature."""
    if isinstance(content, list):
        return bool(content) and all(_type_of(item) == "Feature" for item in content)
    return _type_of(content) in ("FeatureCollection", "Feature", *_AREAS)


def read_geojson(content: Any, path: Path, shape: tuple[int, int]) -> Labels:
    """Draw the features in the order of the file; holes stay open, and parts are one object.

    Where a file has detections (cells) beside annotations, the annotations are the regions that
    were searched for cells, and only the detections are objects.

    Args:
        content: the decoded file.
        path: for messages.
        shape: height and width of the image, in whose pixels the outlines are.

    Raises:
        DataError: outlines of several planes, or not of numbers.
    """
    features = _features(content)
    detections = [f for f in features if _kind(f) in ("detection", "cell", "tile")]
    if detections and len(detections) < len(features):
        remark("regions", f"{len(features) - len(detections)} beside {len(detections)} detections")
        features = detections
    areas = [f for f in features if _type_of(_geometry(f)) in _AREAS]
    if len(areas) < len(features):
        remark("no_area", f"{len(features) - len(areas)} of {len(features)}")
    planes = {_plane(feature) for feature in areas}
    if len(planes) > 1:
        raise DataError(
            f"{path}: its outlines are of {len(planes)} planes (z, t). Export each plane alone."
        )
    try:
        return draw(map(_geometry, areas), shape, partial(_regions, shape=shape))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: an outline can't be drawn ({error}).") from error


def _type_of(item: Any) -> str:
    return str(item.get("type")) if isinstance(item, Mapping) else ""


def _features(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if _type_of(content) == "FeatureCollection":
        return list(content.get("features") or [])
    return [content]


def _geometry(feature: Any) -> Any:
    return feature.get("geometry") if _type_of(feature) == "Feature" else feature


def _kind(feature: Mapping[str, Any]) -> str:
    properties = feature.get("properties") or {}
    return str(properties.get("objectType") or properties.get("object_type") or "annotation")


def _plane(feature: Mapping[str, Any]) -> tuple[Any, Any]:
    plane = (_geometry(feature) or {}).get("plane") or {}
    return plane.get("z", 0), plane.get("t", 0)


def _regions(geometry: Mapping[str, Any], shape: tuple[int, int]) -> Iterator[Region]:
    if geometry["type"] == "GeometryCollection":
        for part in geometry["geometries"]:
            if _type_of(part) in _AREAS:
                yield from _regions(part, shape)
    elif geometry["type"] == "MultiPolygon":
        for rings in geometry["coordinates"]:
            yield inside(rings, shape)
    else:
        yield inside(geometry["coordinates"], shape)
