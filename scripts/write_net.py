"""Write the reference results in tests/net/ again, which tests/test_net.py compares with.

    python scripts/write_net.py [identities | predictions | reports ...]

Write them only where results change on purpose, and name the change in the commit. The stored
runs in tests/net/runs are never written again: they show that runs of then can still be read.
All of it takes about three minutes; the networks need the extra `models`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers import net


def write_identities(folder: Path) -> None:
    """Write the identity and the run id of every model."""
    (net.NET / "identities.json").write_text(net.text(net.identities(folder)))


def write_predictions(folder: Path) -> None:
    """Write label digests and scores of the classical and of the demo models."""
    for model in (*net.CLASSICAL, *net.DEMO):
        found = net.predictions(folder / model, model)
        if model in net.DEMO:
            found["environment"] = net.environment()
        (net.NET / "predictions").mkdir(exist_ok=True)
        (net.NET / "predictions" / f"{model}.json").write_text(net.text(found))


def write_reports(folder: Path) -> None:
    """Write the tables and the names of the files of every report."""
    for name in net.REPORTS:
        net.write_folder(net.NET / "reports" / name, net.report(folder / name, name))


PARTS = {
    "identities": write_identities,
    "predictions": write_predictions,
    "reports": write_reports,
}


def main() -> None:
    """Write the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    for name in parser.parse_args().parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder) / name)


if __name__ == "__main__":
    main()
