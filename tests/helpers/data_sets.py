"""Public data sets as the command line would compose them, read through the real loaders."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from benchmark.choices import CHECKOUT, CONFIGS
from benchmark.cli import plugin
from benchmark.data.prepare import prepare
from benchmark.data.prepared import PreparedData
from benchmark.data.sources import fetch, loader
from benchmark.settings import Settings


def public_data_sets() -> list[str]:
    """Those that are read through torch_em."""
    texts = {path.stem: path.read_text() for path in sorted((CONFIGS / "data").glob("*.yaml"))}
    return [
        key
        for key, text in texts.items()
        if "base/torch_em" in yaml.safe_load(text).get("defaults", [])
    ]


@functools.cache
def composed(key: str, *words: str) -> dict[str, Any]:
    """The configuration of a data set, resolved."""
    return composed_whole(f"data={key}", *words)["data"]  # type: ignore[no-any-return]


def composed_whole(*words: str) -> dict[str, Any]:
    """A whole configuration, resolved, as the command line's words make it."""
    plugin.register()
    ConfigStore.instance().store(name="settings", node=Settings)
    OmegaConf.register_new_resolver("checkout", lambda: str(CHECKOUT), replace=True)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("config", overrides=list(words))
            return {
                key: OmegaConf.to_container(config[key], resolve=True) for key in ("model", "data")
            }
    finally:
        GlobalHydra.instance().clear()


def source_of(key: str, root: Path, datasets: Path, *words: str) -> Any:
    """The data set's source; nothing is downloaded."""
    config = composed(key, *words)
    places = {"root": str(root), "lists": str(datasets / key), "download": False}
    return instantiate(config["source"] | places, _convert_="all")


def prepared(key: str, root: Path, datasets: Path, split: str, *words: str) -> PreparedData:
    """The data set, prepared from what lies in the root."""
    config = composed(key, *words)
    return prepare(
        key,
        source_of(key, root, datasets, *words),
        config["recipe"],
        parameters=config["source"] | {"root": str(root)},
        datasets=datasets,
        split=split,
        allowed_failures=lambda images: 0,
        workers=1,
    )


@contextmanager
def loaders_in_this_process(monkeypatch: Any) -> Any:
    """The real loaders without a process for each: importing torch_em takes ten seconds."""

    def ask(request: fetch.Request, path: Path, download: bool) -> dict[str, Any]:
        here = Path.cwd()
        asked = (request.loader, str(path), request.calls, download, request.natural_order)
        try:
            return {"calls": loader.call(*asked)}
        except Exception as error:
            return {"error": type(error).__name__, "message": str(error)}
        finally:
            os.chdir(here)

    with monkeypatch.context() as patches:
        patches.setattr(loader, "guard_archives", lambda: None)
        patches.setattr(loader, "guard_downloads", lambda util: None)
        patches.setattr(loader, "forbid_downloads", lambda: None)
        patches.setattr(fetch, "ask", ask)
        yield
