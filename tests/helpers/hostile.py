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


def doubling(line, first="x", times=40):
    """Parameters of which each refers twice to the one before."""
    lines = [line.format(this=i, last=i - 1) for i in range(1, times)]
    return "\n".join([f"p0: {first}", *lines])


REFERENCES = 'p{this}: "${{model.p{last}}}${{model.p{last}}}"'
GLOBAL = "# @package _global_\n{}\nmodel:\n  name: mine\n  _target_: models.otsu.OtsuWatershed\n"


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
    "references that double": f"name: mine\n{OTSU}\n{doubling(REFERENCES)}\n",
    "references to nothing that double": f"name: mine\n{OTSU}\n{doubling(REFERENCES, repr(''))}\n",
    "relative references that double": f"name: mine\n{OTSU}\n{doubling(REFERENCES)}\n".replace(
        "${model.", "${."
    ),
    "references in mappings that double": f"name: mine\n{OTSU}\n"
    + doubling('p{this}: {{a: "${{model.p{last}}}", b: "${{model.p{last}}}"}}', "{a: 1}"),
    "references with a reference that double": f"name: mine\n{OTSU}\nk: p\n"
    + doubling('p{this}: "${{model.${{model.k}}{last}}}${{model.${{model.k}}{last}}}"'),
    "a name of references that double": f'name: "${{model.p39}}"\n{OTSU}\n{doubling(REFERENCES)}',
    "references without end": f'name: mine\n{OTSU}\na: "{"${model.name}" * 20_000}"\n',
    "references in references": f'name: mine\n{OTSU}\na: "{"${model." * 400}a{"}" * 400}"\n',
    "a list of itself": f"name: mine\n{OTSU}\na: &a [*a]\n",
    "mappings merged that multiply": f"name: mine\n{OTSU}\np0: &a0 {{x: 1}}\n"
    + "\n".join(f"p{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 30)),
    "many keys": f"name: mine\n{OTSU}\n" + "\n".join(f"k{i}: 1" for i in range(50_000)),
    "a long list": f"name: mine\n{OTSU}\na: [{','.join('1' * 150_000)}]\n",
    "a very long value": f"name: mine\n{OTSU}\nsigma: {'x' * 2_000_000}\n",
    "a number of many digits": f"name: mine\n{OTSU}\nsigma: {'9' * 5_000}\n",
    "a number of many parts": f"name: mine\n{OTSU}\nsigma: {':'.join(['59'] * 3_000)}\n",
    "a number in base 16": f"name: mine\n{OTSU}\nsigma: 0x{'f' * 100_000}\n",
    "two keys of one name": f"name: mine\nname: other\n{OTSU}\n",
    "a byte that is 0": f"name: mine\0\n{OTSU}\n",
    "a name with a 0": named("a\\0b"),
    "a class with a 0": 'name: mine\n_target_: "models.otsu\\0.OtsuWatershed"\n',
    "a tab": f"name: mine\n\t{OTSU}\n",
    "a key that is nothing": f"name: mine\n{OTSU}\nnull: 3\n",
    "keys that are no text": f"name: mine\n{OTSU}\n3: 3\n.nan: 3\ntrue: 3\n",
    "a set": f"name: mine\n{OTSU}\nsigma: !!set {{a, b}}\n",
    "a tag of another type": f"name: mine\n{OTSU}\nsigma: !!bool maybe\n",
    "two documents": f"name: mine\n{OTSU}\n---\nname: other\n",
    "half a reference": f"name: mine\n{OTSU}\nsigma: ${{\n",
    "a default that is itself": f"defaults: [mine]\nname: mine\n{OTSU}\n",
    "thousands of defaults": f"defaults: [{', '.join(['otsu'] * 3_000)}]\nname: mine\n{OTSU}\n",
    "defaults that are a mapping": f"defaults: {{a: b}}\nname: mine\n{OTSU}\n",
    "defaults that are nothing": f"defaults: [null]\nname: mine\n{OTSU}\n",
    "a sweep without end": GLOBAL.format(
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: 'range(0,1000000000)'}}}"
    ),
    "a folder that leads out": GLOBAL.format("hydra: {run: {dir: ../../../evil}}"),
    "a cache without end": GLOBAL.format(f"cache: {'9' * 350}GB"),
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
