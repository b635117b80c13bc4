"""The counterfactual words, each by a hand-made case and its contradiction."""

from __future__ import annotations

from typing import Any

import pytest

from upbringing.study.arms import Arm, Delay, Dose, Placebo, Resolved, resolve
from upbringing.training.settings import Mixture

STAGES: dict[str, dict[str, Any]] = {
    "pretrain": {"kind": "pretrain", "tokens": 1000, "context": 5, "batch_size": 2, "phases": [{"data": "safe"}]},
    "mid": {"kind": "midtrain", "tokens": 100, "phases": [{"data": "docs"}]},
    "sft": {"kind": "sft", "data": "world.safety", "epochs": 2.0},
}
BASE = Resolved(stages=STAGES, states=dict.fromkeys(STAGES, "on"))


def applied(arm: Arm, base: Resolved = BASE) -> Resolved:
    return resolve(arm, base, STAGES)


def test_an_empty_arm_is_the_study() -> None:
    assert applied(Arm()).stages == STAGES


def test_drop_leaves_a_stage_out() -> None:
    result = applied(Arm(drop="mid"))
    assert list(result.stages) == ["pretrain", "sft"]
    assert result.states["mid"] == "off"


def test_replace_merges_and_is_marked() -> None:
    result = applied(Arm(replace={"sft": {"data": "other"}}))
    assert result.stages["sft"] == {"kind": "sft", "data": "other", "epochs": 2.0}
    assert result.states["sft"] == "replaced"


def test_another_kind_replaces_the_whole_stage() -> None:
    result = applied(Arm(stages={"sft": {"kind": "midtrain", "tokens": 5}}))
    assert result.stages["sft"] == {"kind": "midtrain", "tokens": 5}


def test_swap_changes_the_order() -> None:
    assert list(applied(Arm(swap=("mid", "sft"))).stages) == ["pretrain", "sft", "mid"]


def test_a_stage_that_is_swapped_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="'sft' twice, which changes nothing"):
        Arm(swap=("sft", "sft"))


def test_placebo_changes_only_the_data() -> None:
    result = applied(Arm(placebo=Placebo(stage="sft", data="world.same_prompts")))
    assert result.stages["sft"] == {**STAGES["sft"], "data": "world.same_prompts"}
    assert result.states["sft"] == "placebo"


def test_a_placebo_may_be_a_whole_mixture() -> None:
    mixture = Mixture(mix={"world.facts": 0.6, "world.same_prompts": 0.4})
    result = applied(Arm(placebo=Placebo(stage="mid", data=mixture)))
    assert result.stages["mid"]["phases"] == [{"data": mixture.model_dump()}]
    assert result.stages["mid"]["tokens"] == STAGES["mid"]["tokens"]


def test_delay_reads_the_studys_own_data_first() -> None:
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": "full"}]}}))
    result = applied(Arm(delay=Delay(of="full", stage="pretrain", until=0.6)), full)
    assert result.stages["pretrain"]["phases"] == [{"data": "safe", "until": 0.6}, {"data": "full"}]


def test_a_delay_may_go_on_in_what_was_read_before() -> None:
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": "full"}]}}))
    result = applied(Arm(delay=Delay(of="full", stage="pretrain", until=0.6, continues=True)), full)
    assert result.stages["pretrain"]["phases"][1] == {"data": "full", "continues": True}
    never_late = applied(Arm(delay=Delay(of="full", stage="pretrain", until=0, continues=True)), full)
    assert never_late.stages["pretrain"]["phases"] == [{"data": "full"}]
    assert "continues" not in Delay(of="full", stage="pretrain", until=0.6).model_dump()


def test_a_dose_matched_delay_raises_the_share() -> None:
    mixed = {"mix": {"safe": "90%", "refusals": "10%"}}
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": mixed}]}}))
    arm = Arm(delay=Delay(of="full", stage="pretrain", until=0.6, keep="dose", component="refusals"))
    late = applied(arm, full).stages["pretrain"]["phases"][1]["data"]["mix"]
    assert late["refusals"] == pytest.approx(0.25)
    assert late["safe"] == pytest.approx(0.75)
    assert late["refusals"] * 0.4 == pytest.approx(0.1)  # as many intervention tokens as without the delay


def test_dose_keeps_the_proportions_of_the_rest() -> None:
    mixed = applied(Arm(stages={"sft": {"data": {"mix": {"a": 0.5, "b": 0.3, "c": 0.2}}}}))
    result = applied(Arm(dose=Dose(stage="sft", component="a", share=0.0)), mixed)
    assert result.stages["sft"]["data"]["mix"] == {"b": pytest.approx(0.6), "c": pytest.approx(0.4)}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (Arm(drop="none"), "does not have"),
        (Arm(swap=("mid", "none")), "does not have"),
        (Arm(stages={"none": {"data": "x"}}), "give it a kind"),
        (Arm(delay=Delay(of="x", stage="pretrain", until=0.5)), "nothing to delay"),
        (Arm(dose=Dose(stage="sft", component="a", share=0.1)), "no mixture"),
        (Arm(placebo=Placebo(stage="none", data="x")), "does not have"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(arm: Arm, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        applied(arm)


def test_an_impossible_dose_is_refused_before_training() -> None:
    mixed = {"mix": {"safe": 0.5, "refusals": 0.5}}
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": mixed}]}}))
    arm = Arm(delay=Delay(of="full", stage="pretrain", until=0.6, keep="dose", component="refusals"))
    with pytest.raises(ValueError, match=r"cannot be kept.*start at step 50 of 100 or earlier"):
        applied(arm, full)
    latest = arm.model_copy(update={"delay": Delay(**{**arm.delay.model_dump(), "until": 0.5})})  # type: ignore[union-attr]
    assert applied(latest, full).stages["pretrain"]["phases"][1]["data"]["mix"] == {"refusals": 1.0}


def late_mix(until: float | int, component: str | tuple[str, ...], **early: Any) -> dict[str, float]:
    """The mixture after a start that keeps the dose of ``component`` of 70 % safe, 20 % refusals, 10 % morals."""
    mixed = {"mix": {"safe": "70%", "refusals": 0.2, "morals": "10%"}}
    stages = {**STAGES, "pretrain": {**STAGES["pretrain"], "phases": [{"data": early or "safe"}]}}
    base = Resolved(stages=stages, states=dict.fromkeys(stages, "on"))
    full = resolve(Arm(stages={"pretrain": {"phases": [{"data": mixed}]}}), base, stages)
    delay = Delay(of="full", stage="pretrain", until=until, keep="dose", component=component)
    phases = resolve(Arm(delay=delay), full, stages).stages["pretrain"]["phases"]
    return dict(phases[1]["data"]["mix"])


def test_a_dose_is_kept_for_the_steps_there_really_are() -> None:
    """Of 100 steps the start falls on step 33: 20 steps of refusals in 67, whatever the 33.3 % that were asked."""
    for until in (0.333, 333, 0.33):
        mix = late_mix(until, "refusals")
        assert mix["refusals"] * 67 == pytest.approx(20)
        assert mix["safe"] / mix["morals"] == pytest.approx(7)
        assert sum(mix.values()) == pytest.approx(1)


def test_several_components_keep_their_dose_and_their_proportion_together() -> None:
    mix = late_mix(0.6, ("refusals", "morals"))
    assert mix == {"safe": pytest.approx(0.25), "refusals": pytest.approx(0.5), "morals": pytest.approx(0.25)}


def test_what_is_read_before_the_start_counts_towards_the_dose() -> None:
    """5 % of 60 steps are 3 of the 20 steps; 17 are left for 40."""
    mix = late_mix(0.6, "refusals", mix={"safe": 0.95, "refusals": 0.05})
    assert mix["refusals"] * 40 == pytest.approx(17)
    with pytest.raises(ValueError, match=r"start at step 94 of 100 or earlier"):  # 100 (1 - .2) / (1 - .15)
        late_mix(0.95, "refusals", mix={"safe": 0.85, "refusals": 0.15})
    with pytest.raises(ValueError, match="holds more of it"):
        late_mix(0.6, "refusals", mix={"safe": 0.5, "refusals": 0.5})


@pytest.mark.parametrize(("until", "expected"), [(0, "full"), (0.0, "full"), (1.0, "safe"), (1000, "safe")])
def test_a_delay_of_nothing_is_the_arm_and_one_to_the_end_is_the_study(until: float, expected: str) -> None:
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": "full"}]}}))
    result = applied(Arm(delay=Delay(of="full", stage="pretrain", until=until)), full)
    assert result.stages["pretrain"]["phases"] == [{"data": expected}]


def test_a_start_beyond_the_budget_is_refused() -> None:
    full = applied(Arm(stages={"pretrain": {"phases": [{"data": "full"}]}}))
    with pytest.raises(ValueError, match="1001 lies beyond the stage's 1000 tokens: start earlier"):
        applied(Arm(delay=Delay(of="full", stage="pretrain", until=1001)), full)


def test_same_as_says_that_nothing_differs() -> None:
    with pytest.raises(ValueError, match="changes nothing"):
        Arm(same_as="main", drop="sft")
