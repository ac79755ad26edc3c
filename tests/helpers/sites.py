"""A site of finished runs and published numbers, some with names that mean harm.

It takes long; `report_site/conftest.py` has its fixtures, so that several files share the one.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.runs import PROTOCOLS, drawn, make_job

from benchmark.paper.published import published_frame
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import load_results
from benchmark.report.site import write_site
from benchmark.scoring.protocol import Protocol
from benchmark.store.digest import json_digest

HOSTILE = "<img src=x onerror=alert(1)>_&%"
CLOSING = "</script><script>alert(2)</script>"
PAPER = Protocol(**PROTOCOLS["paper"])


def do_job(root, name, target, data=None, **parameters):
    """A finished run on the drawn images."""
    from helpers.runs import do

    data = data or drawn(per_style=4, size=96)
    do(make_job(root, name=name, target=target, data=data, **parameters))


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Runs of a classical method, of another with a hostile name, and of two controls."""
    root = tmp_path_factory.mktemp("runs")
    data = drawn(per_style=8, size=96) | {
        "title": "Drawn cells", "modality": "synthetic", "licence": "CC0", "redistribute": "yes",
        "channels": ["grey"], "notes": [HOSTILE, CLOSING], "citation": CLOSING,
    }  # fmt: skip
    do_job(root, "otsu", "models.otsu.OtsuWatershed", data)
    do_job(root, HOSTILE, "models.otsu.OtsuWatershed", data, sigma=3.0)
    do_job(root, "oracle", "models.controls.Oracle", data)
    do_job(root, "empty", "models.controls.Empty", data)
    return load_results(root / "results" / "runs", PAPER)


def as_simulated(result, **changes):
    """The same scores as if of another run, whose folder is gone."""
    run_id = json_digest(changes["data"])
    return replace(result, path=Path("gone", run_id[-12:]), run_id=run_id, **changes)


@pytest.fixture(scope="session")
def every(results):
    """The runs, and some on data of a hostile name whose samples have hostile names as well."""
    renamed = [HOSTILE, CLOSING, *(f"s{i}" for i in range(14))]
    otsu = next(result for result in results if result.model == "otsu")
    scores = otsu.scores.set_axis(renamed)
    other = [
        as_simulated(otsu, data=HOSTILE, data_label=HOSTILE, scores=scores),
        as_simulated(otsu, data=CLOSING, data_label=CLOSING, model=CLOSING, config=""),
        as_simulated(otsu, data="halfway", data_label="", expected=99),
    ]
    return [*results, *other]


@pytest.fixture(scope="session")
def cells(every):
    return pd.concat([published_frame(), frame_of_runs(every)], ignore_index=True)


@pytest.fixture(scope="session")
def site(every, cells, tmp_path_factory):
    return write_site(cells, every, tmp_path_factory.mktemp("site") / "s", private=False).parent
