"""Runs whose model leaves a trace of what it was asked."""

import pytest


@pytest.fixture
def root(root, tmp_path, monkeypatch):
    """The same, and a trace of what models do."""
    (tmp_path / "trace").touch()
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    return tmp_path


def started(root):
    """The samples predicted since last asked, in order."""
    lines = (root / "trace").read_text().splitlines()
    (root / "trace").write_text("")
    return [line.split()[1] for line in lines if line.startswith("start")]
