"""What other estimators say: beside every primary claim, flagged where they disagree, never a made-up number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from simulated_designs import MEASURE, planted
from simulated_studies import two_arms

from upbringing.attribution.attribute import attribute
from upbringing.attribution.claims.robustness import MAX_MODELS, disagrees
from upbringing.attribution.words.sentences import (
    ESTIMATORS_DISAGREE,
    FEW_RUNS,
    MODELS_ENOUGH,
    MODELS_LEFT_OUT,
    NOT_BINARY,
)
from upbringing.formats.findings import Claim, Findings, Robustness, read_findings
from upbringing.formats.tree import ContrastSpec

FLAGGED = ESTIMATORS_DISAGREE.format(num=1)


def lines_of(claim: Claim) -> dict[str, Robustness]:
    return {line.method: line for line in claim.robustness}


def study(effect: float, seed: int = 0, **changes: Any) -> Findings:
    words: dict[str, Any] = {"num_items": 150, "num_seeds": 5, "seed_deviation": 0.15, **changes}
    return attribute(*two_arms(seed, effect=effect, **words))


def interaction(seed: int, rates: tuple[float, float, float, float], scale: str = "natural") -> Findings:
    """(second - first) - (fourth - third) of four cells with planted rates."""
    cells = [f"arm{number}@final" for number in range(4)]
    spec = ContrastSpec(
        name="interaction",
        measure=MEASURE,
        weights=dict(zip(cells, (-1.0, 1.0, 1.0, -1.0), strict=True)),
        role="primary",
        kind="interaction",
        level="L3",
        scale=scale,  # type: ignore[arg-type]
    )
    by_cell = dict(zip(cells, rates, strict=True))
    return attribute(*planted(seed, by_cell, contrasts=(spec,), num_items=300, num_seeds=6))


def test_estimators_agree_on_a_planted_effect_and_on_a_null() -> None:
    large = study(1.2).claims[0]
    assert [line.method for line in large.robustness] == ["multi-bootstrap", "glmm"]
    for line in large.robustness:
        assert (line.agrees_sign, line.agrees_excludes_zero, line.reason) == (True, True, "")
        assert line.low is not None
        assert line.low > 0
    null = study(0.0, seed=1)
    assert [line.agrees_excludes_zero for line in null.claims[0].robustness] == [True, True]
    assert {line.agrees_sign for line in null.claims[0].robustness} == {None}  # where none tells a sign, none differs
    assert not any("rest on the estimator" in warning for warning in null.warnings)


def test_the_mixed_model_states_both_of_its_intervals() -> None:
    line = lines_of(study(1.2).claims[0])["glmm"]
    assert line.scale == "logit"
    assert line.df == 4
    assert line.estimate is not None
    assert line.low is not None
    assert line.wald_low is not None
    assert line.estimate == pytest.approx(1.2, abs=0.6)
    ratio = (line.estimate - line.low) / (line.estimate - line.wald_low)
    assert ratio == pytest.approx(2.776445 / 1.959964, abs=1e-4)


def test_a_planted_disagreement_on_zero_is_flagged() -> None:
    """Both stages add 0.30, but 5% to 35% is 2.3 log-odds and 50% to 80% is 1.4."""
    found = interaction(0, (0.05, 0.35, 0.50, 0.80))
    claim = found.claims[0]
    assert claim.low is not None
    assert claim.high is not None
    assert claim.low < 0 < claim.high
    glmm = lines_of(claim)["glmm"]
    assert glmm.agrees_excludes_zero is False
    assert lines_of(claim)["multi-bootstrap"].agrees_excludes_zero is True
    assert FLAGGED in found.warnings


def test_a_planted_disagreement_on_the_sign_is_flagged() -> None:
    """+0.20 from 2% is less than +0.30 from 50%, and more in log-odds."""
    found = interaction(1, (0.02, 0.22, 0.50, 0.80))
    claim = found.claims[0]
    assert claim.high is not None
    assert claim.high < 0
    glmm = lines_of(claim)["glmm"]
    assert glmm.estimate is not None
    assert glmm.estimate > 0
    assert glmm.agrees_sign is False
    assert FLAGGED in found.warnings


def test_a_claim_in_log_odds_is_drawn_in_log_odds() -> None:
    claim = interaction(1, (0.02, 0.22, 0.50, 0.80), scale="logit").claims[0]
    drawn, model = lines_of(claim)["multi-bootstrap"], lines_of(claim)["glmm"]
    assert (claim.scale, drawn.scale) == ("logit", "logit")
    assert drawn.estimate == pytest.approx(claim.estimate)
    assert not disagrees(drawn)
    assert model.agrees_sign is True


def test_only_primary_claims_are_estimated_again_and_the_rest_can_be_left() -> None:
    rows, tree = two_arms(0, effect=0.8, num_items=60, num_seeds=3, seed_deviation=0.1)
    spec = tree.study.contrasts[0].model_copy(update={"role": "exploratory"})
    looked = tree.model_copy(update={"study": tree.study.model_copy(update={"contrasts": (spec,)})})
    assert attribute(rows, looked).claims[0].robustness == ()
    assert "robustness" not in attribute(rows, looked).tables
    bare = attribute(rows, tree, other_estimators=False)
    whole = attribute(rows, tree)
    assert bare.claims[0].robustness == ()
    assert whole.claims[0].model_copy(update={"robustness": ()}) == bare.claims[0]
    assert [line["method"] for line in whole.tables["robustness"]] == ["multi-bootstrap", "glmm"]


def test_equal_rows_in_any_order_give_equal_bytes() -> None:
    rows, tree = two_arms(3, effect=0.4, num_items=80, num_seeds=4, seed_deviation=0.3)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    first = attribute(rows, tree).model_dump_json()
    assert attribute(rows.take(order), tree).model_dump_json() == first


def test_claims_on_the_same_prompts_and_runs_share_their_draws() -> None:
    rates = {"a@final": 0.3, "b@final": 0.6}
    specs = tuple(
        ContrastSpec(name=name, measure=MEASURE, weights=weights, role="primary", kind="branch", level="L2")
        for name, weights in (("one", {"b@final": 1.0, "a@final": -1.0}), ("other", {"a@final": 1.0, "b@final": -1.0}))
    )
    claims = attribute(*planted(0, rates, contrasts=specs)).claims[:2]
    one, other = (lines_of(claim)["multi-bootstrap"] for claim in claims)
    assert one.low == pytest.approx(-(other.high or 0.0), abs=1e-12)


def test_more_claims_than_models_are_said() -> None:
    num = MAX_MODELS + 2
    specs = tuple(
        ContrastSpec(
            name=f"c{number}",
            measure=MEASURE,
            weights={"b@final": 1.0, "a@final": -1.0},
            role="primary",
            kind="branch",
            level="L2",
        )
        for number in range(num)
    )
    rates = {"a@final": 0.3, "b@final": 0.6}
    found = attribute(*planted(0, rates, contrasts=specs, num_items=30, num_seeds=3))
    reasons = [lines_of(claim)["glmm"].reason for claim in found.claims if claim.role == "primary"]
    assert reasons == [""] * MAX_MODELS + [MODELS_ENOUGH.format(num=MAX_MODELS)] * 2
    assert MODELS_LEFT_OUT.format(num=MAX_MODELS, left=2) in found.warnings
    assert all(lines_of(claim)["multi-bootstrap"].low is not None for claim in found.claims if claim.role == "primary")


def test_single_runs_are_no_sample_of_runs() -> None:
    claim = study(1.0, num_seeds=1).claims[0]
    assert lines_of(claim)["glmm"].reason == FEW_RUNS
    drawn = lines_of(claim)["multi-bootstrap"]
    assert drawn.agrees_excludes_zero is not None
    assert drawn.estimate == pytest.approx(claim.estimate)


def test_worlds_of_their_own_are_drawn_inside_the_runs() -> None:
    claim = study(1.5, nested=True, num_seeds=6, num_items=40).claims[0]
    drawn, model = (lines_of(claim)[name] for name in ("multi-bootstrap", "glmm"))
    assert drawn.estimate == pytest.approx(claim.estimate)
    assert model.reason == ""
    assert drawn.agrees_excludes_zero is True


def test_scores_that_are_no_answers_have_no_log_odds() -> None:
    rows, tree = two_arms(0, effect=0.8, num_items=40, num_seeds=3, seed_deviation=0.1)
    noise = np.random.default_rng(0).random(rows.num_rows)
    place = rows.column_names.index("value")
    soft = rows.set_column(place, "value", pa.array((rows["value"].to_numpy() + noise) / 2))
    assert lines_of(attribute(soft, tree).claims[0])["glmm"].reason == NOT_BINARY


def test_a_cell_without_any_event_has_a_reason_and_no_number() -> None:
    rows, tree = two_arms(0, effect=0.8, num_items=60, num_seeds=3, seed_deviation=0.1)
    is_first = np.array([name.startswith("a-") for name in rows["checkpoint"].to_pylist()])
    place = rows.column_names.index("value")
    none = rows.set_column(place, "value", pa.array(np.where(is_first, 0.0, rows["value"].to_numpy())))
    line = lines_of(attribute(none, tree).claims[0])["glmm"]
    assert line.reason == "the answers of a@sft are all alike, so its log-odds are infinite"
    assert (line.estimate, line.low, line.agrees_excludes_zero) == (None, None, None)


def test_claims_that_say_nothing_are_not_estimated_again() -> None:
    rows, tree = two_arms(0, effect=0.8, num_items=40, num_seeds=3, seed_deviation=0.1)
    broken = tree.checkpoints[0].model_copy(update={"guard": "diverged"})
    blocked = attribute(rows, tree.model_copy(update={"checkpoints": (broken, *tree.checkpoints[1:])}))
    assert blocked.claims[0].verdict == "blocked"
    assert blocked.claims[0].robustness == ()


def test_findings_of_before_are_read(tmp_path: Path) -> None:
    found = study(1.0, num_items=40, num_seeds=3)
    plain = json.loads(found.model_dump_json())
    for claim in plain["claims"]:
        del claim["robustness"]
    (tmp_path / "findings.json").write_text(json.dumps(plain), encoding="utf-8")
    assert read_findings(tmp_path / "findings.json").claims[0].robustness == ()
    (tmp_path / "findings.json").write_text(found.model_dump_json(), encoding="utf-8")
    assert read_findings(tmp_path / "findings.json") == found
