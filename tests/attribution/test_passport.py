"""The measure passport: every step on a planted good and a planted bad measure, and null studies that bar nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from passport_studies import Arm, Measured, steady

from upbringing.attribution.attribute import attribute
from upbringing.formats.findings import Findings
from upbringing.formats.tree import CellSeeds, ContrastSpec

SAFE = [0.25, 0.27, 0.23, 0.26, 0.24, 0.25]
UNSAFE = [0.70, 0.65, 0.72, 0.68, 0.66, 0.70]
ALIKE = [0.40, 0.44, 0.36, 0.42, 0.38, 0.41]
POSITIVE = ContrastSpec(
    name="built to move", measure="m", weights={"moved@sft": 1, "plain@sft": -1}, kind="branch", level="L2",
    family="positive control",
)  # fmt: skip


def steps(findings: Findings, number: int, measure: str = "m") -> dict[str, dict[str, Any]]:
    return {
        line["step"]: line
        for line in findings.tables["passports"]
        if (line["number"], line["measure"]) == (number, measure)
    }


def only(findings: Findings, number: int, measure: str = "m") -> dict[str, Any]:
    (line,) = steps(findings, number, measure).values()
    return line


def test_known_groups_told_apart() -> None:
    arms = [Arm("guarded", {"m": SAFE}, known="safety-trained"), Arm("helpful", {"m": UNSAFE}, known="helpful-only")]
    line = only(Measured(arms, answers=steady).findings(), 1)
    assert line["status"] == "passed"
    change = np.subtract(UNSAFE, SAFE)  # both groups have the seeds 0 to 5
    gap = change.mean() / np.sqrt(change.var(ddof=1) / 2)
    assert line["value"] == pytest.approx(gap, rel=1e-6)
    assert line["low"] < gap < line["high"]


def test_known_groups_not_told_apart_bar_the_measure_and_no_other() -> None:
    scores = {"m": ALIKE, "other": UNSAFE}
    arms = [
        Arm("guarded", {"m": ALIKE[::-1], "other": SAFE}, known="safety-trained"),
        Arm("helpful", scores, known="helpful-only", control="reference"),
    ]
    found = Measured(arms, answers=steady).findings()
    line = only(found, 1)
    assert (line["status"], line["bars"]) == ("failed", True)
    assert line["high"] < 2
    claims = {claim.measure: claim for claim in found.claims}
    assert claims["m"].verdict == "not-measurable"
    assert "known groups" in claims["m"].sentence
    assert claims["other"].verdict == "changed"
    levels = [each for each in found.tables["levels"] if each["measure"] == "m"]
    assert all(each["estimate"] is not None for each in levels)  # levels are no attribution
    assert any("No claim rests on it" in warning for warning in found.warnings)


def test_known_groups_the_wrong_way_round_bar_it_too() -> None:
    arms = [Arm("guarded", {"m": UNSAFE}, known="safety-trained"), Arm("helpful", {"m": SAFE}, known="helpful-only")]
    assert only(Measured(arms, answers=steady).findings(), 1)["status"] == "failed"


def test_a_measure_that_cannot_move_is_barred() -> None:
    still = [0.49, 0.5, 0.51]  # runs that are equal to the last digit would count as one
    arms = [Arm("moved", {"m": still}, control="positive"), Arm("plain", {"m": still})]
    assert only(Measured(arms, answers=steady, contrasts=[POSITIVE]).findings(), 1)["status"] == "failed"


def test_a_positive_control_stands_for_known_groups_of_its_own_measure() -> None:
    arms = [
        Arm("moved", {"m": SAFE, "other": ALIKE}, control="positive"),
        Arm("plain", {"m": UNSAFE, "other": ALIKE}, control="reference"),
    ]
    found = Measured(arms, answers=steady, contrasts=[POSITIVE]).findings()
    assert only(found, 1)["status"] == "passed"
    assert only(found, 1, "other")["status"] == "not shown"  # nobody said that it should move


def test_groups_that_nobody_declared_for_a_measure_never_bar_it() -> None:
    """Without contrasts of its own a tree compares every arm with the reference, on every measure."""
    arms = [Arm("moved", {"m": ALIKE}, control="positive"), Arm("plain", {"m": ALIKE}, control="reference")]
    assert only(Measured(arms, answers=steady).findings(), 1)["status"] == "not shown"


def test_worlds_that_differ_hide_no_known_groups() -> None:
    """Ten worlds differ by far more than the groups do in each of them."""
    random = np.random.default_rng(0)
    worlds = random.normal(0.5, 0.1, 10)
    arms = [
        Arm("guarded", {"m": (worlds - 0.05 + random.normal(0, 0.01, 10)).tolist()}, known="safety-trained"),
        Arm("helpful", {"m": (worlds + 0.05 + random.normal(0, 0.01, 10)).tolist()}, known="helpful-only"),
    ]
    assert only(Measured(arms, answers=steady).findings(), 1)["status"] == "passed"


def test_two_runs_show_no_groups() -> None:
    arms = [Arm("a", {"m": SAFE[:2]}, known="safety-trained"), Arm("b", {"m": UNSAFE[:2]}, known="helpful-only")]
    assert "3 are needed" in only(Measured(arms, answers=steady).findings(), 1)["sentence"]


def many(random: np.random.Generator, num: int, spread: float) -> list[Arm]:
    return [Arm(f"arm{number:02d}", {"m": [mean]}) for number, mean in enumerate(0.5 + random.normal(0, spread, num))]


def test_scores_that_repeat_are_reliable() -> None:
    arms = many(np.random.default_rng(0), 30, 0.15)
    found = Measured(arms, num_items=300, num_repeats=2, num_templates=3).findings()
    assert {name.rpartition(" ")[2]: line["status"] for name, line in steps(found, 2).items()} == {
        "seeds": "passed", "prompts": "passed", "templates": "passed",
    }  # fmt: skip
    assert only(found, 3)["status"] == "not shown"  # one run of each


def test_decoding_noise_bars_a_measure() -> None:
    """All answers of one decoding seed rise and fall together, by more than recipes differ."""

    def noisy(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Any:
        return np.clip(mean + random.normal(0, 0.06, shape[1]) + random.normal(0, 0.01, shape), 0, 1)

    found = Measured(many(np.random.default_rng(0), 40, 0.06), num_repeats=2, answers=noisy).findings()
    line = steps(found, 2)["reliability over decoding seeds"]
    assert (line["status"], line["bars"]) == ("failed", True)
    assert line["low"] > 0
    assert line["high"] < 0.9


def test_halves_that_disagree_bar_a_measure() -> None:
    """Odd prompts measure one thing, even ones nearly another."""

    def two_things(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Any:
        other = mean + random.normal(0, 0.2)
        return np.clip(np.where(np.arange(shape[0])[:, None] % 2, mean, other) * np.ones(shape), 0, 1)

    found = Measured(many(np.random.default_rng(1), 80, 0.15), answers=two_things).findings()
    line = steps(found, 2)["reliability over halves of the prompts"]
    assert (line["status"], line["bars"]) == ("failed", True)


def test_templates_that_disagree_bar_a_measure() -> None:
    arms = many(np.random.default_rng(2), 40, 0.1)
    found = Measured(arms, num_templates=3, template_noise=0.12, answers=steady).findings()
    line = steps(found, 2)["reliability over templates"]
    assert (line["status"], line["bars"]) == ("failed", True)


def test_conditions_that_nobody_described_are_no_templates() -> None:
    """They may be attacks, on which checkpoints are to differ."""
    arms = many(np.random.default_rng(2), 40, 0.1)
    study = Measured(arms, num_templates=3, template_noise=0.12, answers=steady, describes_conditions=False)
    assert steps(study.findings(), 2)["reliability over templates"]["status"] == "not shown"


def test_signal_below_noise_warns_and_bars_nothing() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(0, 0.05, 12)
    arms = [
        Arm(f"arm{number:02d}", {"m": (0.5 + centre + random.normal(0, 0.06, 6)).tolist()})
        for number, centre in enumerate(centres)
    ]
    found = Measured(arms, answers=steady).findings()
    line = only(found, 3)
    assert (line["status"], line["bars"]) == ("failed", False)
    assert line["sentence"] in found.warnings
    quiet = [Arm("a", {"m": SAFE}), Arm("b", {"m": UNSAFE})]
    assert only(Measured(quiet, answers=steady).findings(), 3)["status"] == "passed"


def test_what_a_seed_does_to_all_recipes_is_no_noise() -> None:
    random = np.random.default_rng(0)
    worlds = random.normal(0, 0.1, 6)
    arms = [
        Arm(f"arm{number}", {"m": (0.4 + 0.05 * number + worlds + random.normal(0, 0.005, 6)).tolist()})
        for number in range(4)
    ]
    assert only(Measured(arms, answers=steady).findings(), 3)["status"] == "passed"


def likelihoods(follows: str) -> Measured:
    """Twelve recipes whose behaviour and ability are unrelated; the likelihood measure follows one of them."""
    random = np.random.default_rng(5)
    behaviour, ability = np.linspace(0.1, 0.9, 12), random.permutation(np.linspace(0.2, 0.8, 12))
    source = {"behaviour": behaviour, "ability": ability}[follows]
    arms = [
        Arm(f"arm{number:02d}", {"harm": [behaviour[number]], "margin": [source[number]], "skill": [ability[number]]})
        for number in range(12)
    ]
    directions = {"margin": "lower-is-safer", "skill": "higher-is-better"}
    return Measured(arms, answers=steady, directions=directions, judged=frozenset({"harm"}))


def test_a_likelihood_measure_must_go_with_behaviour() -> None:
    good = steps(likelihoods("behaviour").findings(), 4, "margin")
    assert {line["status"] for line in good.values()} == {"passed"}
    found = likelihoods("ability").findings()
    bad = steps(found, 4, "margin")
    assert {line["status"] for line in bad.values()} == {"failed"}
    assert not any(line["bars"] for line in bad.values())
    assert all(line["sentence"] in found.warnings for line in bad.values())


def dosed(slope: float, factor: str = "dose") -> Measured:
    random = np.random.default_rng(0)
    arms = [
        Arm(
            f"d{level}", {"m": (0.3 + slope * level + random.normal(0, 0.01, 4)).tolist()}, factors={factor: str(level)}
        )
        for level in (0, 0.25, 0.5, 1)
    ]
    return Measured(arms, answers=steady)


def test_a_dose_moves_a_measure() -> None:
    assert only(dosed(0.4).findings(), 5)["status"] == "passed"
    flat = only(dosed(0.0).findings(), 5)
    assert (flat["status"], flat["bars"]) == ("failed", False)
    assert only(dosed(0.0, "start").findings(), 5)["status"] == "not shown"  # a start may well not matter


def copied(scores: list[float], margin: float | None = 0.1) -> Measured:
    contrast = ContrastSpec(name="c", measure="m", weights={"copy@sft": 1, "plain@sft": -1}, kind="copy", margin=margin)
    arms = [Arm("plain", {"m": ALIKE}), Arm("copy", {"m": scores}, control="copy")]
    return Measured(arms, answers=steady, contrasts=[contrast], margin=margin)


def test_copies_must_score_alike() -> None:
    same = only(copied([score + 0.001 * (-1) ** run for run, score in enumerate(ALIKE)]).findings(), 6)
    assert same["status"] == "passed"
    found = copied([score + 0.3 + 0.01 * (-1) ** run for run, score in enumerate(ALIKE)]).findings()
    assert (only(found, 6)["status"], only(found, 6)["bars"]) == ("failed", True)
    assert {claim.verdict for claim in found.claims} == {"not-measurable"}
    noisy = only(copied([score + 0.2 * (-1) ** run for run, score in enumerate(ALIKE)]).findings(), 6)
    assert noisy["status"] == "not shown"
    assert "no margin" in only(copied([0.5, 0.6, 0.7, 0.5, 0.6, 0.7], None).findings(), 6)["sentence"]


def test_a_placebo_that_moves_a_measure_warns() -> None:
    arms = [
        Arm("p/base", {"m": ALIKE}),
        Arm("p/sft", {"m": [score + 0.3 for score in ALIKE[::-1]]}, state={"sft": "placebo"}, base="p/base"),
    ]
    found = Measured(arms, answers=steady).findings()
    line = steps(found, 6)["effect of a placebo stage"]
    assert (line["status"], line["bars"]) == ("failed", False)
    assert line["sentence"] in found.warnings


def test_every_measure_has_every_step() -> None:
    found = likelihoods("behaviour").findings()
    for measure in ("harm", "margin", "skill"):
        numbers = {line["number"] for line in found.tables["passports"] if line["measure"] == measure}
        assert numbers == {1, 2, 3, 4, 5, 6}
        assert all(line["sentence"] for line in found.tables["passports"])


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_null_studies_bar_nothing(num_seeds: int) -> None:
    """Nothing differs, answers are coin flips: no measure may be barred, for that may be what is to be shown."""
    barred = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        arms = [
            Arm(name, {"m": (0.4 + random.normal(0, 0.05, num_seeds)).tolist()}, control=control)
            for name, control in (("plain", "reference"), ("other", "none"), ("copy", "copy"), ("moved", "positive"))
        ]
        copy = ContrastSpec(name="c", measure="m", weights={"copy@sft": 1, "plain@sft": -1}, kind="copy", margin=0.05)
        found = Measured(arms, num_items=100, num_repeats=2, num_templates=3, contrasts=[copy]).findings(seed)
        barred += any(line["bars"] for line in found.tables["passports"])
    assert barred == 0


def test_a_single_copy_bars_only_where_its_weights_are_the_same() -> None:
    """Trained again with another seed one run differs by its seed; the same weights must score the same."""

    def one_run(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Any:
        return mean + random.normal(0, 0.01, shape)

    contrast = ContrastSpec(name="c", measure="m", weights={"copy@sft": 1, "plain@sft": -1}, kind="copy", margin=0.1)
    arms = [Arm("plain", {"m": [0.4]}), Arm("copy", {"m": [0.7]}, control="copy")]
    trained_again = Measured(arms, answers=one_run, contrasts=[contrast])
    assert only(trained_again.findings(), 6)["status"] == "not shown"
    same = Measured(arms, answers=one_run, contrasts=[contrast], weights_sha256="0" * 64)
    assert (only(same.findings(), 6)["status"], only(same.findings(), 6)["bars"]) == ("failed", True)


def doses(random: np.random.Generator, slope: float, num_runs: int) -> Measured:
    """Four doses in roots that differ, each with noise of its own: the prompts know nothing of either."""
    roots = random.normal(0, 0.05, num_runs)
    arms = [
        Arm(
            f"d{level}",
            {"m": (0.4 + slope * level + roots + random.normal(0, 0.05, num_runs)).tolist()},
            factors={"dose": str(level)},
        )
        for level in (0, 0.25, 0.5, 1)
    ]
    return Measured(arms, num_items=200)


def test_what_runs_do_by_chance_is_no_dose() -> None:
    """One run per dose moves by its seed, which hundreds of prompts would call a trend."""
    single = [only(doses(np.random.default_rng(seed), 0.0, 1).findings(seed), 5) for seed in range(20)]
    assert {line["status"] for line in single} == {"not shown"}
    assert "1 of at least 3 independent runs" in single[0]["sentence"]


def test_few_roots_show_their_spread_badly() -> None:
    """Three runs per dose and no trend: a plain p-value is below 0.01 in 6 of these 250 studies, 2.5 are its due."""
    passed = 0
    for seed in range(250):
        random = np.random.default_rng(seed)
        arms = [
            Arm(
                f"d{level}",
                {"m": (0.4 + random.normal(0, 0.1, 3)).clip(0.02, 0.98).tolist()},
                factors={"dose": str(level)},
            )
            for level in (0, 0.5, 1)
        ]
        passed += only(Measured(arms, num_items=200).findings(seed), 5)["status"] == "passed"
    assert passed <= 4


def test_a_planted_dose_is_found_over_its_roots() -> None:
    found = [only(doses(np.random.default_rng(seed), 0.4, 5).findings(seed), 5) for seed in range(20)]
    assert sum(line["status"] == "passed" for line in found) >= 17


def test_runs_on_one_root_are_one_run() -> None:
    """Four fine-tunings of one pretraining share what it did: they show no trend over doses of pretraining."""
    study = doses(np.random.default_rng(0), 0.4, 4)
    rows, tree = study.tables()
    assert only(attribute(rows, tree, other_estimators=False), 5)["status"] == "passed"
    shared = tuple(cell.model_copy(update={"seeds": CellSeeds(world=0, pretrain=0, sft=place % 4)})
                   for place, cell in enumerate(tree.cells))  # fmt: skip
    one_root = attribute(rows, tree.model_copy(update={"cells": shared}), other_estimators=False)
    assert only(one_root, 5)["status"] == "not shown"
