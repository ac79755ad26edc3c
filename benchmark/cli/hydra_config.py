"""Hydra's part of the command line: where configurations lie, and one that is composed and checked.

It imports no numpy: a configuration says how many threads numpy may use.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import hydra
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from benchmark.choices import CHECKOUT, CONFIGS, GROUPS, config_folders
from benchmark.cli.bounds import refuse_growth
from benchmark.cli.code_keys import refuse_code
from benchmark.errors import DONE, UsageError
from benchmark.framing.framing import KEYS
from benchmark.own_yaml import read_yaml
from benchmark.settings import Settings

PLUGINS = "hydra_plugins.cell_benchmark"
OURS = {
    "launcher": (f"{PLUGINS}.ProcessLauncher", f"{PLUGINS}.SlurmLauncher"),
    "sweeper": (f"{PLUGINS}.JobSweeper",),
}
"""The plug-ins that run a sweep; of each kind the first is the default."""
VERSION_BASE = "1.3"
PRIMARY = "config"
"""The primary configuration, `configs/config.yaml`."""
MAX_DEFAULTS = 100
"""Entries of the defaults list of a YAML."""


class OwnFolders(SearchPathPlugin):
    """Adds the folders that the user names by `--config-dir` to those that Hydra searches."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add them after ours, all to be read by `YamlSource`."""
        scheme = f"{YamlSource.scheme()}://"
        for folder in config_folders()[:-1]:
            search_path.append("command-line", f"{scheme}{folder.absolute()}")
        for element in search_path.get_path():
            element.path = (element.path or "").replace("file://", scheme) or element.path


class YamlSource(ConfigSource):
    """A folder of YAMLs, which Hydra gets by `read_yaml`."""

    @staticmethod
    def scheme() -> str:
        """What its path starts with."""
        return "yaml"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a YAML.

        Raises:
            UsageError: it can't be read.
        """
        path = self._file(config_path)
        config = read_yaml(path)
        others = config.get("defaults") if isinstance(config, DictConfig) else None
        if isinstance(others, ListConfig) and len(others) > MAX_DEFAULTS:
            raise UsageError(
                f"{path} names {len(others)} others in its defaults list; it may name "
                f"{MAX_DEFAULTS}."
            )
        with path.open(encoding="utf-8-sig") as file:
            header = self._get_header_dict(file.read(512))
        return ConfigResult(self.provider, self.full_path(), config, header)

    def available(self) -> bool:
        """Whether the folder exists."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Whether it is a folder."""
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Whether it is a YAML."""
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names of what is in a folder."""
        found: list[str] = []
        for name in sorted(path.name for path in Path(self.path, config_path).iterdir()):
            self._list_add_result(found, f"{config_path}/{name}", name, results_filter)
        return sorted(set(found))

    def _file(self, config_path: str) -> Path:
        return Path(self.path, self._normalize_file_name(config_path))


def config_loader() -> ConfigLoader:
    """Hydra's loader of our configurations and the user's own.

    Raises:
        UsageError: a folder of them is missing, or the plug-ins are not installed.
    """
    if not CONFIGS.is_dir():
        raise UsageError(
            f"{CONFIGS} is missing: the benchmark runs from its checkout, installed there with "
            "pip install -e ."
        )
    for folder in config_folders()[:-1]:
        if not folder.is_dir():
            raise UsageError(f"--config-dir {folder}: there is no such folder.")
    register()
    # A library of this process may have left its own: importing sam2 does.
    instance = GlobalHydra.instance()
    others, instance.hydra = instance.hydra, None
    try:
        with initialize_config_dir(str(CONFIGS), job_name="benchmark", version_base=VERSION_BASE):
            return instance.config_loader()
    finally:
        GlobalHydra.instance().hydra = others  # another instance: Hydra puts a copy back


def register() -> None:
    """Make known to Hydra: the types of the settings, our resolver, and our plug-ins.

    Hydra finds plug-ins only where packages are copied to, as from a wheel; of an editable
    install they are registered here. The choices of launcher and sweeper are ours alone, so
    those are registered here in any case.

    Raises:
        UsageError: the plug-ins are not installed.
    """
    plugins = Plugins.instance()  # it imports what it finds: again, if that was imported before
    try:
        found = importlib.import_module(PLUGINS)
    except ImportError as error:
        raise UsageError(
            f"{PLUGINS} is not installed; run again: pip install -e {CHECKOUT}"
        ) from error
    for name in (*OURS["launcher"], *OURS["sweeper"]):
        plugins.register(getattr(found, name.rpartition(".")[2]))
    plugins.register(OwnFolders)
    plugins.register(YamlSource)
    store = ConfigStore.instance()
    store.store(name="settings", node=Settings)
    launcher = {"_target_": OURS["launcher"][0]}
    store.store(group="hydra/launcher", name="processes", node=launcher)
    sweeper = {"_target_": OURS["sweeper"][0], "params": None}
    store.store(group="hydra/sweeper", name="jobs", node=sweeper)
    OmegaConf.register_new_resolver("checkout", lambda: str(CHECKOUT), replace=True)


def opened(overrides: Sequence[str], groups: Collection[str] = GROUPS) -> list[str]:
    """Let overrides of a group's parameters add those that its choice does not have.

    Args:
        overrides: of the command line.
        groups: the groups whose choice is open.
    """
    starts = tuple(f"{plus}{group}." for group in groups for plus in ("", "+"))
    return [f"++{each.lstrip('+')}" if each.startswith(starts) else each for each in overrides]


def with_engine_keys(overrides: Sequence[str]) -> list[str]:
    """Let overrides set what the engine takes of every model, which no YAML has to name."""
    starts = tuple(f"model.{key}{end}" for key in KEYS for end in "=.")
    bare = (each.lstrip("+") for each in overrides)
    return [
        f"++{name}" if name.startswith(starts) else each
        for name, each in zip(bare, overrides, strict=True)
    ]


def load(
    loader: ConfigLoader,
    overrides: Sequence[str],
    mode: RunMode = RunMode.RUN,
    *,
    sweeps_anyway: bool = False,
) -> DictConfig:
    """Compose a configuration, and check it before anything is made of it.

    Args:
        loader: Hydra's.
        overrides: of the command line.
        mode: what the configuration is for.
        sweeps_anyway: accept several values of one key, whatever the mode.

    Raises:
        HydraException, OmegaConfBaseException: it can't be composed.
        UsageError: a file can't be read, names code where it may not, or stands for too much.
    """
    try:
        config = loader.load_configuration(
            PRIMARY, with_engine_keys(overrides), mode, validate_sweep_overrides=not sweeps_anyway
        )
    except RecursionError as error:
        raise UsageError(
            "the configuration can't be composed: a YAML names itself in its defaults list, "
            "directly or by way of others."
        ) from error
    except (ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        # Of what Hydra does not expect in a YAML, and reports by no error of its own.
        raise UsageError(f"the configuration can't be composed: {error}.") from error
    refuse_code(config)
    refuse_growth(config)
    return config


def check_plugins(config: DictConfig) -> None:
    """Check that a sweep is run by our plug-ins: others lose exit statuses, and start no process.

    Raises:
        UsageError: another launcher or sweeper is chosen.
    """
    for part, ours in OURS.items():
        target = str(OmegaConf.select(config, f"hydra.{part}._target_"))
        if target not in ours:
            raise UsageError(
                f"hydra/{part} is {target}; a sweep takes none but its own: remove the override. "
                "Jobs run as processes, or by Slurm with +launcher=slurm."
            )


def show(flags: Mapping[str, str], overrides: Sequence[str]) -> int:
    """Let Hydra itself show a configuration, or what it knows, or set up completion.

    Args:
        flags: of the command line, with their values.
        overrides: of the command line.
    """
    sys.argv[1:] = [f"{flag}={value}" if value else flag for flag, value in flags.items()]
    sys.argv += with_engine_keys(overrides)
    full = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # its errors are raised, to be explained
    try:
        hydra.main(str(CONFIGS), PRIMARY, VERSION_BASE)(lambda config: None)()
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if full is not None:
            os.environ["HYDRA_FULL_ERROR"] = full
    return DONE
