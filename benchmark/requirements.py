"""Whether a model's library is installed: from package metadata, before anything is imported."""

from __future__ import annotations

from packaging.requirements import Requirement

from benchmark.provenance import library_versions


def library_obstacle(adapter: type) -> str | None:
    """What is missing to import an adapter's libraries, with the line that installs it.

    Args:
        adapter: its class; `requires` and `install` as told in `benchmark.types.Segmenter`.
    """
    wanting = [w for text in getattr(adapter, "requires", ()) if (w := _wanting(Requirement(text)))]
    if not wanting:
        return None
    install = getattr(adapter, "install", "")
    return f"{'; '.join(wanting)}." + (f" Install with: {install}" if install else "")


def _wanting(requirement: Requirement) -> str | None:
    version = library_versions([requirement.name])[requirement.name]
    if version is None:
        return f"{requirement} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is needed, {version} is installed"
    return None
