"""Failures of many samples: each sentence once, with its count and the first samples."""

from helpers.runs import SAMPLES, do, make_job
from helpers.traced import root as root

from benchmark.failures import grouped


def test_equal_sentences_are_one_line_the_most_frequent_first():
    failed = {"z": "no memory"} | {f"s{i}": f"sample 's{i}': wrong shape" for i in range(10)}
    assert grouped(failed) == [
        "10 samples: 's0', 's1', 's2' and 7 more: sample 's0': wrong shape",
        "'z': no memory",
    ]
    assert grouped({"a": "x", "b": "x"}, "run") == ["2 runs: 'a', 'b': x"]
    assert grouped({}) == [] and grouped({"a": "x", "b": "x"}) == ["2 samples: 'a', 'b': x"]


def test_a_run_prints_a_repeated_reason_once_and_counts_it(root, monkeypatch, capsys):
    odd = {SAMPLES[0]: "raise", SAMPLES[1]: "float", SAMPLES[2]: "raise", SAMPLES[3]: "raise"}
    monkeypatch.setenv("ODD", ",".join(f"{sample}={what}" for sample, what in odd.items()))
    outcome = do(make_job(root, max_failures=4))
    told = capsys.readouterr().err
    failures = [line for line in told.splitlines() if line.startswith("sample '")]
    assert len(failures) == 2 and told.count("raised RuntimeError") == 1
    lines = outcome.problem.splitlines()
    first = f"3 samples: '{SAMPLES[0]}', '{SAMPLES[2]}', '{SAMPLES[3]}': "
    assert "4 of 4 samples failed" in lines[0] and first in lines[0]  # a sweep shows one line
    assert f"'{SAMPLES[1]}': " in lines[1] and len(lines) == 2
    again = do(make_job(root, max_failures=3))
    assert again.stopped.count("raised RuntimeError") == 1 and "3 samples: " in again.stopped


def test_a_short_id_is_not_looked_for_inside_other_words():
    failed = {"a": "'a' can't be cast", "b": "'b' can't be cast", "ab": "'ab' can't be cast"}
    assert grouped(failed) == ["3 samples: 'a', 'b', 'ab': 'a' can't be cast"]
