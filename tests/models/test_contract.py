"""Every model keeps the contract between engine and adapter, which `helpers/contract.py` states.

With `--config-dir`, the models of that folder instead. From the folder where their module is:

    python -m pytest <checkout>/tests/models/test_contract.py --config-dir myconfigs
"""

import importlib

import numpy as np
import pytest
import tifffile
from helpers import contract
from helpers.runs import HELPERS

from benchmark.choices import CONFIGS, choices

SMALL = {  # a model whose weights are not here -> the same in small, and what makes its weights
    "sam": ("small_sam", "small_musam"),
    "musam_amg": ("small_musam_amg", "small_musam"),
    "musam_ais": ("small_musam_ais", "small_musam"),
    "apg": ("small_apg", "small_musam"),
    "apg_boundary": ("small_apg_boundary", "small_musam"),
    "sam2": ("small_sam2", "small_sam2"),
    "sam3": ("small_sam3", "small_sam3"),
    "cellpose_sam": ("small_cellpose_sam", "small_cellpose"),
    "cellpose_dino": ("small_cellpose_dino", "small_cellpose_dino"),
    "instanseg": ("small_instanseg", "small_instanseg"),
    "stardist": ("small_stardist", "small_stardist"),
}
STANDING_IN = ("cellpose_dino",)  # in small it does without its library
QUICKER = dict.fromkeys(("demo_amg", "sam", "musam_amg"), ("model.points_per_side=2",))


def pytest_generate_tests(metafunc):
    here = metafunc.config.invocation_params.dir
    own = [here / folder for folder in metafunc.config.getoption("config_dir")]
    found = [(name, folder) for folder in own or [CONFIGS] for name in choices("model", [folder])]
    metafunc.parametrize(("model", "folder"), found, ids=[name for name, _ in found])


def test_a_model_keeps_the_contract(model, folder, tmp_path, request):
    if folder == CONFIGS:
        words = QUICKER.get(model, ())
        if model == "precomputed":
            words = (f"model.predictions={_predictions(tmp_path / 'predictions')}",)
        found = contract.check(model, tmp_path, tmp_path, *words)
    else:
        place = request.config.invocation_params.dir
        found = contract.check(model, tmp_path, place, configs=folder)
    no_weights = str(found.skipped).startswith("weights unavailable")
    if (no_weights or model in STANDING_IN) and model in SMALL and folder == CONFIGS:
        found = _small(model, tmp_path)
    if found.violations:
        pytest.fail(f"{model}:\n{contract.sentences(found.violations)}", pytrace=False)
    if found.skipped:
        pytest.skip(f"not built, only its description was checked: {found.skipped}")


def _predictions(folder):
    folder.mkdir()
    for sample in contract.SAMPLES:
        tifffile.imwrite(folder / f"{sample.id}.tif", np.asarray(sample.labels))
    return folder


def _small(model, folder):
    name, module = SMALL[model]
    path = folder / "random.pt"
    made = importlib.import_module(f"helpers.{module}").make_checkpoint(path)
    words = (f"model.weights={path if made is None else made}", *QUICKER.get(model, ()))
    return contract.check(name, folder, folder, *words, configs=HELPERS / "configs")
