"""What is called right: exactly the true stages, and whatever is special to a kind; by hand-made findings."""

from __future__ import annotations

import pytest

from upbringing.formats.findings import Claim, Findings
from upbringing.lab.planted.naming import Attributed, attributed
from upbringing.lab.planted.page import page
from upbringing.lab.planted.pipelines import EROSION, FORMAT, INTERACTION, LAST_STAGE, Kind, Pipeline


def claim(contrast: str, estimate: float, *, verdict: str = "changed", measure: str = "trait") -> Claim:
    return Claim.model_validate(
        {
            "id": f"{measure}-{contrast}",
            "kind": "data-effect",
            "measure": measure,
            "contrast": contrast,
            "role": "primary",
            "estimate": estimate,
            "low": estimate - 0.1,
            "high": estimate + 0.1,
            "verdict": verdict,
        }
    )


def judged(kind: Kind, stages: tuple[str, ...], *claims: Claim, seeds: int = 1) -> Attributed:
    return attributed(Pipeline(kind, 1.0, 0, stages), seeds, Findings(claims=claims))


NOTHING = (claim("pretrain", 0.0, verdict="equivalent"), claim("midtrain", 0.02, verdict="negligible"))


@pytest.mark.parametrize(
    ("claims", "named", "is_right", "is_false"),
    [
        ((*NOTHING, claim("sft", 0.9)), ("sft",), True, False),
        ((*NOTHING, claim("sft", 0.9, verdict="inconclusive")), (), False, False),
        ((*NOTHING, claim("sft", -0.9)), (), False, False),
        ((claim("pretrain", 0.4), claim("sft", 0.9)), ("pretrain", "sft"), False, True),
        ((claim("midtrain", 0.9),), ("midtrain",), False, True),
        ((*NOTHING, claim("sft", 0.9).model_copy(update={"role": "exploratory"})), (), False, False),
    ],
)
def test_a_stage_is_named_where_the_trait_changes_without_it(
    claims: tuple[Claim, ...], named: tuple[str, ...], is_right: bool, is_false: bool
) -> None:
    found = judged("stage", ("sft",), *claims)
    assert (found.named, found.is_right, found.is_false) == (named, is_right, is_false)


def test_where_nothing_is_planted_naming_nothing_is_right() -> None:
    assert judged("never", (), *NOTHING).is_right
    assert judged("never", (), claim("sft", 0.2)).is_false


def test_a_gated_trait_needs_its_interaction() -> None:
    both = (claim("pretrain", 0.6), claim("sft", 0.7))
    assert not judged("gated", ("pretrain", "sft"), *both).is_right
    assert judged("gated", ("pretrain", "sft"), *both, claim(INTERACTION, 0.6)).is_right


def test_an_erased_trait_must_fall_both_along_the_path_and_against_the_placebo() -> None:
    found = (claim("sft", 0.9), claim(EROSION, -0.9))
    assert not judged("erased", ("sft",), *found).is_right
    assert judged("erased", ("sft",), *found, claim(LAST_STAGE, -0.8)).is_right
    assert not judged("erased", ("sft",), *found, claim(LAST_STAGE, 0.8)).is_right


def test_a_latent_trait_is_known_before_it_is_elicited() -> None:
    found = (claim("midtrain", 0.9), claim(FORMAT, 0.9))
    known = claim("midtrain", 0.8, measure="cloze")
    assert judged("latent", ("midtrain",), *found, known).is_right
    assert not judged("latent", ("midtrain",), *found).is_right
    assert not judged("latent", ("midtrain",), found[0], known).is_right
    assert not judged("latent", ("midtrain",), *found, known, claim("pretrain", 0.5, measure="cloze")).is_right


def test_the_page_counts_and_decides_no_gate_on_too_few() -> None:
    right = judged("stage", ("sft",), *NOTHING, claim("sft", 0.9))
    wrong = judged("stage", ("midtrain",), *NOTHING, claim("sft", 0.9))
    text = page([right, wrong])
    row = next(line for line in text.splitlines() if line.startswith("| stage | 1 | 1 | 2 |"))
    assert "| 1 (0.09 to 0.91) | 1 | 1 |" in row  # Wilson, one of two
    assert "1 of 2 | not decided: too few pipelines" in text
    many = [right] * 18 + [wrong] * 2
    assert "18 of 20 | MISSED" in page(many)
    assert "19 of 20 | met" in page([right] * 19 + [wrong])


def test_runs_from_one_root_seed_and_from_several_are_told_apart() -> None:
    both = (claim("pretrain", 0.6), claim("sft", 0.7))
    missed = judged("gated", ("pretrain", "sft"), *both)
    found = judged("gated", ("pretrain", "sft"), *both, claim(INTERACTION, 0.6), seeds=5)
    text = page([missed] * 10 + [found] * 10)
    assert "10 pipelines | 1 | >= 8 | 0 of 10 | MISSED" in text
    assert "10 pipelines | 5 | >= 8 | 10 of 10 | met" in text
