"""Public data sets as the command line would compose them, read through the real loaders."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from benchmark.choices import CONFIGS
from benchmark.cli.hydra_config import config_loader, load
from benchmark.data.prepare import prepare
from benchmark.data.prepared import PreparedData
from benchmark.data.sources import fetch, loader


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
    with mock.patch.object(GlobalHydra.instance(), "hydra", None):  # importing sam2 leaves one
        config = load(config_loader(), words)
    return {key: OmegaConf.to_container(config[key], resolve=True) for key in ("model", "data")}


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
