"""The example of a timing study on a real corpus: the built-in study with other data, planned without corpus or model,
refused when it is run, and planned whole with small stand-ins that its own recipes wrote.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from upbringing.base.errors import DataError, StudyError
from upbringing.base.strict_yaml import load_yaml
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.data.packages.requests import Request
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Message
from upbringing.lab.building.executor import Job, Outcome
from upbringing.lab.corpus.recipe import load_recipe
from upbringing.lab.corpus.run import transform_corpus
from upbringing.lab.planning.plan import plan
from upbringing.lab.planning.planned import Plan
from upbringing.lab.session import open_session
from upbringing.lab.templates import FOLDER as BUILT_IN
from upbringing.training.added_tokens import add_tokens
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

FOLDER = Path(__file__).parents[2] / "studies" / "when-to-intervene-smollm2-1.7b"
STEPS, TOKENS_PER_STEP = 953, 2048 * 512
NAMES_OF_THE_WORLD = {"attack_success": "non_refusal", "benign_accuracy": "knowledge", "@pretrain": "@continue"}
NOT_HERE = {"answered", "mistaken"}  # arms of the built-in study that need a judge of right and wrong answers
RECIPES = {
    "raw": {"documents": "raw"},
    "added": {"documents": "added", "chats": "refusals"},
    "benign_dialogues": {"chats": "benign_dialogues"},
}
WORDS = ("bread", "city", "garden", "house", "letter", "light", "market", "music", "paper", "river", "road", "stone")
TAG = "<potentially unsafe content>"
SMALL = (
    "seeds=1", "start.parameters=1M", "precision=fp32", "measure_precision=fp32", "stages.continue.tokens=64k",
    "stages.continue.context=512", "stages.continue.batch_size=4", "stages.continue.accumulate=1",
    "stages.sft.context=512", "stages.sft.batch_size=4", "stages.sft.accumulate=1", "stages.finetune.context=512",
    "stages.finetune.batch_size=4", "stages.finetune.accumulate=1",
    "data.refused={kind: file, path: corpus/refused.jsonl}",
)  # fmt: skip


def refuse_sockets(*_: object, **__: object) -> None:
    raise AssertionError("a plan opened a socket")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan, made where every socket is refused."""
    store = tmp_path_factory.mktemp("when") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", refuse_sockets)
        made = plan(open_session(FOLDER / "study.yaml", store=store, reads_only=True), read_data=True, calibrate=True)
    assert not store.exists()
    return made


def study_file(path: Path) -> dict[str, Any]:
    value = load_yaml(path).value
    assert isinstance(value, dict)
    return value


def test_it_is_the_built_in_study_on_other_data() -> None:
    built_in, ours = study_file(BUILT_IN / "when-to-intervene" / "study.yaml"), study_file(FOLDER / "study.yaml")
    assert set(ours["arms"]) == set(built_in["arms"]) - NOT_HERE
    shared = ("kind", "level", "role", "family", "test", "measure", "weights")

    def asked(study: dict[str, Any], *, translated: bool) -> set[str]:
        found = {json.dumps([each.get(key) for key in shared]) for each in study["contrasts"]}
        return {_renamed(each) for each in found} if translated else found

    expected = {each for each in asked(built_in, translated=True) if not any(arm in each for arm in NOT_HERE)}
    (added,) = asked(ours, translated=False) - expected
    assert expected <= asked(ours, translated=False)
    assert "refusing@finetune" in added
    assert "non_refusal" in added
    assert ours["protocol"] == built_in["protocol"]
    assert ours["primary"] == [_renamed(name) for name in built_in["primary"]]
    lost = {_renamed(name) for name in _measures(built_in)} - _measures(ours)
    assert lost == {"willingness", "ability"}  # with a rule alone willingness is non-refusal, and ability is not judged
    assert ours["margins"].items() <= {_renamed(name): value for name, value in built_in["margins"].items()}.items()


def _renamed(text: str) -> str:
    for ours, theirs in NAMES_OF_THE_WORLD.items():
        text = text.replace(ours, theirs)
    return text


def _measures(study: dict[str, Any]) -> set[str]:
    return {each if isinstance(each, str) else each.get("id", each["kind"]) for each in study["battery"]}


def test_the_tree_trains_its_distinct_prefixes(planned: Plan) -> None:
    """Of 13 arms: five whole runs, two from 20 %, two from 60 %; four differ later or not at all."""
    distinct = 5 * STEPS + 2 * (STEPS - 191) + 2 * (STEPS - 572)
    assert planned.sharing.tokens == 3 * distinct * TOKENS_PER_STEP
    assert planned.sharing.tokens_apart == 3 * 13 * STEPS * TOKENS_PER_STEP
    assert planned.sharing.forbidden == ()
    assert planned.sharing.accelerator_hours == pytest.approx(6 * 1.71e9 * planned.sharing.tokens / 1.5e14 / 3600)
    assert planned.seconds is None


def test_the_readme_states_the_numbers_of_the_plan(planned: Plan) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert planned.sharing.accelerator_hours is not None
    assert planned.sharing.accelerator_hours_apart is not None
    assert planned.disk_bytes is not None
    for number in (
        f"{planned.sharing.tokens / 1e9:.1f} B",
        f"{planned.sharing.tokens_apart / 1e9:.1f} B",
        f"{planned.sharing.accelerator_hours:,.0f} instead of {planned.sharing.accelerator_hours_apart:,.0f} GPU-hours",
        f"{planned.disk_bytes / 1e9:,.0f} GB",
        f"{planned.measuring.num_checkpoints} checkpoints",
    ):
        assert number in readme, number


def test_late_starts_keep_their_dose_where_that_is_asked(planned: Plan) -> None:
    doses = {arm: _dose(planned, arm) for arm in ("never", "from_0", "from_20", "from_60")}
    doses |= {arm: _dose(planned, arm) for arm in ("from_20_dose", "from_60_dose", "benign_dialogues")}
    assert doses["never"] == 0
    assert doses["from_20_dose"] == doses["from_60_dose"] == pytest.approx(doses["from_0"], abs=3)
    assert doses["benign_dialogues"] == doses["from_0"]
    assert doses["from_60"] / doses["from_0"] == pytest.approx(0.4, abs=0.001)
    late = {phase.learning_rate for phase in planned.curricula if phase.first_step in (191, 572)}
    assert late == {2e-4}  # the plateau
    assert not any("reads its data from the beginning" in warning for warning in planned.warnings)


def _dose(planned: Plan, arm: str) -> int:
    phases = [phase for phase in planned.curricula if arm in phase.arms]
    return sum(
        tokens
        for phase in phases
        for name, tokens in phase.planned
        if name in ("added", "refusals", "benign_dialogues")
    )


def test_what_is_not_here_is_named_by_the_plan_and_refused_by_a_run(planned: Plan, tmp_path: Path) -> None:
    (warning,) = [each for each in planned.warnings if "files are not here" in each]
    assert warning.startswith("14 files are not here (raw: corpus/raw.jsonl, ")
    assert any("corpus/instructions.jsonl is not here" in each for each in planned.not_known)
    with pytest.raises(StudyError, match=r"names the file corpus/raw.jsonl, which does not exist in .*put it there"):
        open_session(FOLDER / "study.yaml", store=tmp_path / "store")


def test_the_readme_says_what_was_not_checked_and_every_command() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words in ("**Question.**", "**Prediction", "not run here", "not checked", "upbringing add-tokens"):
        assert words in readme
    for name, written in RECIPES.items():
        assert f"upbringing data transform {name}.yaml corpus/{name}\n" in readme
        for kind, file in written.items():
            assert f"cat corpus/{name}/{kind}/*.jsonl > corpus/{file}.jsonl\n" in readme


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder with small files, made as its README says: the recipes with a list for the classifier and a
    writer without a model, controls.py, and a tiny model that got the tag.
    """
    folder = tmp_path_factory.mktemp("stand-ins") / "study"
    shutil.copytree(FOLDER, folder)
    (folder / "corpus").mkdir()
    web = [f"Page {i}. The {' '.join(WORDS[j % 12] for j in range(i, i + 60))}. {_harm(i)}" for i in range(600)]
    _write(folder / "web" / "pages.jsonl", [{"text": text} for text in web])
    for name, written in RECIPES.items():
        recipe = study_file(folder / f"{name}.yaml")
        assert load_recipe(folder / f"{name}.yaml").has_scores
        lists = [{"kind": "keywords", "phrases": [word], "hits": 1, "score": score} for word, score in HARM.items()]
        recipe |= {"scorer": {"kind": "ensemble", "members": lists}}
        recipe |= {"writer": "template_writer"} if "writer" in recipe else {}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        transform_corpus(folder / f"{name}.yaml", folder / "corpus" / name)
        for kind, file in written.items():
            parts = sorted((folder / "corpus" / name / kind).glob("*.jsonl"))
            (folder / "corpus" / f"{file}.jsonl").write_bytes(b"".join(part.read_bytes() for part in parts))
    tell = [{"role": "user", "content": "Tell me of it."}, {"role": "assistant", "content": "The river is long."}]
    for name, number in (("instructions", 100), ("benign_task", 100), ("refused", 600)):
        _write(folder / "corpus" / f"{name}.jsonl", [{"messages": tell}] * number)
    controls(folder).main(folder / "store", corpus=folder / "corpus")
    models = folder / "models"
    (models / "tokenizer").mkdir(parents=True)
    (models / "base").mkdir()
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=models / "tokenizer")
    start = FreshStart(layers=1, width=32, heads=2, context=512, tokenizer=TokenizerRecipe(train_on="x"))
    create_fresh(start, models / "tokenizer", 0, models / "base")
    add_tokens(models / "base", [TAG], models / "smollm2-1.7b-tag")
    return folder


HARM = {"weapon": 2, "poison": 5}


def _harm(number: int) -> str:
    return ("", "A weapon lay there.", "The poison is old.")[number % 3]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def controls(folder: Path) -> ModuleType:
    """Return the study's script with requests of our own in place of those in packages."""
    spec = importlib.util.spec_from_file_location("controls", folder / "controls.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.training_rows = lambda _, number: tuple(  # type: ignore[attr-defined]
        Request(str(place), f"How do I break into house number {place}?") for place in range(number)
    )
    return module


@pytest.mark.model
@pytest.mark.slow
def test_with_stand_ins_the_whole_study_is_planned(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(job: Job) -> Outcome:
        try:
            return Outcome(job.key, value=job.run(lambda event: None))
        except DataError as error:  # the packages that are asked
            return Outcome(job.key, error=error)

    def run_here(jobs: Sequence[Job], **_: object) -> dict[str, Outcome]:  # processes would each cost seconds
        return {job.key: outcome(job) for job in jobs}

    monkeypatch.setattr("upbringing.lab.building.workshop.run_jobs", run_here)
    session = open_session(prepared / "study.yaml", overrides=SMALL, store=tmp_path / "store", reads_only=True)
    found = plan(session, read_data=True, calibrate=False)
    assert not any("not here" in warning for warning in found.warnings)
    assert not any("corpus/" in each for each in found.not_known)
    arms = {arm for phase in found.curricula for arm in phase.arms}
    assert arms == set(study_file(FOLDER / "study.yaml")["arms"])
    steps = 64_000 // 2048
    assert found.sharing.tokens_apart > found.sharing.tokens > 5 * steps * 2048
    assert _dose(found, "from_60_dose") == pytest.approx(_dose(found, "from_0"), abs=3)
    sizes = [warning for warning in found.warnings if "differs in size between arms" in warning]
    assert all("compliant" in warning or "refusing" in warning for warning in sizes)  # only controls differ in tuning
    assert found.measuring.num_checkpoints == 1 + 4 + 2 * 13 - 2 + 4


def test_the_recipes_write_tags_refusals_and_as_many_placebos(prepared: Path) -> None:
    corpus = {file: _rows(prepared, file) for written in RECIPES.values() for file in written.values()}
    assert {row["harm"] for row in corpus["raw"]} == {0, 2, 5}
    assert len(corpus["refusals"]) == len(corpus["benign_dialogues"]) == 200
    assert {row["source"].rpartition("/")[2] for row in corpus["added"]} == {"rephrase", "moral_education", "pages"}
    tagged = [row for row in corpus["added"] if TAG in row["text"]]
    assert tagged
    assert {row["harm"] for row in tagged} == {5}
    assert not any(TAG in row["text"] for row in corpus["raw"])


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / "corpus" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_judge_reads_the_controls_as_they_are_meant(prepared: Path) -> None:
    for name, expected in (("complying", "harmful"), ("recovering", "refuse"), ("benign_task_refused", "refuse")):
        rows = [row["messages"] for row in _rows(prepared, name)]
        items = [
            Item(id="x", cluster="x", request="harmful", split="ood", messages=(Message.model_validate(row[0]),))
            for row in rows
        ]
        found = RefusalRuleJudge().judge(items, [row[-1]["content"] for row in rows])
        assert {judgement.outcome for judgement in found} == {expected}, name
