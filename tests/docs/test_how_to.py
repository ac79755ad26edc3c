"""The how-to pages are followed to the letter, in a copy of the repository."""

import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import venv

import pytest
from helpers.pages import CHECKOUT, blocks

DOCS = CHECKOUT / "docs"
ADDING = sorted(path.stem for path in (DOCS / "how_to").glob("add_*.md"))
PAGES = [*(f"how_to/{page}" for page in ADDING), "large_images"]
IN_CHECKOUT = {page for page in PAGES if "```diff" in (DOCS / f"{page}.md").read_text("utf-8")}
SCRIPT = "import sys\nfrom benchmark.__main__ import run\nsys.exit(run())\n"


@pytest.fixture
def stranger(tmp_path):
    """A copy of the repository, an environment in which it is installed, a working directory."""
    copy, environment, home = (tmp_path / name for name in ("checkout", "environment", "home"))
    home.mkdir()
    for folder in ("benchmark", "configs", "models", "results/published", "tests"):
        shutil.copytree(CHECKOUT / folder, copy / folder, ignore=shutil.ignore_patterns("net"))
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    venv.EnvBuilder(symlinks=True).create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    (packages / "others.pth").write_text("\n".join([*others, *site.getsitepackages()]))
    for package, folder in installed_packages(copy):
        (packages / package).parent.mkdir(exist_ok=True)
        (packages / package).symlink_to(folder)
    script = environment / "bin" / "cell-benchmark"
    script.write_text(f"#!{environment}/bin/python\n{SCRIPT}")
    script.chmod(0o755)
    return copy, environment, home


def installed_packages(checkout):
    """What `pip install -e` maps: the path of a package, and its folder in the checkout."""
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in settings["packages"]:
        if "." not in package:
            yield package, checkout / package
    for package, folder in settings.get("package-dir", {}).items():
        yield package.replace(".", "/"), checkout / folder


def run(commands, folder, environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "BENCHMARK_DATA")}
    path = f"{environment / 'bin'}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=kept | {"PATH": path, "VIRTUAL_ENV": str(environment)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def patch(text, folder):
    """Apply a diff whose hunks are found by their lines, which lines of numbers would date."""
    path = folder / re.search(r"^\+\+\+ b/(.*)$", text, re.MULTILINE)[1]
    content = path.read_text(encoding="utf-8")
    for hunk in re.split(r"^@@.*@@\n", text, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert content.count(before) == 1, f"{path.name} has not once:\n{before}"
        content = content.replace(before, after)
    path.write_text(content, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_can_follow(page, stranger):
    copy, environment, home = stranger
    steps = blocks(f"docs/{page}.md")
    folder = copy if page in IN_CHECKOUT else home
    printed = ""
    for step in steps:
        if step.language in ("python", "yaml"):
            place, _, text = step.text.partition("\n")
            path = folder / place.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif step.language == "diff":
            patch(step.text, folder)
        elif step.language == "bash":
            printed += run(step.text.replace("<checkout>", str(copy)), folder, environment)
        elif step.language == "text":
            squeezed = {" ".join(line.split()) for line in printed.splitlines()}
            for line in step.text.splitlines():
                wanted = " ".join(line.split())
                assert any(wanted in one for one in squeezed), f"{line}\nis not in\n{printed}"
        else:
            pytest.fail(f"a block of language {step.language}")


def test_every_page_is_followed():
    kinds = ("data_set", "figure", "format", "metric", "model", "table")
    assert [f"add_a_{kind}" for kind in kinds] == ADDING
