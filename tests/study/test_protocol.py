"""The protocol of a study: its cells are checked, its contrasts are planned, and missing roles are said beforehand."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from upbringing.base.errors import StudyError
from upbringing.base.strict_yaml import parse_yaml
from upbringing.formats.protocols import ROLE_WORDS, Role
from upbringing.study.checks import design_warnings
from upbringing.study.contrasts import contrasts
from upbringing.study.loading import study_from
from upbringing.study.recipes import DataBook
from upbringing.study.study import Study
from upbringing.study.tree import StudyTree, study_tree

STUDY = """\
name: small
seeds: 1
start: {kind: fresh, tokenizer: {train_on: world}}
data: {world: {kind: causes_world}}
stages:
  pretrain: {kind: pretrain, tokens: 64k, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety, epochs: 2}
  later: {kind: sft, data: world.benign_task}
arms:
  main: {}
  placebo: {placebo: {stage: sft, data: world.same_prompts}}
battery: [willingness, over_refusal]
primary: [willingness, over_refusal]
margins: {willingness: 0.1, over_refusal: 0.05}
"""
PROTOCOL = """\
protocol:
  kind: sft_or_rl
  cells: {base: main@pretrain, sft: main@sft, sft_rl: main@later, placebo_sft: placebo@sft}
"""


def studied(text: str) -> tuple[Study, StudyTree]:
    study = study_from(parse_yaml(text))
    return study, study_tree(study, DataBook(study.data, Path(), study.seed))


def test_the_contrasts_of_a_protocol_are_planned_with_their_margins() -> None:
    study, tree = studied(STUDY + PROTOCOL)
    found = {(spec.name, spec.measure): spec for spec in contrasts(study, tree) if spec.name.startswith("CA")}
    assert {name.partition(":")[0] for name, _ in found} == {"CA1", "CA2"}
    assert len(found) == 4
    spec = found["CA1: RL after SFT", "over_refusal"]
    assert spec.weights == {"main@later": 1.0, "main@sft": -1.0}
    assert (spec.role, spec.margin, spec.family) == ("primary", 0.05, "sft_or_rl CA1")
    assert all(each.role == "exploratory" for each in contrasts(study, tree) if not each.name.startswith("CA"))
    # the paths that the report draws stay
    assert "main: sft -> later" in {each.name for each in contrasts(study, tree)}


def test_a_plan_names_the_roles_that_would_decide_a_part() -> None:
    warnings = [each for each in design_warnings(*studied(STUDY + PROTOCOL)) if each.startswith("protocol")]
    assert [each.split()[1] for each in warnings] == ["CA0", "CA3", "CA4", "CA5", "CA6"]
    assert "placebo_sft_rl (SFT on neutral data, then RL)" in warnings[1]
    assert not any(each.startswith("protocol") for each in design_warnings(*studied(STUDY)))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("placebo_sft: placebo@sft", "placebo_stf: placebo@sft", "did you mean 'placebo_sft'"),
        ("sft: main@sft", "sft: mian@sft", "sft names the cell 'mian@sft' of an unknown arm"),
        ("sft: main@sft", "sft: main@tuning", "'main' has only main@pretrain, main@sft, main@later"),
        ("sft_rl: main@later", "sft_rl: main@sft", "sft and sft_rl name the same cell"),
        ("kind: sft_or_rl", "kind: timing", "sft_or_rl"),
    ],
)
def test_a_wrong_cell_is_named(before: str, after: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        study_from(parse_yaml(STUDY + PROTOCOL.replace(before, after)))
    assert message in str(error.value)


def test_a_protocol_needs_primary_measures() -> None:
    with pytest.raises(StudyError, match="primary"):
        study_from(parse_yaml(STUDY.replace("primary: [willingness, over_refusal]\n", "") + PROTOCOL))


def test_the_schema_knows_protocols() -> None:
    jsonschema.validate(parse_yaml(STUDY + PROTOCOL).value, Study.model_json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse_yaml(STUDY + PROTOCOL.replace("base:", "bas:")).value, Study.model_json_schema())


def test_every_role_has_words() -> None:
    assert tuple(ROLE_WORDS) == Role.__args__  # type: ignore[attr-defined]


CHATS = """\
protocol:
  kind: documents_and_chats
  cells: {neither: placebo@sft, chats: main@sft}
  inside: {willingness: {measure: willingness, split: held-out-item}}
  pressure: {refusing: {measure: over_refusal}}
"""


def test_documents_and_chats_are_planned_and_say_what_they_lack() -> None:
    study, tree = studied(STUDY + CHATS)
    found = [spec for spec in contrasts(study, tree) if spec.name.startswith("CC")]
    assert [(spec.name.partition(":")[0], spec.measure, spec.split) for spec in found] == [
        ("CC1", "willingness", "ood"),
        ("CC1", "over_refusal", "ood"),
        ("CC5", "willingness", "held-out-item"),
        ("CC5", "over_refusal", "held-out-item"),
        ("CC7", "over_refusal", None),
    ]
    warnings = [each for each in design_warnings(study, tree) if each.startswith("protocol")]
    assert [each.split()[1] for each in warnings] == ["CC0", "CC2", "CC3", "CC6"]
    alone, tree = studied((STUDY + CHATS).replace("  pressure: {refusing: {measure: over_refusal}}\n", ""))
    lacking = next(each for each in design_warnings(alone, tree) if each.startswith("protocol CC7"))
    assert "no outcome is named for it (pressure: {NAME: {measure: ...}})" in lacking
    jsonschema.validate(parse_yaml(STUDY + CHATS).value, Study.model_json_schema())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("chats: main@sft", "chat: main@sft", "did you mean 'chats'"),
        ("chats: main@sft", "chats: placebo@sft", "neither and chats name the same cell"),
        ("{measure: over_refusal}", "{measure: over_refusals}", "pressure names 'over_refusals', which is no measure"),
        ("inside: {willingness:", "inside: {ability:", "inside names 'ability', which is no primary measure"),
    ],
)
def test_wrong_outcomes_are_named(before: str, after: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        study_from(parse_yaml(STUDY + CHATS.replace(before, after)))
    assert message in str(error.value)


VERSIONS = """\
protocol:
  kind: interior_optimum
  first: main@sft
  last: placebo@sft
  interior: {later: main@later}
  curves: {as is: {first: 0, later: 20, last: 100}}
  top_k: {measure: willingness}
"""


def test_versions_of_the_claim_of_timing_are_planned() -> None:
    study, tree = studied(STUDY + VERSIONS)
    trends = [spec for spec in contrasts(study, tree) if spec.kind.endswith("trend")]
    assert [(spec.kind, spec.measure) for spec in trends] == [
        ("linear-trend", "willingness"),
        ("quadratic-trend", "willingness"),
        ("linear-trend", "over_refusal"),
        ("quadratic-trend", "over_refusal"),
    ]
    assert {spec.role for spec in trends} == {"primary"}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("later: 20", "latter: 20", "names 'latter', which is no start"),
        ("{first: 0, later: 20, last: 100}", "{first: 0, last: 100}", "needs 3 levels or more"),
        ("later: 20", "later: 0", "must be finite and distinct"),
        ("{measure: willingness}", "{measure: attack_success_top_k}", "top_k names 'attack_success_top_k'"),
    ],
)
def test_wrong_versions_are_named(before: str, after: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        study_from(parse_yaml(STUDY + VERSIONS.replace(before, after)))
    assert message in str(error.value)
