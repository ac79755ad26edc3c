"""Digests of the source code of an adapter, by which an edit of it is noticed.

What counts is the syntax tree: comments, docstrings and layout are free.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, TypeGuard

from benchmark.choices import CHECKOUT
from benchmark.store.digest import json_digest

CodeDigests = dict[str, str]
"""Digest by source file; files are named relative to the folder that Python finds them in."""

_DIGITS = 16


def code_digests(*modules: str) -> CodeDigests:
    """Return the digest of each source file that modules consist of.

    These are the modules, the packages that they are in, and, transitively, what they import from
    the same folder: the one that has the outermost package. Of a folder of installed libraries,
    that package alone. This repository's `benchmark` and `models` are left out.

    Args:
        modules: names of modules. One that is not imported yet is found, not imported; one that
            is not found, or has no source file, has no digest.
    """
    digests: CodeDigests = {}
    for name in modules:
        path = _source(name)
        if path is None:
            continue
        root = _root(name, path)
        if root is None:  # not found by its name, so neither is what it imports
            digests |= {path.name: _read(path, name)[0]}
            continue
        within = root / name.partition(".")[0] if _is_library(root) else root
        pending, seen = [name], set[Path]()
        while pending:
            for module, file in _files(root, pending.pop()):
                alone = file == path or file.is_relative_to(within)
                if file not in seen and alone and not _is_ours(file):
                    seen.add(file)
                    digest, imported = _read(file, module)
                    digests[file.relative_to(root).as_posix()] = digest
                    pending += imported
    return digests


def changes(before: Iterable[Mapping[str, str]], now: Mapping[str, str]) -> list[str]:
    """Return in words which files differ from those of earlier digests.

    Args:
        before: digests by file, as stored.
        now: the present ones.
    """
    found = set()
    for old in before:
        found |= {f"{file} was added" for file in now.keys() - old.keys()}
        found |= {f"{file} is no longer imported" for file in old.keys() - now.keys()}
        found |= {f"{file} was edited" for file in now.keys() & old if now[file] != old[file]}
    return sorted(found)


def is_code(stored: object) -> TypeGuard[CodeDigests]:
    """Whether a stored value is of digests by file, and not something else or nothing."""
    return (
        isinstance(stored, dict)
        and bool(stored)
        and all(isinstance(text, str) for item in stored.items() for text in item)
    )


def _source(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) if loaded else _origin(module)
    path = Path(file).absolute() if isinstance(file, str) else None
    return path if path is not None and path.suffix == ".py" and _is_file(path) else None


def _origin(module: str) -> str | None:
    """Return where the source of a module is that nothing has imported; nothing is imported."""
    places: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        finders = (getattr(each, "find_spec", None) for each in sys.meta_path)
        found = (find(name, places) for find in finders if find is not None)
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return spec.origin if spec is not None else None


def _root(module: str, path: Path) -> Path | None:
    """Return the folder that has the outermost package of a module, or the module itself."""
    depth = module.count(".") + (path.name == "__init__.py")
    root = path.parents[depth] if depth < len(path.parents) else None
    return root if root and path in (file for _, file in _files(root, module)) else None


def _files(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    """Yield of a module, and of each package that it is in, the name and the file, if any."""
    parts = [part for part in module.split(".") if part]
    for end in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:end])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if _is_file(file):
                yield ".".join(parts[:end]), file
                break


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that can't be searched
        return False


def _is_library(root: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & {*root.parts})


def _is_ours(file: Path) -> bool:
    true = file.resolve()
    return any(true.is_relative_to(CHECKOUT / folder) for folder in ("benchmark", "models"))


def _read(path: Path, module: str) -> tuple[str, list[str]]:
    """Return the digest of a file, and the names of what it may import."""
    try:
        source = path.read_bytes()
    except OSError:
        return "unreadable", []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is not ours to report
            tree = ast.parse(source)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        return json_digest(_plain(tree))[:_DIGITS], list(_imported(tree, package))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # each byte counts then
        return hashlib.sha256(source).hexdigest()[:_DIGITS], []


def _plain(node: Any) -> Any:
    """Convert a syntax tree to JSON types, without what is without effect.

    Empty fields are left out, as newer versions of Python add such.
    """
    if isinstance(node, ast.AST):
        fields = {name: _plain(value) for name, value in ast.iter_fields(node) if name != "kind"}
        return [type(node).__name__, {k: v for k, v in fields.items() if v not in (None, [])}]
    if isinstance(node, list):
        return [_plain(each) for each in node if not _is_idle(each)]
    return None if node is None else ascii(node)


def _is_idle(node: object) -> bool:
    """Whether a statement does nothing: `pass`, or a constant alone, as docstrings are."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted names that statements import, of modules or of what is in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield from (f"{base}.{each.name}" if base else each.name for each in node.names)
