"""Configurations of bounded size: what references and YAMLs may come to."""

import pytest
from helpers.hostile import doubling
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from benchmark.choices import choices
from benchmark.cli.bounds import MAX_STEPS, refuse_growth
from benchmark.cli.hydra_config import config_loader, load
from benchmark.cli.hydra_plugins import cell_benchmark as plugin
from benchmark.errors import UsageError
from benchmark.own_yaml import MAX_DEPTH, MAX_DIGITS, MAX_VALUES, read_yaml


def config_of(text):
    return OmegaConf.create(text)


GROWING = {
    "texts": doubling('p{this}: "${{p{last}}}${{p{last}}}"'),
    "empty texts": doubling('p{this}: "${{p{last}}}${{p{last}}}"', "''"),
    "relative": doubling('p{this}: "${{.p{last}}}${{.p{last}}}"'),
    "mappings": doubling('p{this}: {{a: "${{p{last}}}", b: "${{p{last}}}"}}', "{a: 1}"),
    "lists": doubling('p{this}: ["${{p{last}}}", "${{p{last}}}"]', "[1]"),
    "in brackets": doubling('p{this}: "${{[p{last}]}}${{[p{last}]}}"'),
    "of Hydra": "hydra:\n"
    + doubling('p{this}: "${{hydra:p{last}}}${{hydra:p{last}}}"')
    .replace("p", "  p", 1)
    .replace("\np", "\n  p"),
    "varying": "k: a\nv:\n  a: {x: 1}\n"
    + doubling('p{this}: {{x: "${{p{last}}}", y: "${{p{last}}}"}}', "${v.${k}}"),
    "to itself": "a: ${a}",
    "to what contains it": "a: {b: '${a}'}",
    "to itself by a varying key": "k: a\na: {b: '${a.${k}}'}",
    "in a long row": doubling("p{this}: ${{p{last}}}", times=MAX_STEPS + 2),
}


@pytest.mark.parametrize("what", GROWING)
def test_references_that_come_to_too_much_are_refused_at_once(what):
    with pytest.raises(UsageError, match=r"is refused: its references"):
        refuse_growth(config_of(GROWING[what]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\nb: ${a}\nc: '${a}${b}'",
        doubling("p{this}: ${{p{last}}}", times=MAX_STEPS),
        "k: x\nrules: {x: [1, 2], y: 3}\nsplits: ${rules.${k}}",
        "a: {b: 1, c: '${.b}', d: ['${..b}']}",
        "a: '\\${a}'",
        "a: ${nowhere}",
    ],
)
def test_others_are_not(text):
    refuse_growth(config_of(text))


def test_all_of_ours_are_far_from_the_bound():
    loader = config_loader()
    for group in ("model", "data", "protocol"):
        for name in choices(group):
            load(loader, [f"{group}={name}"])
    for name in choices("experiment"):
        load(loader, [f"+experiment={name}"], RunMode.MULTIRUN, sweeps_anyway=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [" + "1," * MAX_VALUES + "1]", "too many values"),
        ("a: '" + "${b}" * 2000 + "'", "too many references"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
        ("a: " + "{a: " * 5000 + "1" + "}" * 5000, "nested too deeply"),
        ("a: &a [*a]", "repeats its aliases"),
        ("a: &a [x, x]\n" + "\n".join(f"b{i}: [*a, *a]" for i in range(9000)), "values|aliases"),
        ("a: " + "9" * (MAX_DIGITS + 1), "digits"),
        ("a: " + ":".join(["59"] * 3000), "digits"),
        ("a: 0x" + "f" * 5000, "digits"),
        ("a: " + "x" * 2_000_000, "bytes"),
        ("null: 1", "not valid"),
        ("a: !!set {x, y}", "not valid"),
        ("a: !!bool maybe", "not valid"),
        ("a: !!int x", "not valid"),
        ("a: ${", "not valid"),
        ("a: 1\na: 2", "duplicate"),
        ("a: x\0y", "not valid YAML"),
        ("a:\n\t- b", "line 2"),
    ],
)
def test_a_yaml_that_is_too_much_or_not_valid_is_named(content, said, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"{path}.*({said})"):
        read_yaml(path)


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}",
        "a: '" + "9" * 5000 + "'",
        "a: " + "0123456789abcdef" * 8,
        "a: " + "[" * 20 + "]" * 20,
    ],
)
def test_what_is_not_is_read(content, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    assert "a" in read_yaml(path)


@pytest.mark.parametrize(
    "values",
    [["seed=range(0,1000000000)"], [f"{key}=range(0,1000)" for key in ("seed", "limit")]],
)
def test_a_sweep_of_too_many_jobs_is_refused_before_they_are_made(values):
    overrides = OverridesParser.create().parse_overrides(values)
    with pytest.raises(HydraException, match="more than"):
        plugin.combinations(overrides)
