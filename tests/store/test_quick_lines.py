"""Lines read in one pass: what it accepts is what parsing and checking accept, to the bit."""

import json
import pickle
from pathlib import Path

import pytest

from benchmark.store import shapes
from benchmark.store.journal import Journal
from benchmark.store.record import Record

COLUMNS = {"id": [1, 2], "area": [20, 3], "best_iou": [0.5, 0], "border": [0, 1]}
STAGES = {
    "id": [1, 2], "prompted": [True, False], "first": [0.25, 1], "last": [0, 1], "kept": [0, 1],
    "result": [0.5, 1],
}  # fmt: skip
BELONGS = {"sample": "image_1", "prediction": "ab"}
ROWS = {
    "records": {
        **BELONGS, "status": "done", "attempt": 1, "seconds": 0.1, "stages": {"encode": 2.5e-7},
        "memory": {"host": 10**9}, "warm_up": False, "details": {"n": [1, {"deep": 0.5}]},
        "error": None, "traceback": None, "cached": {}, "stage_memory": {"encode": {"host": 1.5}},
    },
    "scores": {
        **BELONGS, "attempt": 2, "group": None, "n_true": 3, "n_predicted": 0,
        "true_positives": [3, 2, 0], "both_empty": False,
        "metrics": {"msa": 0.1, "pq": None, "n": 3},
    },
    "objects": {**BELONGS, "true": COLUMNS, "predicted": {name: [] for name in COLUMNS}},
    "stages": {**BELONGS, "prompts": 4, "kept": 2, "true": STAGES},
}  # fmt: skip
JSON = r"""
0 -0 1 -1 1.0 -0.0 0.1 1e2 5e-324 1e-400 2.2250738585072011e-308 1e400 -1e400 9007199254740992
9007199254740993 9007199254740994.0 123456789012345678901234567890 01 1. .5 +1 NaN Infinity
-Infinity true false null "" "x" "done" "error" "a/b" [] [1] [0.5] [true] [null] ["x"] [1,1.5] {}
{"x":1} {"x":1.0} {"x":null} {"x":"x"} {"x":1e999} {"x":NaN} {"x":{}} {"x":{"y":1}} {"x":[1]}
{"x":1,"x":2} "\ud800" "\u00e9" "\q" "\u0000" [1, tru nul
"""
VALUES = (*JSON.split(), '"\t"', '"\xe9"', "[" * 3000 + "]" * 3000, "1" * 5000)
"""What may stand in a line, valid or not."""


def places(value, place=()):
    """Every place in a value, its own keys and items as well."""
    yield place
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*place, key))


def replaced(row, place, text):
    """The line of a row with some JSON in one place."""
    copy = json.loads(json.dumps(row))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "@"
    return json.dumps(copy, separators=(",", ":")).replace('"@"', text)


def exact(value):
    """A value that equals no other of another type, or sign of zero."""
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    return [*map(exact, value)] if isinstance(value, list) else (type(value), repr(value))


def checked(line, kind):
    """What parsing and checking make of a line, without the keys that no reader knows."""
    try:
        row = shapes.parse(line.decode())
    except (ValueError, RecursionError):
        return None
    if shapes.misfit(row, shapes.ROWS[kind]) is not None:
        return None
    return {key: one for key, one in row.items() if key in shapes.ROWS[kind].__annotations__}


@pytest.mark.parametrize("kind", ROWS)
def test_what_one_pass_accepts_is_what_parsing_and_checking_make_of_it(kind):
    read, row = shapes.quick_reader(shapes.ROWS[kind]), ROWS[kind]
    lines = [replaced(row, place, text) for place in places(row) if place for text in VALUES]
    lines += [json.dumps({k: one for k, one in row.items() if k != left}) for left in row]
    whole = json.dumps(row)
    lines += [whole[:end] for end in range(len(whole))]
    lines += [f"{whole} ", f"{whole}\r", f"{whole}{{}}", f"[{whole}]", f"\ufeff{whole}", ""]
    lines += [f'{whole[:-1]},"sample":{text}}}' for text in VALUES]  # a key twice
    accepted = 0
    for line in (text.encode() for text in lines):
        found = read(line)
        if found is not None:
            accepted += 1
            assert exact(found) == exact(checked(line, kind)), line
    assert 50 < accepted < len(lines)


@pytest.mark.parametrize("kind", ROWS)
def test_a_line_as_it_is_written_is_read_in_one_pass(kind):
    row = ROWS[kind]
    assert exact(shapes.quick_reader(shapes.ROWS[kind])(json.dumps(row).encode())) == exact(row)


def test_columns_of_unequal_length_are_left_to_the_check():
    for kind in ("objects", "stages"):
        ragged = replaced(ROWS[kind], ("true", "id"), "[1]").encode()
        assert shapes.quick_reader(shapes.ROWS[kind])(ragged) is None
        assert checked(ragged, kind) is None


def test_attempts_of_which_everything_is_read_are_never_read_so():
    read = shapes.quick_reader(shapes.ROWS["attempts"])
    assert read(b'{"with":{"gpu":null,"packages":{}}}') is None


def journal(folder: Path, kind: str, *lines: bytes) -> Journal:
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return Journal(folder, shapes.ROWS[kind])


def test_a_check_of_a_journal_reads_keys_that_no_reader_knows(tmp_path):
    line = json.dumps(ROWS["records"]).encode()
    odd = line.replace(b"{", b'{"later":1e999,', 1)
    written = journal(tmp_path / "records", "records", line, odd)
    assert ["line 2, is damaged" in fault for fault in written.damage()] == [True]


@pytest.mark.parametrize("later", [b'"later":"\xff"', b'"later":NaN'])
def test_a_line_that_is_no_json_where_no_reader_looks_is_damaged(tmp_path, later, capsys):
    line = json.dumps(ROWS["records"]).encode()
    odd = line.replace(b"{", b"{" + later + b",", 1)
    written = journal(tmp_path / "records", "records", odd, line)
    assert len([*written.rows()]) == 1
    assert "line 1, is damaged" in " ".join(capsys.readouterr().err.split())


def test_a_line_that_one_pass_refuses_is_read_if_it_is_valid(tmp_path):
    row = ROWS["records"] | {"error": "\ud800", "details": {"note": "\xe9"}}
    lines = [json.dumps(row).encode()]
    lines.append(json.dumps(row | {"error": "\xe9"}, ensure_ascii=False).encode())
    read = [*journal(tmp_path / "records", "records", *lines).rows()]
    assert [one["error"] for one in read] == ["\ud800", "\xe9"]


def test_a_journal_and_a_record_reach_a_worker_process(tmp_path):
    written = journal(tmp_path / "records", "records", json.dumps(ROWS["records"]).encode())
    (row,) = written.rows()
    (again,) = pickle.loads(pickle.dumps(written)).rows()
    record = Record.of_row(row)
    assert again == row and pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize("sample", ["../x", "a..b", "nul", "", "x" * 200])
def test_an_id_that_is_no_safe_name_is_damaged(tmp_path, sample, capsys):
    line = json.dumps(ROWS["scores"] | {"sample": sample}).encode()
    assert [*journal(tmp_path / "scores", "scores", line).rows()] == []
