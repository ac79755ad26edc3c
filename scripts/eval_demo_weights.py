"""Score the demo weights by AIS, APG and AMG, beside Otsu's threshold, on images never trained on.

    python scripts/eval_demo_weights.py --weights <folder> --data <data.root> --limit 10

On full frames of `dsb/test` and `u20s` below `data.root`, through micro-sam's own classes with
their defaults; AMG with a grid of 16 x 16. Prints mSA (exact thresholds) and seconds per image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_FOLDERS = {  # images, labels
    "dsb/test": ("dsb/test/images", "dsb/test/masks"),
    "u20s": ("u20s/images", "u20s/labels"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table; write the rows where asked for."""
    chosen = _arguments(arguments)
    from demo import cpu

    cpu.prepare(chosen.threads)
    import torch

    torch.set_num_threads(chosen.threads)
    from demo import output
    from demo.scoring import MicroSam, mean

    networks = output.read_weights(chosen.weights)
    model = MicroSam(networks.sam, networks.decoder)
    results: dict[str, Any] = {}
    for name in chosen.sets:
        images = list(_images(chosen.data, name, chosen.limit))
        if not images:
            sys.exit(f"{chosen.data / _FOLDERS[name][0]} holds no .tif")
        rows = [*_otsu(images), *model.scores(images, chosen.modes)]
        results[name] = [row._asdict() for row in rows]
        for mode in ("otsu", *chosen.modes):
            own = [row for row in rows if row.mode == mode]
            seconds = [row.seconds for row in own]
            print(
                f"{name:9} {mode:5} mSA {mean(own, mode):.3f}  ({len(own)} images, "
                f"{sum(seconds) / len(own):.2f} s each, at most {max(seconds):.2f} s)",
                flush=True,
            )
    if chosen.rows:
        output.write_json(chosen.rows, results)


def _otsu(images: Sequence[tuple[str, Any, Any]]) -> Iterator[Any]:
    import time

    from demo.scoring import Score, accuracy

    from models.otsu import OtsuWatershed

    model = OtsuWatershed()
    for name, image, true in images:
        start = time.perf_counter()
        found = model.predict(image)
        seconds = time.perf_counter() - start
        yield Score(name, "otsu", accuracy(true, found), int(found.max()), seconds)


def _images(root: Path, name: str, limit: int | None) -> Iterator[tuple[str, Any, Any]]:
    import tifffile

    images, labels = (root / folder for folder in _FOLDERS[name])
    for path in sorted(images.glob("*.tif"))[:limit]:
        yield path.stem, tifffile.imread(path), tifffile.imread(labels / path.name)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", type=Path, required=True, help="folder with the two safetensors files")
    add("--data", type=Path, required=True, help="data.root, with dsb/test and u20s")
    add("--limit", type=int, help="images of each set; all where not given")
    add("--sets", nargs="+", choices=list(_FOLDERS), default=list(_FOLDERS))
    add("--modes", nargs="+", choices=("ais", "apg", "amg"), default=["ais", "apg", "amg"])
    add("--threads", type=int, default=1, help="of torch")
    add("--rows", type=Path, help="a JSON file for the rows of all images")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
