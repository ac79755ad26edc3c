"""What the YAMLs of the SAM family have in common."""

import pytest
from helpers.sam_family import ADAPTERS

from benchmark.choices import CONFIGS


@pytest.mark.parametrize(("key", "default"), [("normalise", "min_max"), ("precision", "default")])
def test_every_yaml_has_the_shared_parameters(key, default):
    from omegaconf import OmegaConf

    targets = {f"{adapter.__module__}.{adapter.__name__}" for adapter in ADAPTERS}
    found = set()
    for path in sorted((CONFIGS / "model").glob("*.yaml")):
        config = OmegaConf.load(path)
        if config.get("_target_") in targets:
            assert config.get(key) == default, path.name
            found.add(config._target_)
    assert found == targets
