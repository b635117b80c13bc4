"""Reward models and rl stages in a study: names never enter keys, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.study.checks import design_warnings
from upbringing.study.loading import schema, study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree

BASE = """\
name: rewards
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}, mine: {kind: prompt_set, prompt_set: over_refusal}}
stages:
  pretrain: {kind: pretrain, tokens: 640k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety}
  rm: {kind: reward_model, data: world.preferences}
  rl: {kind: rl, data: world.prompts, steps: 40, reward: {kind: reward_model, stage: rm}}
"""


def study(arms: str, base: str = BASE) -> Study:
    return study_from(parse_yaml(base + arms))


def tree(arms: str, base: str = BASE) -> StudyTree:
    found = study(arms, base)
    return study_tree(found, DataBook(found.data, Path(), found.seed))


def ends(found: StudyTree) -> dict[str, str]:
    return {lineage.arm.name: lineage.end_key for lineage in found.lineages}


def test_arms_of_the_claim_are_declared_with_the_words_there_are() -> None:
    found = tree(
        """arms:
  sft_rl: {}
  sft: {drop: [rm, rl]}
  placebo_rl: {placebo: {stage: sft, data: world.same_prompts}, control: placebo}
  rl_alone: {drop: sft}
  erode: {replace: {rl: {reward: {kind: oracle, refused_harmful: -1}}}, control: positive}
  install: {replace: {rl: {reward: oracle}}, control: positive}
  dpo: {stages: {dpo: {kind: dpo, data: world.preferences}}, drop: [rm, rl]}
"""
    )
    assert len(set(ends(found).values())) == 7
    cells = {cell.name for cell in found.cells}
    assert {"sft_rl@rl", "sft@sft", "rl_alone@rl", "erode@rl", "install@rl", "dpo@dpo"} <= cells
    assert not any(name.endswith("@rm") for name in cells)


def test_a_matrix_of_rewards_makes_its_arms() -> None:
    found = tree(
        """matrix:
  tuned: {safety: {}, answered: {stages: {sft: {data: world.same_prompts}}}}
  paid: {oracle: {stages: {rl: {reward: oracle}}}, proxy: {stages: {rl: {reward: proxy}}}}
"""
    )
    assert set(ends(found)) == {"safety+oracle", "safety+proxy", "answered+oracle", "answered+proxy"}


def test_the_name_of_a_reward_model_enters_no_key_and_what_it_learned_does() -> None:
    plain = ends(tree(""))["main"]
    renamed = BASE.replace("rm: {", "judge: {").replace("stage: rm", "stage: judge")
    assert ends(tree("", renamed))["main"] == plain
    other = BASE.replace("world.preferences}", "world.preferences, epochs: 2}")
    assert ends(tree("", other))["main"] != plain
    paid = BASE.replace("{kind: reward_model, stage: rm}", "oracle")
    worths = BASE.replace("{kind: reward_model, stage: rm}", "{kind: oracle, incoherent: -2}")
    assert len({plain, ends(tree("", paid))["main"], ends(tree("", worths))["main"]}) == 3


def test_the_stage_after_a_reward_model_starts_from_the_checkpoint_before_it() -> None:
    (lineage,) = tree("").lineages
    runs = {run.stage_name: run for run in lineage.runs}
    assert runs["rm"].parent == runs["rl"].parent == runs["sft"].key()
    assert runs["rl"].reward_model == runs["rm"].key()
    first = BASE.replace("  rm: {kind: reward_model, data: world.preferences}\n", "")
    first = first.replace("  sft:", "  rm: {kind: reward_model, data: world.preferences}\n  sft:")
    both = {each.arm.name: each for each in tree("arms: {both: {}, alone: {drop: sft}}\n", first).lineages}
    models = {name: next(run for run in each.runs if run.stage_name == "rm") for name, each in both.items()}
    assert models["both"].key() == models["alone"].key()  # listed before the stage that is dropped: one and the same


def test_arms_that_are_paid_by_different_models_are_warned_of() -> None:
    arms = "arms: {both: {}, alone: {drop: sft}}\n"
    assert any("paid by different reward models" in text for text in design_warnings(study(arms), tree(arms)))
    same = "arms: {both: {}, longer: {stages: {rl: {steps: 80}}}}\n"
    assert not any("reward models" in text for text in design_warnings(study(same), tree(same)))


def test_longer_stages_share_the_updates_of_shorter_ones() -> None:
    base = BASE.replace("steps: 40,", "steps: 40, schedule: {kind: constant}, measure_at: [50%, 30],")
    found = tree("arms: {short: {}, long: {stages: {rl: {steps: 60, measure_at: [30]}}}}\n", base)
    labels = [node.label for node in found.nodes.values() if node.label.startswith("rl")]
    assert sorted(labels) == ["rl", "rl", "rl:step 20", "rl:step 30"]
    assert {"short@rl:50%", "short@rl:30", "long@rl:30"} <= {cell.name for cell in found.cells}
    steps = {node.label: (node.from_step, node.to_step) for node in found.nodes.values()}
    assert steps["rl:step 30"] == (20, 30)


def test_other_steps_or_seeds_of_others_rename_nothing() -> None:
    alone = ends(tree(""))["main"]
    beside = tree("arms: {main: {}, longer: {stages: {rl: {steps: 80}}}, sft: {drop: [rm, rl]}}\n")
    assert ends(beside)["main"] == alone


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            "arms: {main: {drop: rm}}\n",
            r"paid by the reward model 'rm', which no stage before it trains \(there is none\)",
        ),
        ("arms: {main: {swap: [rm, rl]}}\n", "which no stage before it trains"),
        (
            "arms: {main: {stages: {rl: {reward: {kind: reward_model, stage: sft}}}}}\n",
            r"'sft', which no stage .* \(rm\)",
        ),
        ("processes: 2\n", "needs processes: 1"),
        ("arms: {main: {stages: {rl: {data: mine, reward: oracle}}}}\n", "comes from no world"),
        ("arms: {main: {stages: {rm: {measure_at: [50%]}}}}\n", "given in tokens or steps"),
        ("arms: {main: {stages: {rl: {reward: orakel}}}}\n", "reward"),
    ],
)
def test_what_does_not_fit_is_refused(arms: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        tree(arms)


def test_the_schema_knows_both_kinds_and_the_bare_words_of_rewards() -> None:
    defined = schema()["$defs"]
    assert {"RewardModel", "Rl", "OracleReward", "ProxyReward", "ModelReward"} <= set(defined)
    assert {"enum": ["oracle", "proxy"]} in defined["Rl"]["properties"]["reward"]["anyOf"]
