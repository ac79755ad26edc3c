"""What a protocol with an altered switch is called, so that nobody takes it for the study's."""

import pytest
import yaml
from helpers.runs import PROTOCOLS, do, make_job

from benchmark.actions import compare, report
from benchmark.choices import CONFIGS
from benchmark.errors import UsageError
from benchmark.paper.report import FURTHER_TEST
from benchmark.report.results import gather, is_altered
from benchmark.scoring.protocol import Protocol, words_of


def ours(name):
    return yaml.safe_load((CONFIGS / "protocol" / f"{name}.yaml").read_text())


@pytest.mark.parametrize(
    ("name", "altered", "called"),
    [
        ("paper", {}, "paper"),
        ("paper", {"threshold_grid": "drifting"}, "paper"),
        ("paper", {"threshold_grid": "exact"}, "paper (threshold_grid=exact)"),
        ("clean", {"pad_small": True}, "clean (pad_small=true)"),
        ("paper", {"both_empty": "exclude", "library_quirks": False},
         "paper (both_empty=exclude, library_quirks=false)"),
        ("paper", {"name": "mine", "threshold_grid": "exact"}, "mine"),
    ],
)  # fmt: skip
def test_what_differs_from_the_yaml_of_that_name_is_named(name, altered, called):
    protocol = Protocol.of_settings(ours(name) | altered)
    assert protocol.name == called
    for key, value in altered.items():
        assert key == "name" or getattr(protocol, key) == value
    assert (called == FURTHER_TEST.protocol) == (protocol == Protocol(**ours("paper")))


def test_the_clean_protocol_under_the_studys_name_is_not_the_studys():
    assert Protocol.of_settings(ours("clean") | {"name": "paper"}).name.startswith("paper (")


def test_the_words_of_a_name_choose_that_protocol():
    assert words_of("paper") == ["protocol=paper"]
    words = words_of("paper (both_empty=exclude, library_quirks=false)")
    assert words == [
        "protocol=paper", "protocol.both_empty=exclude", "protocol.library_quirks=false",
    ]  # fmt: skip


def altered_job(root, **changes):
    job = make_job(root, **changes)
    job.settings.protocol = PROTOCOLS["paper"] | {"threshold_grid": "exact"}
    return job


def test_a_name_is_no_part_of_a_scores_key(root):
    plain = make_job(root)
    assert altered_job(root).score_key != plain.score_key  # as its switches are others
    renamed = make_job(root)
    renamed.settings.protocol = PROTOCOLS["paper"] | {"name": "x"}
    assert renamed.score_key == plain.score_key


def test_its_report_leaves_the_one_of_the_study_alone(root, capsys, blank_pictures):
    for job in (make_job(root), altered_job(root)):
        do(job)
        assert report.perform(job) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "protocol paper." in told and "protocol paper (threshold_grid=exact)." in told
    folders = {path.name for path in (root / "results" / "reports").iterdir()}
    assert len(folders) == 2 and "paper" in folders
    assert not any(set(name) & set(" (=)") for name in folders)


def test_what_to_do_without_a_run_is_told_in_words_that_work(root):
    job = altered_job(root)
    with pytest.raises(UsageError, match=r"protocol=paper protocol\.threshold_grid=exact\."):
        report.perform(job)


def test_the_studys_own_test_is_not_made_under_it(root, capsys):
    jobs = [altered_job(root, level=level) for level in (1.0, 1.3)]
    for job in jobs:
        do(job)
    jobs[0].settings.a, jobs[0].settings.b = (job.store.path.name for job in jobs)
    assert compare.perform(jobs[0]) == 0
    assert "the study's own test" not in capsys.readouterr().out


# --- models whose parameters follow the protocol ----------------------------------------


@pytest.mark.parametrize(
    ("config", "parameter", "study", "other"),
    [("sam3", "mask_order", "returned", "score"), ("cellsam", "grey_columns", True, False)],
)
def test_a_parameter_that_follows_the_protocol_is_altered_where_it_does_not(
    config, parameter, study, other
):
    written = yaml.safe_load((CONFIGS / "model" / f"{config}.yaml").read_text())
    parameters = {k: v for k, v in written.items() if k not in ("name", "_target_", "weights")}

    def altered(protocol, value):
        ran = {"target": written["_target_"], "parameters": parameters | {parameter: value}}
        return is_altered(config, ran, protocol)

    assert not altered(ours("paper"), study) and altered(ours("paper"), other)
    assert altered(ours("clean"), study) and not altered(ours("clean"), other)
    assert not altered({}, study) and not altered({}, other)  # nobody knows


def test_a_report_compares_it_with_its_own_protocol(root, monkeypatch):
    job = make_job(root, level=2.0)
    do(job)
    target = job.identity["target"]
    for follows, altered in (("mask_order", True), ("nothing_known", False)):
        yaml_ = {"_target_": target, "level": f"${{protocol.{follows}}}"}
        monkeypatch.setattr("benchmark.report.results.written", lambda *_, yaml_=yaml_: yaml_)
        ((result,), _) = gather(job.runs, Protocol(**PROTOCOLS["paper"]))
        assert result.altered == altered, follows
