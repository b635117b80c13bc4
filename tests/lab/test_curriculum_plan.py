"""What a plan says of curricula: starts in steps, tokens and rates, what sharing saves, what a schedule forbids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from upbringing.base.errors import DataError
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.plan_drawing import print_plan
from upbringing.lab.planning.planned import Plan, PlannedPhase
from upbringing.lab.run import Watch, build
from upbringing.lab.session import open_session

STUDY = """\
name: when
seeds: 2
start: {kind: fresh, tokenizer: {train_on: world}}
data:
  world: {kind: causes_world}
  safe: {source: world.facts, transforms: [{kind: filter, max_harm: 0}]}
stages:
  pretrain: {kind: pretrain, tokens: 64000, context: 32, batch_size: 20, phases: [{data: safe}], schedule: %s}
arms:
  never: {}
  from_0: {stages: {pretrain: {phases: [{data: {mix: {safe: 80%%, world.concept: 20%%}}}]}}}
  from_20: {delay: {of: from_0, stage: pretrain, until: 20.3%%}}
  from_60: {delay: {of: from_0, stage: pretrain, until: 38500, keep: dose, component: world.concept}}
%s
battery: [over_refusal]
"""
CAPPED = """\
name: capped
seeds: 1
start: {{kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {{train_on: world, vocabulary: 1100}}}}
data:
  world: {{kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}}
  few: {{kind: file, path: few.jsonl}}
stages:
  pretrain: {{kind: pretrain, tokens: 4k, context: 64, batch_size: 8,
             phases: [{{data: {{mix: {{world.facts: 50%, few: 50%}}, max_repetition: {cap}}}}}]}}
battery: [over_refusal]
"""
VARIED = """\
arms:
  main: {}
  often:
    stages:
      pretrain:
        phases:
          - {data: world.facts, until: 50%}
          - {data: {mix: {world.facts: 50%, few: 50%}, max_repetition: 3}}
"""
PHASES = "[{data: safe, until: 20%}, {data: {from: {safe: 100%}, to: {world.concept: 50%, safe: 50%}}}]"


def planned(folder: Path, schedule: str, *arms: str) -> tuple[Plan, str]:
    (folder / "study.yaml").write_text(STUDY % (schedule, "\n".join(arms)), encoding="utf-8")
    made = plan(open_session(folder / "study.yaml", store=folder / "store", reads_only=True))
    console = Console(width=1000, record=True, file=(folder / "shown.txt").open("w", encoding="utf-8"))
    print_plan(made, console)
    return made, console.export_text()


def phases_of(made: Plan, arm: str) -> list[PlannedPhase]:
    return [phase for phase in made.curricula if arm in phase.arms]


def test_a_when_tree_is_planned_in_steps_tokens_rates_and_savings(tmp_path: Path) -> None:
    made, text = planned(tmp_path, "{kind: constant}", f"  annealed: {{stages: {{pretrain: {{phases: {PHASES}}}}}}}")
    late = phases_of(made, "from_60")[1]
    assert (late.first_step, late.last_step, late.asked) == (60, 100, "38,500 tokens")
    assert dict(late.planned) == {"safe": 12_800, "world.concept": 12_800}
    dose = dict(phases_of(made, "from_0")[0].planned)["world.concept"]
    assert dose == dict(late.planned)["world.concept"] == 12_800  # as many intervention tokens, however late
    assert dict(phases_of(made, "from_20")[1].planned)["world.concept"] == 10_240  # constant density: 80 % of them
    assert dict(phases_of(made, "annealed")[1].planned) == {"safe": 38_400, "world.concept": 12_800}
    assert (
        "from step 20 of 100 (12,800 tokens, 20.0000% (asked 20.3%)) at rate 0.001 (100% of the peak), constant" in text
    )
    assert "(moving: safe 100% to 50%, world.concept 0% to 50%)" in text
    steps = 100 + 100 + 80 + 40 + 80  # never and from_0 whole, the others from where they part
    assert made.sharing.tokens == 2 * steps * 640
    assert made.sharing.tokens_apart == 2 * 5 * 64_000
    assert "10 independent runs would train 640,000 tokens, the tree trains 512,000: saves 128,000 tokens (20%)" in text
    assert "GPU-hours at an assumed 1.5e+14 FLOP/s" in text
    assert "not shared" not in text
    assert not any("learning rates" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("schedule", "advice"),
    [
        ("{kind: cosine}", "a cosine depends on where it ends"),
        ("{kind: wsd, warmup: 10%}", "warm-up and decay are shares of each stage's own length"),
        ("{kind: constant, warmup: 10%}", "give both one length, or no warm-up"),
    ],
)
def test_a_schedule_that_forbids_sharing_is_named_with_what_it_costs(
    tmp_path: Path, schedule: str, advice: str
) -> None:
    made, text = planned(tmp_path, schedule, "  longer: {stages: {pretrain: {tokens: 128000}}}")
    (said,) = made.sharing.forbidden
    assert "arms 'never' and 'longer' read the same first 100 steps of stage 'pretrain'" in said
    assert "learning rates part after step 0 " in said
    assert "costs 64,000 tokens" in said
    assert advice in said
    assert f"not shared: {said}" in text


def test_a_constant_rate_without_warm_up_shares_stages_of_any_length(tmp_path: Path) -> None:
    made, _ = planned(tmp_path, "{kind: constant}", "  longer: {stages: {pretrain: {tokens: 128000}}}")
    assert made.sharing.forbidden == ()
    assert made.sharing.tokens == 2 * (100 + 100 + 80 + 40 + 100) * 640  # longer only trains its second half


def test_starts_at_other_rates_are_warned_of_and_a_held_peak_gives_them_one(tmp_path: Path) -> None:
    made, _ = planned(tmp_path, "{kind: cosine, warmup: 10%}")
    (warning,) = [each for each in made.warnings if "different learning rates" in each]
    assert "from_0 at step 0: 0.0001 (10% of the peak), rising" in warning
    assert "from_60 at step 60: " in warning
    assert "never" not in warning
    held, _ = planned(tmp_path, "{kind: cosine, warmup: 0%, hold: 70%}")
    assert not any("different learning rates" in each for each in held.warnings)
    assert {phase.course for phase in held.curricula} == {"constant"}
    assert {phase.learning_rate for phase in held.curricula} == {1e-3}


def test_what_late_arms_read_twice_is_warned_of_and_gone_where_they_continue(tmp_path: Path) -> None:
    """By hand: 20 and 60 of 100 steps of 640 tokens are safe, then 80 % of 80 and 50 % of 40 steps."""
    made, _ = planned(tmp_path, "{kind: constant}")
    (warning,) = [each for each in made.warnings if "reads its data from the beginning" in each]
    assert "from_20: 12,800 tokens of safe" in warning
    assert "from_60: 12,800 tokens of safe" in warning
    assert "from_0: nothing" in warning
    assert "never: nothing" in warning
    text = (tmp_path / "study.yaml").read_text(encoding="utf-8").replace("until: ", "continues: true, until: ")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    going_on = plan(open_session(tmp_path / "study.yaml", store=tmp_path / "store", reads_only=True))
    assert not any("reads its data from the beginning" in each for each in going_on.warnings)
    before, after = (dict(phases_of(each, "from_60")[1].planned) for each in (made, going_on))
    assert before == after
    assert going_on.sharing == made.sharing  # what is shared before a start stays so


@pytest.mark.model
def test_a_cap_that_cannot_be_kept_stops_a_plan_that_reads_the_data(tmp_path: Path, one_process: None) -> None:
    rows = "\n".join(json.dumps({"text": f"few {number}"}) for number in range(5))
    (tmp_path / "few.jsonl").write_text(rows, encoding="utf-8")
    text = CAPPED.format(cap=3)
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")

    def made(**options: bool) -> Plan:
        return plan(open_session(tmp_path / "study.yaml", store=tmp_path / "store", reads_only=True), **options)

    assert made().num_to_build == 2  # a plan that reads nothing cannot know
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "max_repetition" in words)
    told = (
        r"stage 'pretrain' of arm 'main': the data 'few' would be read .* times, max_repetition is 3: lower its share"
    )
    with pytest.raises(DataError, match=rf"study\.yaml:{line}: {told}") as caught:
        made(read_data=True)
    assert caught.value.exit_code == DataError.exit_code
    with pytest.raises(DataError, match=rf"study\.yaml:{line}: {told}"):  # by a run that was not planned
        build(open_session(tmp_path / "study.yaml", store=tmp_path / "store"), Watch())
    varied = text.replace("max_repetition: 3", "max_repetition: 300") + VARIED
    (tmp_path / "study.yaml").write_text(varied, encoding="utf-8")
    with pytest.raises(DataError, match=rf"study\.yaml:{varied.count(chr(10))}: stage 'pretrain' of arm 'often'"):
        made(read_data=True)
    (tmp_path / "study.yaml").write_text(text.replace("max_repetition: 3", "max_repetition: 300"), encoding="utf-8")
    assert made(read_data=True).num_to_build == 2
