"""YAMLs and names of files by somebody hostile, or from an odd system."""

import os

import numpy as np
import tifffile

OTSU = "_target_: models.otsu.OtsuWatershed"
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
)
FIFO = object()


def named(name):
    """A YAML of a model with this name, written as YAML has it between quotes."""
    return f'name: "{name}"\n{OTSU}\n'


YAMLS = {
    "aliases that multiply": f"name: mine\n{OTSU}\n{LAUGHS}\n",
    "a Python object": f'name: !!python/object/apply:os.system ["touch evil"]\n{OTSU}\n',
    "a command as a class": "name: mine\n_target_: os.system\ncommand: touch evil\n",
    "a command in a parameter": f"name: mine\n{OTSU}\nsigma: {{_target_: os.system, a: b}}\n",
    "lists in lists": f"name: {'[' * 20_000}",
    "mappings in mappings": f"name: {'{a: ' * 2_000}1{'}' * 2_000}\n{OTSU}\n",
    "another encoding": named("käfer").encode("cp1252"),
    "two bytes a letter": named("mine").encode("utf-16"),
    "no text": bytes(range(256)) * 20,
    "a name that leads out": named("../../evil"),
    "a name that changes the terminal": named("\\x1b[2J\\u202e\\u0085\\ud800"),
    "a name that is a formula": named("=HYPERLINK(0)"),
    "a name that is a page": named("<script>alert(1)</script>"),
    "a name that is markup": named("[red]\\\\textbf{x}|*_`"),
    "a very long name": named("x" * 100_000),
    "a name that refers to itself": f"name: ${{model.name}}\n{OTSU}\n",
    "a name that reads the environment": f"name: ${{oc.env:PATH}}\n{OTSU}\n",
    "a mapping as a name": f"name: {{a: b}}\n{OTSU}\n",
    "a list": "- name: mine\n- x\n",
    "a default that is a file": f"defaults: [/../../../../etc/passwd]\nname: mine\n{OTSU}\n",
    "a pipe": FIFO,
}
NAMES = {
    "names that change the terminal": ["a\x1b[2J", "a\nb", "\u202egif", "\x85"],
    "names that are not UTF-8": ["a\udcff", "b\udc80\udcfe"],
    "names that are formulas and pages": ["=1+1", "@x", "<img src=x>", "[red]", "$(touch x)"],
    "names that file systems reserve": ["CON", "nul.x", "a.", " ", ".. ", "x" * 240],
}  # fmt: skip
HOSTILE = YAMLS | NAMES


def leave_files(home, content):
    """Write images, their labels and a model's YAML below a folder.

    Args:
        home: a new folder.
        content: of the YAML, or the names of the images.

    Returns:
        The overrides of a run on them.
    """
    images = content if isinstance(content, list) else ["a"]
    for folder in ("images", "labels", "own/model"):
        (home / folder).mkdir(parents=True)
    labels = np.zeros((32, 32), np.uint8)
    labels[4:12, 4:12], labels[20:28, 16:28] = 1, 2
    for name in images:
        tifffile.imwrite(home / "images" / f"{name}.tif", labels * 50)
        tifffile.imwrite(home / "labels" / f"{name}.tif", labels)
    yaml = home / "own" / "model" / "mine.yaml"
    if content is FIFO:
        os.mkfifo(yaml)
    elif isinstance(content, list):
        yaml.write_text(named("mine"))
    else:
        yaml.write_bytes(content.encode() if isinstance(content, str) else content)
    return ["model=mine", "data=folder", "data.images=images", "data.labels=labels"]
