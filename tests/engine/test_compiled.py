"""numba's cache on disk is optional: where it can't be used, functions compile in each process."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SCRIPT = """
from benchmark.compiled import compiled

@compiled
def double(number):
    return 2 * number

@compiled
def quadruple(number):
    return double(double(number))

if __name__ == "__main__":
    print(quadruple(3), quadruple(0.5))
"""


def no_folder(script, cache):
    (script.parent / "__pycache__").write_text("a file, in which nothing can be created")
    return {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}


def no_room(script, cache):
    return {"NUMBA_CACHE_DIR": str(cache), "NO_ROOM": "1"}


def damaged(script, cache):
    run(script, NUMBA_CACHE_DIR=str(cache))
    for path in cache.rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:-10])
    return {"NUMBA_CACHE_DIR": str(cache)}


def empty(script, cache):
    run(script, NUMBA_CACHE_DIR=str(cache))
    for path in cache.rglob("*.nb?"):
        path.write_bytes(b"")
    return {"NUMBA_CACHE_DIR": str(cache)}


def unreadable(script, cache):
    run(script, NUMBA_CACHE_DIR=str(cache))
    for path in cache.rglob("*.nbi"):
        path.unlink()
        path.mkdir()
    return {"NUMBA_CACHE_DIR": str(cache)}


def run(script, **environment):
    given = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment["PYTHONPATH"] = str(CHECKOUT)
    return subprocess.run(
        [sys.executable, str(script)], env=given | environment, capture_output=True, text=True
    )


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "code" / "script.py"
    path.parent.mkdir()
    limits = (
        "import os\n"
        "if os.environ.get('NO_ROOM'):\n"
        "    import resource\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    )
    path.write_text(limits + SCRIPT)
    return path


@pytest.mark.parametrize("spoilt", [no_folder, no_room, damaged, empty, unreadable])
def test_functions_compile_and_a_note_is_printed_where_the_cache_is(spoilt, script, tmp_path):
    if spoilt is no_room:
        pytest.importorskip("resource")
    environment = spoilt(script, tmp_path / "cache")
    done = run(script, **environment)
    assert (done.returncode, done.stdout) == (0, "12 2.0\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert "NUMBA_CACHE_DIR" in line


def test_the_machine_code_is_cached_where_there_is_room(script, tmp_path):
    for _ in range(2):
        done = run(script, NUMBA_CACHE_DIR=str(tmp_path / "cache"), NUMBA_DEBUG_CACHE="1")
        assert done.returncode == 0 and done.stderr == ""
    assert "data loaded" in done.stdout and "saved" not in done.stdout


def test_nothing_else_compiles():
    for path in (CHECKOUT / "benchmark").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert path.name == "compiled.py" or "numba" not in names, path
