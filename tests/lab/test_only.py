"""Some arms of a study: the same nodes as in the whole, findings that say what is missing, nothing lost later."""

from __future__ import annotations

from pathlib import Path

import pytest

from upbringing.base.errors import StudyError
from upbringing.formats.findings import read_findings
from upbringing.formats.tree import read_tree
from upbringing.lab.planning.plan import plan
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.storage.contents import references

STUDY = """\
name: parts
seeds: 1
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 6k, context: 64, batch_size: 8, schedule: {kind: constant},
             phases: [{data: world.pretraining_concept}]}
arms:
  main: {}
  late: {stages: {pretrain: {phases: [{until: 50%, data: world.pretraining_concept}, {data: world.facts}]}}}
  later: {stages: {pretrain: {phases: [{until: 75%, data: world.pretraining_concept}, {data: world.facts}]}}}
battery: [bits_per_byte]
primary: [bits_per_byte]
margins: {bits_per_byte: 0.1}
contrasts:
  - {name: late - main, kind: branch, level: L2, measure: bits_per_byte, role: primary, family: primary,
     weights: {late@pretrain: 1, main@pretrain: -1}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def opened(study: Path, *only: str) -> Session:
    return open_session(study, store=study.parent / "store", only=only)


def test_a_chosen_arm_keeps_the_nodes_of_the_whole(study: Path) -> None:
    whole = opened(study).tree
    for pattern, arms in (("late", {"late"}), ("lat*", {"late", "later"}), ("mai?", {"main"})):
        part = opened(study, pattern)
        assert {cell.arm for cell in part.tree.cells} == arms
        assert set(part.left_out) == {"main", "late", "later"} - arms
        for key, node in part.tree.nodes.items():
            assert (node.parent, node.from_step, node.to_step) == (
                whole.nodes[key].parent,
                whole.nodes[key].from_step,
                whole.nodes[key].to_step,
            )
            assert node.needs_state == whole.nodes[key].needs_state
            assert node.parent is None or node.parent in part.tree.nodes
    assert opened(study).left_out == ()
    assert opened(study, "late", "later", "main").tree == whole


def test_an_arm_that_does_not_exist_is_an_error_with_the_nearest_name(study: Path) -> None:
    with pytest.raises(StudyError, match=r"'lates', which matches no arm .*did you mean 'late'"):
        opened(study, "main", "lates")


@pytest.mark.model
def test_findings_list_what_was_not_computed_and_a_later_run_completes_them(study: Path, one_process: None) -> None:
    part = opened(study, "late")
    findings, report = run(part, Watch())
    missing = [claim for claim in findings.claims if claim.contrast == "late - main"]
    assert [claim.verdict for claim in missing] == ["not-measurable"]
    assert missing[0].blocked_by == ("Not computed: left out of this run: main.",)
    assert missing[0].role == "primary"
    assert any(warning.startswith("Arms left out of this run: main, later.") for warning in findings.warnings)
    assert "left out of this run" in report.read_text(encoding="utf-8")
    assert read_tree(part.results / "tree.json").study.left_out == ("main", "later")
    needed = set(references(part.store)["parts"]["checkpoints"])

    whole = opened(study)
    assert plan(whole).num_to_build < len(whole.tree.nodes)
    run(whole, Watch())
    found = read_findings(whole.results / "findings.json")
    now = [claim for claim in found.claims if claim.contrast == "late - main"]
    assert now
    assert not any("left out" in reason for claim in now for reason in claim.blocked_by)
    assert not any("left out" in warning or "fixed before" in warning for warning in found.warnings)
    assert not any("were changed after" in warning for warning in found.warnings)
    assert needed < set(references(whole.store)["parts"]["checkpoints"])
    run(opened(study, "main"), Watch())
    assert needed <= set(references(whole.store)["parts"]["checkpoints"])
    assert plan(opened(study)).num_to_build == 0
