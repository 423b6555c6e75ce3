"""Figures of speed that are kept together are of one version on one machine."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")
COST = {"bare_scan": [{"cpu": 1.0, "wall": 1.0, "figure": 0, "gib": 0.1}]}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what was measured of a million customers, by this version on this machine."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import speed

    monkeypatch.setattr(speed, "MEASURED", tmp_path)
    monkeypatch.setattr(speed, "version", lambda: "0123abc")
    monkeypatch.setattr(speed, "machine", lambda: "one core, 1 GiB")
    file = tmp_path / "1m.json"
    said = {"version": "0123abc", "machine": "one core, 1 GiB", "loads": [0.5], "costs": COST}
    file.write_text(json.dumps({**said, "failed": []}))
    return file


@pytest.mark.usefixtures("kept")
def test_figures_are_added_to_those_of_the_same_version_and_machine() -> None:
    from speed import begun

    assert begun(1, add=True)["costs"] == COST
    assert begun(1, add=False)["costs"] == {}
    assert begun(5, add=True)["costs"] == {}, "nothing was measured of that size"


@pytest.mark.parametrize("other", ["version", "machine"])
def test_figures_are_not_added_to_those_of_another(kept: Path, other: str) -> None:
    from speed import begun

    kept.write_text(json.dumps({**json.loads(kept.read_text()), other: "another"}))
    with pytest.raises(click.UsageError, match=r"1m\.json is of another version or machine"):
        begun(1, add=True)
    assert begun(1, add=False)["costs"] == {}


@pytest.mark.usefixtures("kept")
def test_every_piece_of_work_that_is_measured_is_known() -> None:
    from speed import LONG, PEERS, ROUNDS
    from speed_page import WORKS
    from speed_work import WORK

    assert {*ROUNDS, *PEERS, *LONG} == WORK.keys()
    assert WORK.keys() >= set(WORKS), "the page shows what no work makes"
