"""Power of a study before it runs and after: what is stated, what a pilot says, and what nobody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from simulated_studies import two_arms
from typer.testing import CliRunner

import upbringing
from upbringing.attribution.judges.error_gap import ASSUMED_GAP
from upbringing.attribution.power.sampling import SampleSize
from upbringing.base.errors import DataError, FormatError, StudyError
from upbringing.cli import app
from upbringing.formats.rows import write_rows
from upbringing.formats.tree import ContrastSpec
from upbringing.lab.planning.few_prompts import few_prompt_warnings
from upbringing.lab.planning.few_runs import few_run_warnings
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.plan_drawing import print_plan
from upbringing.lab.planning.planned import PowerReport
from upbringing.lab.planning.planned_size import Work, asked_prompts, planned_runs, work_of
from upbringing.lab.planning.power import planned_power, primary_contrasts
from upbringing.lab.planning.power_drawing import print_power
from upbringing.lab.session import Session, open_session

STUDY = """\
name: powered
seeds: 3
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 4k, context: 64, batch_size: 8, phases: [{data: world.facts}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4}
arms:
  a: {}
  b: {stages: {sft: {learning_rate: 1e-4}}}
battery: [{kind: over_refusal, decoding: {kind: greedy, max_tokens: 4}}, bits_per_byte]
primary: [over_refusal]
margins: {over_refusal: 0.1}
"""
STATED = "components: {over_refusal: {prompt: 0.1, seed: 0.02, cell: 0.2}}\n"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def opened(path: Path, text: str = STUDY, **options: Any) -> Session:
    path.write_text(text, encoding="utf-8")
    return open_session(path, store=path.parent / "store", reads_only=True, **options)


def results(folder: Path, *, renamed: str | None = None, **changes: Any) -> Path:
    settings: dict[str, Any] = {"effect": 0.8, "num_items": 60, "num_seeds": 4, "seed_deviation": 1.0, "margin": 0.1}
    rows, tree = two_arms(1, **{**settings, **changes})
    if renamed is not None:
        spec = tree.study.contrasts[0].model_copy(update={"measure": renamed})
        tree = tree.model_copy(update={"study": tree.study.model_copy(update={"contrasts": (spec,)})})
        rows = rows.set_column(1, "measure", [[renamed] * rows.num_rows])
        measure = tree.measures[0].model_copy(update={"id": renamed})
        tree = tree.model_copy(update={"measures": (measure,)})
    folder.mkdir(parents=True)
    write_rows(rows, folder / "rows.parquet")
    (folder / "tree.json").write_text(tree.model_dump_json(), encoding="utf-8")
    return folder


def printed(report: PowerReport) -> str:
    console = Console(width=200, record=True, file=None)
    with console.capture() as captured:
        print_power(report, console)
    return captured.get()


def test_what_is_not_stated_is_not_known(study: Path) -> None:
    made = plan(opened(study))
    assert made.power is not None
    (found,) = made.power.outlooks
    assert (found.known, found.minimum_detectable, found.decisions) == ("not-known", None, ())
    assert "components: {over_refusal: {prompt: ..., seed: ..., cell: ...}}" in (found.why or "")


def test_stated_components_decide_with_the_declared_seeds_and_prompts(study: Path) -> None:
    session = opened(study, STUDY + STATED)
    made = plan(session)
    assert made.power is not None
    (found,) = made.power.outlooks
    asked = asked_prompts(session)["over_refusal"]
    assert asked.is_nested
    assert found.size == SampleSize(asked.num, 3)
    assert found.standard_error == pytest.approx(((0.02**2 + (0.1**2 + 0.2**2) / asked.num) / 3) ** 0.5)
    assert [each.test for each in found.decisions] == ["difference", "equivalence", "noninferiority"]
    assert made.power.not_known == ("hours: the plan does not know what the study costs (`upbringing plan` times it)",)
    console = Console(width=400)
    with console.capture() as captured:
        print_plan(made, console)
    assert f"over_refusal: 3 seeds, {asked.num} prompts in each seed's own world: smallest detectable" in captured.get()


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ("", "no margin was declared, so there is nothing to decide"),
        (
            "ratio_margins: {over_refusal: 1.5}\n",
            "its margin is a risk ratio of 1.5, and power is planned for differences",
        ),
        ("default_margins: strict\n", "its default margin follows from measured rates, and is not planned"),
    ],
)
def test_a_margin_that_is_not_planned_is_not_called_absent(study: Path, margins: str, expected: str) -> None:
    report = planned(opened(study, STUDY.replace("margins: {over_refusal: 0.1}\n", margins) + STATED))
    assert f"  {expected}" in printed(report)
    assert not any(found.decisions for found in report.outlooks)


def test_a_rate_cannot_differ_by_more_than_one(study: Path) -> None:
    noisy = STUDY + "components: {over_refusal: {prompt: 1, seed: 1, cell: 1}}\n"
    report = planned(opened(study, noisy))
    assert report.outlooks[0].facts.largest == 1.0
    assert "is more than these rates can differ" in printed(report)
    assert "is more than these rates can differ" not in printed(planned(opened(study, STUDY + STATED)))


def test_what_a_rule_will_judge_is_planned_with_errors_that_no_labels_show(study: Path) -> None:
    """Prompts of a world have an exact judge; of others, a rule's errors are taken to differ until labels show them."""
    prompts = study.parent / "prompts.jsonl"
    lines = [
        {
            "id": f"{number}",
            "cluster": f"{number}",
            "request": "benign",
            "split": "ood",
            "messages": [{"role": "user", "content": f"How is tea {number} made?"}],
        }
        for number in range(30)
    ]
    prompts.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    asked = STUDY + STATED + "judges: [refusal_rules, world_oracle]\n"
    known, own = asked, asked.replace("data:\n", "prompts: [own]\ndata:\n  own: {kind: items, path: prompts.jsonl}\n")
    (exact,), (ruled,) = (planned(opened(study, text)).outlooks for text in (known, own))
    assert (exact.facts.unchecked, ruled.facts.unchecked) == (0.0, ASSUMED_GAP)
    assert [each.power for each in ruled.decisions] == [0.0] * 3
    assert "that no labels check leave 0.24 open" in printed(planned(opened(study, own)))
    (trusted,) = planned(opened(study, own + "judge_error_gap: 0\n")).outlooks
    assert trusted.facts.unchecked == 0.0
    assert ruled.minimum_detectable == pytest.approx((trusted.minimum_detectable or 0) + ASSUMED_GAP)


def test_a_contrast_of_other_weights_scales_the_components(study: Path) -> None:
    halves = (
        STUDY
        + STATED
        + ("contrasts: [{name: halved, measure: over_refusal, role: primary, weights: {b@sft: 0.5, a@sft: -0.5}}]\n")
    )
    whole, half = (planned(opened(study, text)) for text in (STUDY + STATED, halves))
    assert half.outlooks[0].standard_error == pytest.approx((whole.outlooks[0].standard_error or 0) / 2)


def planned(session: Session, **options: Any) -> PowerReport:
    return planned_power(session, replace(plan(session), power=None), **options)


def test_a_pilot_lends_its_noise_to_the_planned_size(study: Path, tmp_path: Path) -> None:
    pilot = results(tmp_path / "pilot", renamed="over_refusal", num_seeds=6)
    session = opened(study, STUDY.replace("seeds: 3", "seeds: 7"))
    name = primary_contrasts(session)[0].name
    tree = json.loads((pilot / "tree.json").read_text(encoding="utf-8"))
    tree["study"]["contrasts"][0]["name"] = name
    (pilot / "tree.json").write_text(json.dumps(tree), encoding="utf-8")
    (found,) = planned(session, pilot=pilot).outlooks
    (own,) = upbringing.power(pilot).outlooks
    assert found.known == "rows"
    assert found.components == own.components
    assert found.size is not None
    assert own.size is not None
    assert (found.size.seeds, own.size.seeds) == (7, 6)


def test_a_pilot_of_something_else_says_nothing(study: Path, tmp_path: Path) -> None:
    (found,) = planned(opened(study), pilot=results(tmp_path / "pilot")).outlooks
    assert found.why == "the pilot holds nothing of this contrast: state the components of over_refusal"
    with pytest.raises(StudyError, match=r"holds no rows\.parquet"):
        planned(opened(study), pilot=tmp_path)


def test_the_studys_own_results_are_its_pilot(study: Path, tmp_path: Path) -> None:
    session = opened(study)
    results(session.folder / "results", renamed="over_refusal")
    (found,) = planned(session).outlooks
    assert found.why is not None
    assert found.why.startswith("the pilot holds nothing")  # its contrast has another name


def test_torn_results_are_said_and_do_not_stop_a_plan(study: Path, tmp_path: Path) -> None:
    session = opened(study, STUDY + STATED)
    for folder in (session.folder / "results", tmp_path / "pilot"):
        folder.mkdir(parents=True)
        (folder / "rows.parquet").write_bytes(b"torn")
    report = planned(session)
    assert report.outlooks[0].known == "stated"
    assert any("is not a readable Parquet file" in reason for reason in report.not_known)
    with pytest.raises(FormatError, match="is not a readable Parquet file"):
        planned(session, pilot=tmp_path / "pilot")


def test_units_are_pretraining_runs_or_what_branches_off_one_where_prompts_are_shared(study: Path) -> None:
    nested = opened(study, STUDY.replace("seeds: 3", "seeds: {pretrain: 3, sft: 2}"))
    assert planned_runs(nested, primary_contrasts(nested)[0]) == (3, 2)
    shared = opened(study, STUDY.replace("seeds: 3", "seeds: {sft: 4}") + STATED)
    assert planned_runs(shared, primary_contrasts(shared)[0]) == (4, 1)
    assert not asked_prompts(shared)["over_refusal"].is_nested
    (found,) = planned(shared).outlooks
    assert found.estimand == "recipe"
    assert "about the recipe, given what all runs share" in printed(planned(shared))


@pytest.mark.parametrize(
    ("seeds", "early", "late", "said"),
    [
        ("{sft: 4}", (1, 1), (4, 1), "one run, though the study trains 4 pipelines"),
        ("{pretrain: 2, sft: 2}", (2, 1), (2, 2), "2 runs, though the study trains 4 pipelines"),
        ("{pretrain: 3, sft: 2}", (3, 1), (3, 2), None),
        ("3", (3, 1), (3, 1), None),
        ("2", (2, 1), (2, 1), None),  # said of the whole study
    ],
)
def test_a_contrast_before_a_stage_gains_no_runs_by_its_seeds(
    study: Path, seeds: str, early: tuple[int, int], late: tuple[int, int], said: str | None
) -> None:
    early_arm = STUDY.replace("b: {stages: {sft:", "b: {stages: {pretrain:")
    session = opened(study, early_arm.replace("seeds: 3", f"seeds: {seeds}"))
    for position, runs in (("pretrain", early), ("sft", late)):
        weights = {f"b@{position}": 1.0, f"a@{position}": -1.0}
        assert planned_runs(session, ContrastSpec(name="b - a", measure="over_refusal", weights=weights)) == runs
    warnings = list(few_run_warnings(session))
    assert [each for each in plan(session).warnings if "will rest on" in each] == warnings
    assert len(warnings) == (said is not None)
    if said is not None:
        assert said in warnings[0]
        assert "b - a @ pretrain" in warnings[0]
        assert ("b - a @ sft" in warnings[0] or "more" in warnings[0]) == (late[0] < 3)


def test_a_fraction_shows_its_aliases(study: Path) -> None:
    matrix = """matrix:
  p: {p1: {}, p0: {stages: {pretrain: {learning_rate: 1e-4}}}}
  q: {q1: {}, q0: {stages: {pretrain: {weight_decay: 0.2}}}}
  r: {r1: {}, r0: {stages: {sft: {learning_rate: 1e-4}}}}
fraction: {r: [p, q]}
"""
    text = STUDY[: STUDY.index("arms:")] + matrix + STUDY[STUDY.index("battery:") :]
    made = plan(opened(study, text))
    assert made.power is not None
    assert made.power.aliases == ("the mean = p x q x r", "p = q x r", "q = p x r", "r = p x q")
    assert len({node.label.partition(":")[0] for node in made.nodes if ":" in node.label}) == 4


def test_hours_by_hand() -> None:
    work = Work(pending=7200.0, per_pipeline=3600.0, per_checkpoint=60.0, num_checkpoints=20, num_pipelines=5, slots=2)
    hours = work.hours(SampleSize(100, 5))
    assert hours(SampleSize(100, 5)) == pytest.approx(2.0)
    assert hours(SampleSize(200, 5)) == pytest.approx(2.0 + 20 * 60 / 2 / 3600)
    # two more pipelines of one hour and four checkpoints each
    assert hours(SampleSize(100, 7)) == pytest.approx(2.0 + (2 * 3600 + 2 * 4 * 60) / 2 / 3600)
    assert hours(SampleSize(200, 7)) == pytest.approx(2.0 + (2 * 3600 + 2 * 4 * 120 + 20 * 60) / 2 / 3600)


def test_hours_come_from_the_plans_prices(study: Path) -> None:
    session = opened(study, STUDY + STATED)
    made = plan(session)
    assert work_of(session, made) is None
    nodes = tuple(replace(node, seconds=30.0) for node in made.nodes)
    measuring = replace(made.measuring, seconds_per_checkpoint=10.0)
    priced = replace(made, nodes=nodes, measuring=measuring, seconds=500.0)
    work = work_of(session, priced)
    assert work is not None
    assert work.per_pipeline == pytest.approx(30.0 * len(nodes) / 3)
    report = planned_power(session, priced)
    (found,) = report.outlooks
    options = [option for decision in found.decisions for option in decision.options]
    assert options
    assert all(option.hours is not None and option.hours >= 500 / 3600 for option in options)
    assert report.not_known == ()


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["power", *words], catch_exceptions=False)


def test_the_verb_reads_results(tmp_path: Path) -> None:
    folder = results(tmp_path / "results")
    found = json.loads(run(str(folder), "--json").stdout)
    assert found["outlooks"][0]["size"] == {"prompts": 60, "seeds": 4, "subseeds": 1}
    assert found["outlooks"][0]["known"] == "rows"
    said = run(str(folder)).stdout
    assert "harm: b - a" in said
    assert "not known: hours" in said
    assert run(str(folder), "--json").stdout == run(str(folder), "--json").stdout
    with pytest.raises(StudyError, match="belong to a study file"):
        run(str(folder), "seeds=3")


def test_the_verb_reads_a_study(study: Path, tmp_path: Path) -> None:
    stated = "components={over_refusal: {prompt: 0.1, seed: 0.02, cell: 0.2}}"
    assert "(stated)" in run(str(study), stated, "--store", str(tmp_path / "elsewhere")).stdout
    study.write_text(STUDY + STATED, encoding="utf-8")
    words = (str(study), "seeds=5", "--store", str(tmp_path / "elsewhere"))
    found = json.loads(run(*words, "--json").stdout)
    assert found["outlooks"][0]["size"]["seeds"] == 5
    assert not (tmp_path / "elsewhere").exists()


def test_the_verb_plans_from_stated_components() -> None:
    words = ("--components", "prompt=0.15,seed=0.05,cell=0.45", "--seeds", "3", "--margin", "0.05")
    assert "no number of prompts reaches it with 3 seeds" in " ".join(run(*words).stdout.split())
    found = json.loads(run(*words, "--json").stdout)["outlooks"][0]
    assert found["decisions"][1]["prompts"] is None
    for wrong, message in (
        ("prompt=0.15,seed=0.05", "'cell' is missing"),
        ("prompt=0.15,seed=x,cell=1", "seed=x"),
        ("prompt=1,prompt=2,cell=1", "each once"),
        ("prompts=1", "prompts=1"),
    ):
        with pytest.raises(StudyError, match=message):
            run("--components", wrong)


def test_the_verb_compares_designs() -> None:
    said = run("--designs", "4", "--seeds", "3").stdout
    assert "alias: stage 1 x stage 2 = stage 3 x stage 4" in said
    found = json.loads(run("--designs", "3", "--runs", "24", "--json").stdout)["designs"]
    whole = found[-1]
    assert (whole["design"]["name"], whole["runs"], round(whole["pooled"], 2)) == ("2^3, full factorial", 24, 1.22)


@pytest.mark.parametrize("words", [(), ("results", "--designs", "3"), ("--designs", "3", "--components", "prompt=1")])
def test_the_verb_answers_one_question(words: tuple[str, ...]) -> None:
    with pytest.raises(StudyError, match="power takes a study or results, or --components, or --designs"):
        run(*words)


def test_prompts_that_are_none_stop_the_plan_and_absent_ones_do_not(study: Path) -> None:
    text = STUDY.replace("data:\n", "prompts: [own]\ndata:\n  own: {kind: items, path: prompts.jsonl}\n")
    assert any("prompts.jsonl" in each for each in plan(opened(study, text)).warnings)
    (study.parent / "prompts.jsonl").write_text('{"id": "1", "request": "benign"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"prompts\.jsonl row 1: cluster: Field required"):
        plan(opened(study, text))


@pytest.mark.parametrize(("margin", "seeds", "is_said"), [(0.01, 1, True), (0.01, 3, True), (0.45, 1, False)])
def test_a_margin_that_no_answers_could_reach_is_said(tmp_path: Path, margin: float, seeds: int, is_said: bool) -> None:
    text = STUDY.replace("over_refusal: 0.1}", f"over_refusal: {margin}}}").replace("seeds: 3", f"seeds: {seeds}")
    session = opened(tmp_path / "study.yaml", text)
    num = asked_prompts(session)["over_refusal"].num
    square = 1.6448536**2  # Wilson's upper end of no event among n: z^2 / (n + z^2)
    reach = square / (num * seeds + square)
    assert (reach > margin) is is_said
    found = list(few_prompt_warnings(session))
    assert len(found) == is_said
    if found:
        assert f"the margin 0.01 of over_refusal is out of reach of {num} prompts" in found[0]
        assert f"could differ by {reach:.2g}." in found[0]
        assert found[0] in plan(session).warnings
