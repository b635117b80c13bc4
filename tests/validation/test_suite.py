"""The suite at a tenth of its size: every gate passes, every naive analysis fails, the page says what was found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from upbringing.base.errors import FormatError
from upbringing.validation.exact import CHECKS
from upbringing.validation.gates import read_gate
from upbringing.validation.monte_carlo import simulate
from upbringing.validation.page import page_of
from upbringing.validation.run import Validation, selected, validate
from upbringing.validation.suite import experiments, not_run

ROOT = Path(__file__).parent.parent.parent
SHARE = 0.04  # under a minute on one processor
CONFIRMING = 0.3


@pytest.fixture(scope="module")
def reduced() -> Validation:
    return validate(share=SHARE, processes=1)


def test_every_gate_passes_and_every_naive_analysis_fails(reduced: Validation) -> None:
    """A gate that fails on so few studies is asked again with several times as many, and only that decides."""
    suspects = {(each.claim, each.setting) for each in reduced.bad}
    again = [each for each in experiments() if any((gate.claim, each.setting) in suspects for gate in each.gates)]
    exact = [each.claim for each in reduced.bad if each.route == "exact"]
    found = simulate(again, seed=0, share=CONFIRMING)
    judged = [
        read_gate(gate, each, outcomes) for each, outcomes in zip(again, found, strict=True) for gate in each.gates
    ]
    assert exact == []
    assert [(each.id, each.claim, each.setting, each.value) for each in judged if each.is_bad] == []
    statuses = {each.status for each in reduced.results}
    assert {"pass", "fails, as it must", "not enough seeds"} <= statuses


def test_the_page_lists_every_result_and_no_date(reduced: Validation) -> None:
    page = page_of(reduced)
    assert page == page_of(reduced)
    assert all(each.claim in page for each in reduced.results)
    assert not re.search(r"\b20\d\d-\d\d", page)  # a date would make two runs differ
    assert f"A run with {SHARE:g} of the studies" in page


def test_the_committed_page_lists_every_gate_of_the_suite() -> None:
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    assert "seed 0; the same seed gives the same page" in page
    for experiment in experiments():
        for gate in experiment.gates:
            assert f"| {gate.id} | {gate.claim} | {experiment.scenario.id} | {experiment.setting} |" in page
    for check in (*CHECKS, *not_run()):
        assert f"| {check.id} | {check.claim} |" in page


def test_two_processes_find_what_one_finds() -> None:
    few = [each for each in experiments() if each.name.startswith(("attribute null", "peeking"))]
    assert len(few) == 3
    one, two = (simulate(few, seed=0, share=0.02, processes=num) for num in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert {name: values.tolist() for name, values in first.items()}.keys() == second.keys()
        for name, values in first.items():
            assert values.tobytes() == second[name].tobytes()


def test_gates_and_parts_of_names_select_experiments() -> None:
    assert selected(()) == experiments()
    assert {gate.id for each in selected(["I14"]) for gate in each.gates} == {"I14"}
    assert [each.name for each in selected(["peeking", "shuffle"])] == ["peeking", "shuffle"]
    found = validate(share=0.001, only=("peeking",), processes=1)
    assert {each.id for each in found.results} == {"I15", "I2"}
    assert "only peeking, seed 0" in page_of(found)
    with pytest.raises(FormatError, match="'I99' selects nothing: name a gate"):
        selected(["I99"])


def test_a_share_outside_zero_and_one_is_named() -> None:
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\], got 2"):
        validate(share=2)


@pytest.mark.slow
def test_the_verb_says_with_its_exit_code_whether_a_gate_failed(tmp_path: Path) -> None:
    code = "from upbringing.cli import main\nif __name__ == '__main__': main()"
    words = ["validate", "--share", "0.001", "--processes", "1", "--quiet", "--output", str(tmp_path / "page.md")]
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    bad = "FAIL |" in found.stdout
    assert found.returncode == (1 if bad else 0), found.stderr
    assert (tmp_path / "page.md").read_text(encoding="utf-8").strip() == found.stdout.strip()
