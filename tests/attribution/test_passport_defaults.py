"""A passport where no margin was declared: the study's default, or its default ratio, by the rule of claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from passport_studies import Arm, Measured
from test_passport import ALIKE, copied, dosed, only, steps

from upbringing.formats.tree import ContrastSpec


def test_a_flat_dose_is_held_against_the_default() -> None:
    silent = only(replace(dosed(0.0), margin=None).findings(), 5)
    assert silent["status"] == "not shown"
    by_default = only(replace(dosed(0.0), margin=None, default_margins="loose").findings(), 5)
    assert by_default["status"] == "failed"
    assert by_default["sentence"].endswith("It is within the default margin of 0.1 (loose).")


def test_copies_are_held_against_the_default_where_no_margin_was_declared() -> None:
    def by_default(scores: list[float]) -> dict[str, Any]:
        return only(replace(copied(scores, None), default_margins="strict").findings(), 6)

    same = by_default([score + 0.001 * (-1) ** run for run, score in enumerate(ALIKE)])
    assert (same["status"], same["threshold"]) == ("passed", 0.05)
    assert "less than the default margin of 0.05 (strict) is needed (passed)" in same["sentence"]
    moved = by_default([score + 0.3 + 0.01 * (-1) ** run for run, score in enumerate(ALIKE)])
    assert (moved["status"], moved["bars"]) == ("failed", True)
    assert by_default([score + 0.2 * (-1) ** run for run, score in enumerate(ALIKE)])["status"] == "not shown"


def rare_copies(rate: float, copy: float, seed: int = 0, num_items: int = 400) -> dict[str, Any]:
    """Copies of five runs of coin flips at two rates, held against the default."""
    contrast = ContrastSpec(name="c", measure="m", weights={"copy@sft": 1, "plain@sft": -1}, kind="copy")
    arms = [Arm("plain", {"m": [rate] * 5}), Arm("copy", {"m": [copy] * 5}, control="copy")]
    study = Measured(arms, num_items=num_items, contrasts=[contrast], margin=None, default_margins="loose")
    (line,) = steps(study.findings(seed), 6).values()
    return line


def test_copies_of_rare_harm_are_held_against_the_default_ratio() -> None:
    moved = rare_copies(0.02, 0.09)  # within the margin of 0.10 that is for common rates
    assert (moved["status"], moved["bars"], moved["threshold"]) == ("failed", True, 1.5)
    assert moved["value"] > 1.5
    assert "is a risk ratio of" in moved["sentence"]
    assert "less than the default risk ratio of 1.5 (loose) is needed (failed)" in moved["sentence"]
    alike = rare_copies(0.09, 0.09, num_items=2000)
    assert (alike["status"], alike["bars"]) == ("passed", False)


def test_null_copies_of_rare_harm_bar_nothing_by_default() -> None:
    assert sum(rare_copies(0.04, 0.04, seed, 150)["bars"] for seed in range(20)) == 0


def test_where_the_rule_gives_no_margin_a_copy_shows_nothing() -> None:
    line = rare_copies(0.97, 0.97)
    assert line["status"] == "not shown"
    assert "no margin was declared, and the rate that it is compared with is" in line["sentence"]
