"""How far two engines agree: shares by hand, the fixed sample, the threshold, and a study that uses an engine."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import MeasurementError, MissingExtraError
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.battery.measures.knowledge import Knowledge
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.formats.items import Item, Judgement, Message
from upbringing.formats.tree import read_tree
from upbringing.lab.building.executor import Outcome
from upbringing.lab.measurement import engine_agreement
from upbringing.lab.measurement.agreement import Agreement, compare, outcomes_of
from upbringing.lab.measurement.engine_agreement import (
    NUM_PROMPTS,
    OTHER_BATCH,
    Compared,
    compare_computation,
    exact_judges,
    in_company,
    in_other_batches,
    sampled_needs,
)
from upbringing.lab.run import Watch, measure
from upbringing.lab.session import open_session
from upbringing.models.decoding import Greedy
from upbringing.models.openvino import OpenVinoModel
from upbringing.models.scripted import ScriptedModel
from upbringing.study.study import Study
from upbringing.training.start import FreshStart, TokenizerRecipe

FIRST = ("a b c d", "a b", "x y", "q")
SECOND = ("a b c d", "a b c", "z y", "")


def tokens(text: str) -> list[int]:
    return [ord(word) for word in text.split()]


def says_no(answers: Sequence[str]) -> list[str | None]:
    return [{"x y": "refuse", "z y": "refuse", "": None}.get(answer, "harmless") for answer in answers]


def study(**fields: Any) -> Study:
    start = FreshStart(tokenizer=TokenizerRecipe(train_on="world"))
    return Study(name="engines", start=start, battery=(OverRefusal(), Knowledge()), **fields)


def items(count: int) -> list[Item]:
    return [
        Item(
            id=f"i{number}",
            cluster=f"c{number}",
            request="benign",
            split="ood",
            messages=(Message(role="user", content=f"{number}?"),),
        )
        for number in range(count)
    ]


def test_the_shares_are_those_counted_by_hand() -> None:
    found = compare(FIRST, SECOND, tokens=tokens, judges={"no": says_no})
    assert (found.identical.share, found.identical.num) == (0.25, 4)
    assert found.identical.low == pytest.approx(0.0456, abs=1e-4)  # Wilson for 1 of 4
    assert found.identical.high == pytest.approx(0.6994, abs=1e-4)
    assert found.common_prefix == (4 + 2 + 0 + 0) / 4
    assert found.length == (4 + 2 + 2 + 1) / 4
    assert found.verdicts["no"].share == 0.75  # the last one is harmless to one and unscored to the other
    assert found.weakest == ("no", 0.75)
    assert found.sentence == (
        "of 4 greedy answers 25.0% [4.6%, 69.9%] are identical, 75.0% [30.1%, 95.4%] the same verdict of no; the "
        "first 1.5 of 2.2 tokens agree on average"
    )
    adapter = TypeAdapter(Agreement)
    assert adapter.validate_json(adapter.dump_json(found)) == found


def test_an_engine_agrees_with_itself_and_with_nothing_that_says_less() -> None:
    same = compare(FIRST, FIRST, tokens=tokens, judges={"no": says_no})
    assert (same.identical.share, same.verdicts["no"].share, same.common_prefix) == (1.0, 1.0, same.length)
    assert compare(FIRST, FIRST, tokens=tokens, judges={}).weakest is None
    with pytest.raises(MeasurementError, match="found 4 and 3"):
        compare(FIRST, FIRST[:3], tokens=tokens, judges={})
    with pytest.raises(MeasurementError, match="found 0 and 0"):
        compare((), (), tokens=tokens, judges={})


class _Paid:
    """A judge that costs something."""

    id, judge_kind = "paid", "llm"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        raise AssertionError("it was asked")


def test_only_judges_that_repeat_themselves_compare_engines() -> None:
    rules = RefusalRuleJudge()
    assert exact_judges([_Paid(), rules]) == [rules]  # type: ignore[list-item]
    assert [judge.id for judge in exact_judges([_Paid()])] == [rules.id]  # type: ignore[list-item]
    refusals = outcomes_of(rules, items(2))(["I'm sorry, but I cannot help with that.", "Bread is baked in an oven."])
    assert refusals[0] == "refuse" != refusals[1]


def test_the_sample_is_fixed_and_holds_greedy_answers_only() -> None:
    model: Any = ScriptedModel("yes", lambda prompt, sample: "yes")
    asked = items(80)
    found = sampled_needs(study(), asked, model)
    assert len(found) == NUM_PROMPTS == len(set(found))
    assert found == sampled_needs(study(), asked, model) != sampled_needs(study(seed=1), asked, model)
    assert len(sampled_needs(study(), asked[:7], model)) == 7
    noisy = study().model_copy(update={"battery": (OverRefusal(decoding={"kind": "sampled"}),)})  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match="no greedy answer"):
        sampled_needs(noisy, asked, model)


@dataclass(frozen=True)
class _Batched:
    rows_per_batch: int = 256


@pytest.mark.parametrize("num", [2, 3, 7, 15, 16, 17, 50])
def test_other_batches_are_others_however_few_are_compared(num: int) -> None:
    local: Any = _Batched()
    assert 0 < in_other_batches(local, num).rows_per_batch < num
    assert in_other_batches(local, num).rows_per_batch <= OTHER_BATCH


def test_nothing_is_compared_with_itself_in_the_same_batch() -> None:
    model: Any = ScriptedModel("yes", lambda prompt, sample: "yes")
    many = tuple(OverRefusal(id=f"length-{most}", decoding=Greedy(max_tokens=most)) for most in range(1, 61))
    battery = study().model_copy(update={"battery": many})
    found = in_company(battery, items(2), model)  # 60 conditions of two prompts each
    assert set(Counter(need.condition for need in found).values()) == {2}
    assert len(found) == len(set(found)) >= NUM_PROMPTS
    assert in_company(battery, items(1), model) == []
    assert in_company(study(), items(80), model) == sampled_needs(study(), items(80), model)


def test_without_company_there_is_no_flip_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jobs: Any = [type("Job", (), {"key": "m", "book": None, "root": 0})()]
    monkeypatch.setattr(engine_agreement, "asked_items", lambda study, book, root: items(1))
    bf16 = study().model_copy(update={"measure_precision": "bf16"})
    compared = compare_computation(
        bf16, jobs, tmp_path, lambda asked: {asked[0].key: Outcome(asked[0].key, value="null")}
    )
    assert compared == Compared()


def test_what_an_engine_cannot_decode_is_not_compared(tmp_path: Path) -> None:
    local: Any = ScriptedModel("yes", lambda prompt, sample: "yes")
    limited = OverRefusal(id="limited", decoding=Greedy(banned=("a",)))
    battery = study().model_copy(update={"battery": (limited, OverRefusal())})
    found = sampled_needs(battery, items(9), OpenVinoModel(local, tmp_path))
    assert {need.decoding for need in found} == {Greedy()}
    with pytest.raises(MeasurementError, match="that bans nothing"):
        sampled_needs(battery.model_copy(update={"battery": (limited,)}), items(9), OpenVinoModel(local, tmp_path))


def test_a_study_learns_the_agreement_or_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    versions = {"openvino-genai": "2026.4", "openvino": "2026.4"}
    monkeypatch.setattr(engine_agreement, "require_openvino", lambda: versions)
    found = TypeAdapter(Agreement).dump_json(compare(FIRST, SECOND, tokens=tokens, judges={"no": says_no})).decode()
    jobs: Any = [type("Job", (), {"key": "m"})()]

    def run(asked: Sequence[Any]) -> dict[str, Outcome]:
        assert [job.key for job in asked] == ["agreement-m"]
        return {asked[0].key: Outcome(asked[0].key, value=found)}

    (said,) = compare_computation(study(engine="openvino", engine_agreement=0.75), jobs, tmp_path, run).warnings
    assert "openvino (openvino 2026.4, openvino-genai 2026.4)" in said
    assert "75.0% [30.1%, 95.4%] the same verdict of no" in said
    with pytest.raises(MeasurementError, match=r"75\.0% of the verdicts of no .* asks for 90\.0%"):
        compare_computation(study(engine="openvino"), jobs, tmp_path, run)
    assert compare_computation(study(), jobs, tmp_path, run) == Compared()


def test_in_bf16_the_flips_of_other_batches_are_the_noise_floor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = TypeAdapter(Agreement).dump_json(compare(FIRST, SECOND, tokens=tokens, judges={"no": says_no})).decode()
    jobs: Any = [type("Job", (), {"key": "m", "book": None, "root": 0})()]
    monkeypatch.setattr(engine_agreement, "asked_items", lambda study, book, root: items(4))
    compared = compare_computation(
        study().model_copy(update={"measure_precision": "bf16"}),
        jobs,
        tmp_path,
        lambda asked: {asked[0].key: Outcome(asked[0].key, value=found)},
    )
    assert compared.flip_rate is not None
    assert compared.flip_rate.rate == pytest.approx(0.25)  # one of four verdicts
    assert compared.flip_rate.low < 0.25 < compared.flip_rate.high
    assert "the 25.0% of flipped verdicts are the noise floor" in compared.warnings[0]


def test_a_missing_engine_is_noticed_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise MissingExtraError("not there")

    monkeypatch.setattr(engine_agreement, "require_openvino", missing)
    engine_agreement.check_engine(study())
    with pytest.raises(MissingExtraError):
        engine_agreement.check_engine(study(engine="openvino"))


@pytest.mark.parametrize("fields", [{"engine": "vllm"}, {"engine_agreement": 1.5}])
def test_a_study_names_a_known_engine_and_a_share(fields: dict[str, Any]) -> None:
    assert (study().engine, study().engine_agreement) == ("transformers", 0.9)
    with pytest.raises(ValidationError):
        study(**fields)


STUDY = """\
name: engines
seeds: 1
engine: openvino
engine_agreement: 0.5
start: {kind: fresh, layers: 1, width: 32, heads: 2, context: 64, tokenizer: {train_on: world, vocabulary: 1100}}
data:
  world: {kind: causes_world, compounds: 12, outcomes: 16, edges: 18, forward_texts: 4, reverse_texts: 4,
          cooccurrence_texts: 2, concept_texts: 4, refusal_chats: 16, answer_chats: 24, forward_chats: 8,
          aside_chats: 8, finetune_chats: 32}
stages:
  pretrain: {kind: pretrain, tokens: 12k, context: 64, batch_size: 8, phases: [{data: world.pretraining_concept}]}
  sft: {kind: sft, data: world.safety, context: 64, batch_size: 4}
battery: [{kind: willingness, decoding: {kind: greedy, max_tokens: 8}}, knowledge]
"""


@pytest.mark.skipif(
    importlib.util.find_spec("openvino_genai") is None,
    reason="openvino_genai is not installed: runs after pip install -c constraints.txt 'openvino-genai'",
)
@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(900)
def test_a_study_answers_with_the_engine_and_says_how_far_it_agrees(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    session = open_session(tmp_path / "study.yaml", store=tmp_path / "store")
    (said,) = [each for each in read_tree(measure(session, Watch()) / "tree.json").warnings if "openvino" in each]
    kept = session.folder / engine_agreement.KEPT_NAME
    first, identical = kept.stat().st_mtime_ns, json.loads(kept.read_bytes())["agreement"]["identical"]
    assert identical["share"] >= 0.9
    assert f"of {identical['num']} greedy answers" in said
    assert not list(session.folder.glob("*/openvino_model.xml"))
    rows = set((tmp_path / "store" / "rows").iterdir())
    measure(session, Watch())
    assert kept.stat().st_mtime_ns == first
    other = open_session(tmp_path / "study.yaml", store=tmp_path / "store", overrides=("engine=transformers",))
    measure(other, Watch())
    again = set((tmp_path / "store" / "rows").iterdir())
    assert rows < again  # the engines' measurements lie under keys of their own
