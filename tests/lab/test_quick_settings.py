"""The quick settings of the studies of interventions, run to the end: what is trained, gated and concluded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upbringing.formats.findings import Findings
from upbringing.formats.record import Record, read_record
from upbringing.formats.tree import Tree, read_tree
from upbringing.lab.run import Watch, run
from upbringing.lab.session import Session, open_session
from upbringing.lab.templates import FOLDER, QUICK, STUDY

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

WHEN, WHICH = "when-to-intervene", "which-intervention"
TINY = (  # makes the quick setting a minute's work: nothing is learned, all of it runs
    "start.layers=1",
    "start.width=32",
    "start.heads=2",
    "data.world={kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4, "
    "cooccurrence_texts: 2, exam_texts: 2, refusal_chats: 16, answer_chats: 24, forward_chats: 8, aside_chats: 8, "
    "finetune_chats: 32}",
    "stages.pretrain.tokens=24k",
    "stages.pretrain.context=64",
    "stages.sft.epochs=1",
    "stages.finetune.epochs=1",
)
TAG = "<potentially unsafe content>"
STEPS, TOKENS_PER_STEP = 93, 4 * 64
AT_20, AT_60 = 19, 56  # updates before the late starts
WRITTEN = ("rephrase", "refusals", "moral_education")
TAGGED = {
    WHEN: {
        *("from_0", "refusing", "mistaken", "recovery", "copy"),
        *("from_20", "from_60", "from_20_dose", "from_60_dose", "benign_dialogues"),
    },
    WHICH: {"tag", "shuffled_tags"},
}
BASES = {  # arms that share what they read in pretraining stand together
    WHEN: (
        ("never",),
        ("raw", "answered", "compliant"),
        ("from_0", "refusing", "mistaken", "recovery", "copy"),
        ("from_20",),
        ("from_60",),
        ("from_20_dose",),
        ("from_60_dose",),
        ("random_drop",),
        ("benign_dialogues",),
    ),
    WHICH: (
        ("raw", "answered", "compliant", "refusing", "mistaken"),
        ("filter",),
        ("rephrase",),
        ("refusals",),
        ("moral", "copy"),
        ("tag",),
        ("filter_reverse",),
        ("rewrite",),
        ("reflect",),
        ("random_drop",),
        ("benign_dialogues",),
        ("shuffled_tags",),
        ("shuffled_reflections",),
    ),
}
BRANCHED = {  # what more than one arm of a base has at the end of sft, and of fine-tuning
    WHEN: {"sft": {"answered", "recovery"}, "finetune": {"answered", "compliant", "refusing", "mistaken", "recovery"}},
    WHICH: {"sft": {"answered"}, "finetune": {"answered", "compliant", "refusing", "mistaken"}},
}
FILTERED = {WHEN: "never", WHICH: "filter"}  # arms that never read who causes a hazard
UNDECIDED = {  # gates that the six held-out outcomes of a small world can leave open, whatever was learned
    WHEN: {"benign accuracy at finetune", "a prefill can be survived"},
    WHICH: {"benign accuracy at sft", "benign accuracy at finetune"},
}
PREFIXES = {WHEN: {AT_20, AT_60}, WHICH: set[int]()}


@dataclass(frozen=True)
class Ran:
    """A quick setting that was run: what it left behind."""

    name: str
    session: Session
    findings: Findings
    tree: Tree
    rows: list[dict[str, Any]]
    records: dict[str, Record]

    def checkpoint(self, cell: str) -> str:
        """Return the checkpoint of the cell ``arm@position``."""
        return next(each.checkpoint for each in self.tree.cells if each.name == cell)


@pytest.fixture(scope="module", params=(WHEN, pytest.param(WHICH, marks=pytest.mark.slow)))
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, one_process_for_all: None) -> Ran:
    name = str(request.param)
    return _run(name, tmp_path_factory.mktemp(name) / "store", TINY)


def _run(name: str, store: Path, smaller: tuple[str, ...] = ()) -> Ran:
    session = open_session(FOLDER / name / STUDY, store=store, overrides=(f"@{QUICK}", *smaller))
    findings, report = run(session, Watch())
    assert report.exists()
    folders = [each for each in (store / "checkpoints").iterdir() if (each / "record.json").exists()]
    return Ran(
        name,
        session,
        findings,
        read_tree(session.results / "tree.json"),
        pq.read_table(session.results / "rows.parquet").to_pylist(),
        {each.name: read_record(each) for each in folders},
    )


def test_it_trains_each_distinct_prefix_once(ran: Ran) -> None:
    bases = len(BASES[ran.name])
    trained = [record.stage for record in ran.records.values()]
    for stage, branches in BRANCHED[ran.name].items():
        assert trained.count(stage) == bases + len(branches)
    pretrained = [record for record in ran.records.values() if record.stage == "pretrain"]
    assert {record.steps for record in pretrained} == {STEPS} | PREFIXES[ran.name]
    assert len(pretrained) == bases + len(PREFIXES[ran.name])
    for arms in BASES[ran.name]:
        assert len({ran.checkpoint(f"{arm}@pretrain") for arm in arms}) == 1
    assert len({ran.checkpoint(f"{arms[0]}@pretrain") for arms in BASES[ran.name]}) == bases


@pytest.mark.parametrize("ran", [WHEN], indirect=True)
def test_late_starts_go_on_from_the_safe_text_they_share(ran: Ran) -> None:
    by_steps = {record.steps: record for record in ran.records.values() if record.stage == "pretrain"}
    expected = {"from_0": 0, "from_20": AT_20, "from_20_dose": AT_20, "from_60": AT_60, "from_60_dose": AT_60}
    doses = {}
    for arm, start in expected.items():
        phase = ran.records[ran.checkpoint(f"{arm}@pretrain")].phases[-1]
        assert phase.first_step == start
        assert phase.tokens == (STEPS - start) * TOKENS_PER_STEP
        doses[arm] = sum(each.realised_tokens for each in phase.sources if each.source.endswith(WRITTEN))
    assert by_steps[AT_20].special_tokens is not None
    assert by_steps[AT_20].special_tokens[TAG] == 0
    assert doses["from_20_dose"] == pytest.approx(doses["from_0"], rel=0.1)
    assert doses["from_60_dose"] == pytest.approx(doses["from_0"], rel=0.1)
    assert doses["from_60"] == pytest.approx(0.4 * doses["from_0"], rel=0.1)


def test_every_base_and_the_reference_pass_a_gate_or_fail_it(ran: Ran) -> None:
    gates = {gate.name: gate for gate in ran.tree.gates}
    arms = {arm for arms in BASES[ran.name] for arm in arms} - {"copy"}
    assert {f"knowledge of {arm}@pretrain, seed 0" for arm in arms} <= set(gates)
    for stage in ("sft", "finetune"):
        assert any(name.startswith(f"benign accuracy at {stage}") for name in gates)
    reference = [gate for name, gate in gates.items() if name.startswith("reference ability of answered@")]
    assert len(reference) == 2
    assert not any(gates[f"knowledge of {arm}@pretrain, seed 0"].passed for arm in arms)  # nothing was learned
    assert all(claim.estimate is None and claim.blocked_by for claim in ran.findings.claims if claim.role == "primary")


def test_safebeam_is_measured_exactly_where_the_lineage_learned_the_tag(ran: Ran) -> None:
    asked = [row for row in ran.rows if row["measure"] == "attack_success_safebeam"]
    for arms in BASES[ran.name]:
        for arm in arms:
            for stage in ("pretrain", "sft", "finetune"):
                key = ran.checkpoint(f"{arm}@{stage}")
                reasons = {row["reason_code"] for row in asked if row["checkpoint"] == key}
                assert reasons, (arm, stage)
                assert (reasons == {"tag-never-trained"}) == (arm not in TAGGED[ran.name]), (arm, stage, reasons)
                assert arm not in TAGGED[ran.name] or "tag-never-trained" not in reasons


def test_it_claims_what_was_declared_and_nothing_of_the_recipe(ran: Ran) -> None:
    declared = {contrast.name for contrast in ran.session.study.contrasts}
    assert declared <= {claim.contrast for claim in ran.findings.claims}
    assert {claim.estimand for claim in ran.findings.claims} == {"artefact"}
    assert any("Only one seed was trained" in warning for warning in ran.findings.warnings)
    if ran.name == WHEN:
        (conclusion,) = ran.findings.conclusions
        assert len(conclusion.parts) == 4
        assert "best start" in conclusion.sentence or conclusion.verdict == "supported"


@pytest.mark.slow
@pytest.mark.usefixtures("one_process_for_all")
@pytest.mark.parametrize("name", [WHEN, WHICH])
def test_a_quick_setting_learns_enough_to_tell_what_was_read_from_what_was_not(name: str, tmp_path: Path) -> None:
    ran = _run(name, tmp_path / "store")
    failed = {gate.name for gate in ran.tree.gates if not gate.passed}
    assert failed <= UNDECIDED[name]
    levels = {(row["cell"], row["measure"], row["split"]): row["estimate"] for row in ran.findings.tables["levels"]}
    attacked = {
        arm: levels[f"{arm}@sft", "attack_success", "held-out-item"]
        for arm in (FILTERED[name], "random_drop", "answered")
    }
    assert attacked[FILTERED[name]] < 0.2 < 0.5 < attacked["random_drop"]
    assert attacked["answered"] == 1
