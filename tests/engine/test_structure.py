"""Which room may import which: arrows run downwards, and no two modules import each other."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
FLOORS = (
    {"__main__"},
    {"cli"},
    {"actions"},
    {"sweeps"},
    {"paper"},
    {"report", "export", "tuning"},
    {"rescore", "run", "job", "verify"},
    {"framing"},
    {"adapter", "scoring"},
    {"data"},
    {"store"},
    {"stats", "workers", "profiling", "background", "compiled"},
    {"own_yaml"},
    {
        "choices", "console", "failures", "fitted_table", "garbage_collection", "import_path",
        "interrupts", "parent", "settings", "threads",
    },
    {"types"},
    {"errors"},
)  # fmt: skip
MODELS_MAY_IMPORT = {
    "types", "errors", "settings", "background", "console", "garbage_collection", "profiling",
    "store", "data.formats.images", "data.formats.labels", "data.remarks", "data.sources.folder",
    "data.sources.layouts",
}  # fmt: skip


def modules(package):
    found = {}
    for path in sorted((CHECKOUT / package).rglob("*.py")):
        name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(known):
    """Module -> the modules that it imports, anywhere in it, for type checking as well."""
    arrows = defaultdict(set)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                found = {name if name in known else node.module for name in names}
            elif isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            else:
                continue
            arrows[module] |= (found & known.keys()) - {module}
    return arrows


@pytest.fixture(scope="module")
def arrows():
    return imports(modules("benchmark") | modules("models"))


def room(module):
    return module.split(".")[1] if "." in module else ""


def test_no_module_imports_itself_by_way_of_others(arrows):
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_room_has_its_floor():
    rooms = {room(module) for module in modules("benchmark")} - {""}
    assert rooms == set().union(*FLOORS)


def test_imports_run_downwards(arrows):
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    upwards = {
        (module, imported)
        for module, found in arrows.items()
        for imported in found
        if module.startswith("benchmark.") and imported.startswith("benchmark.")
        if floor[room(module)] > floor[room(imported)]
    }
    assert upwards == set()


def test_models_import_little_of_the_engine_and_the_engine_no_model(arrows):
    for module, found in arrows.items():
        of_engine = {name for name in found if name.startswith("benchmark.")}
        if module.startswith("models"):
            parts = {name.removeprefix("benchmark.") for name in of_engine}
            assert all({part, part.split(".")[0]} & MODELS_MAY_IMPORT for part in parts), module
        else:
            assert not any(name.startswith("models") for name in found), module


def test_a_circle_is_seen(tmp_path):
    for name, imported in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.py").write_text(f"def f():\n    from x.{imported} import f\n")
    known = {f"x.{name}": tmp_path / f"{name}.py" for name in "ab"}
    with pytest.raises(CycleError):
        TopologicalSorter(imports(known)).prepare()
