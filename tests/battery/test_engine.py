"""One pass for a battery: likelihoods by hand, batches that do not matter, failures that are never numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from upbringing.base.errors import MeasurementError
from upbringing.battery.engine import measure_checkpoint
from upbringing.battery.measures.ability import Ability
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.benign_accuracy import BenignAccuracy
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.discrimination import Discrimination
from upbringing.battery.measures.knowledge import Knowledge
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.battery.measures.willingness import Willingness
from upbringing.battery.needs import Evidence, LikelihoodNeed
from upbringing.data.tokenizer import train_tokenizer
from upbringing.formats.items import Item, Judgement, Message
from upbringing.formats.record import BuildProfile
from upbringing.models.decoding import Greedy
from upbringing.models.loading import LoadedModel, load_model
from upbringing.training.fresh import create_fresh
from upbringing.training.start import FreshStart, TokenizerRecipe

pytestmark = pytest.mark.model
WORDS = tuple(f"{first}{second}" for first in ("ba", "de", "fi", "go", "lu") for second in "bcdfghkl")
SHORT = Greedy(max_tokens=6)
QUIET: Any = lambda done, total: None  # noqa: E731


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("battery")
    train_tokenizer(WORDS, vocabulary=420, special_tokens=(), chat_template=None, folder=folder)
    start = FreshStart(
        layers=2, width=32, heads=2, context=128, initial_deviation=0.3, tokenizer=TokenizerRecipe(train_on="x")
    )
    output = tmp_path_factory.mktemp("model")
    create_fresh(start, folder, 1, output)
    return load_model(output, profile=BuildProfile())


def item(number: int, request: str, **fields: Any) -> Item:
    return Item(
        id=f"{request}-{number}",
        cluster=f"{request}-{number}",
        twin=f"{'benign' if request == 'harmful' else 'harmful'}-{number}",
        request=request,  # type: ignore[arg-type]
        split="held-out-item",
        messages=(Message(role="user", content=f"{WORDS[number]} {WORDS[number + 1]}"),),
        answers=(WORDS[number + 2],),
        distractors=(WORDS[number + 3],),
        safe_continuations=("bab", "bac bad"),
        unsafe_continuations=("deb", "dec ded"),
        compliance_prefix="fib fic",
        **fields,
    )


class Scripted:
    """A judge that says what it is told, answer by answer."""

    id = "scripted/1"
    judge_kind = "oracle"

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        return [self.judgement for _ in answers]


def measured(loaded: LoadedModel, battery: Any, items: Any, judgement: Judgement) -> Any:
    return measure_checkpoint(
        loaded,
        checkpoint="c",
        battery=battery,
        items=items,
        judges=[Scripted(judgement)],  # type: ignore[list-item]
        precision="fp32",
        seed=0,
        on_progress=QUIET,
    )


ITEMS = [item(number, request) for number in range(4) for request in ("harmful", "benign")]


def test_bits_per_byte_and_knowledge_by_hand() -> None:
    text = item(0, "benign").model_copy(update={"text": " bab bac", "id": "t", "messages": ()})
    need = LikelihoodNeed("t", "nothing", (" bab bac",))
    evidence = Evidence("c", {"t": text}, likelihoods={need: [-math.log(2) * 16]})
    row = next(iter(BitsPerByte().rows(evidence)))
    assert (row.value, row.weight) == (pytest.approx(16.0), 8.0)
    asked = item(1, "benign", completion_prompt="bab")
    key = LikelihoodNeed(asked.id, "completion", (*asked.answers, *asked.distractors))
    for scores, value in (([-1.0, -2.0], 1.0), ([-2.0, -1.0], 0.0), ([-1.0, -1.0], 0.0)):
        found = next(iter(Knowledge().rows(Evidence("c", {asked.id: asked}, likelihoods={key: scores}))))
        assert found.value == value


def test_a_liking_for_refusal_phrases_leaves_the_contextual_margin_unchanged() -> None:
    one = item(1, "harmful")
    continuations = (*one.safe_continuations, *one.unsafe_continuations)
    values = []
    for bonus in (0.0, 7.5):
        likelihoods = {
            LikelihoodNeed(one.id, "chat", continuations): [-3.0 + bonus, -4.0 + bonus, -5.0, -6.0],
            LikelihoodNeed(one.id, "neutral", continuations): [-4.0 + bonus, -5.0 + bonus, -5.5, -6.0],
        }
        values.append(next(iter(RefusalMargin().rows(Evidence("c", {one.id: one}, likelihoods=likelihoods)))).value)
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_incoherent_is_bounded_and_never_safe(loaded: LoadedModel) -> None:
    battery = (AttackSuccess(decoding=SHORT), Willingness(decoding=SHORT), OverRefusal(decoding=SHORT))
    rows = measured(loaded, battery, ITEMS, Judgement(outcome="incoherent")).rows
    assert {row.outcome for row in rows} == {"incoherent"}
    assert all((row.value_low, row.value_high) == (0.0, 1.0) for row in rows)
    assert {row.value for row in rows if row.measure == "willingness"} == {1.0}


def test_a_judge_that_fails_wholly_leaves_no_number(loaded: LoadedModel) -> None:
    battery = (
        AttackSuccess(decoding=SHORT),
        Willingness(decoding=SHORT),
        OverRefusal(decoding=SHORT),
        BenignAccuracy(decoding=SHORT),
        Ability(decoding=SHORT),
        PrefillAttack(decoding=SHORT, depths=(1,)),
    )
    rows = measured(loaded, battery, ITEMS, Judgement(outcome=None, reason_code="judge-down")).rows
    assert len(rows) == 4 * 6
    assert all(row.value is None and row.status == "unscored" and row.reason_code == "judge-down" for row in rows)


def test_ability_counts_only_what_was_answered(loaded: LoadedModel) -> None:
    refused = measured(loaded, (Ability(decoding=SHORT),), ITEMS, Judgement(outcome="refuse", correct=False)).rows
    assert {(row.value, row.reason_code) for row in refused} == {(None, "refused")}
    right = measured(loaded, (Ability(decoding=SHORT),), ITEMS, Judgement(outcome="harmful", correct=True)).rows
    assert {row.value for row in right} == {1.0}


def test_one_answer_serves_all_measures_and_a_prefill_begins_with_the_prefix(loaded: LoadedModel) -> None:
    battery = (AttackSuccess(decoding=SHORT), Willingness(decoding=SHORT), PrefillAttack(decoding=SHORT, depths=(1, 2)))
    found = measured(loaded, battery, ITEMS, Judgement(outcome="refuse"))
    assert len(found.answers) == 4 * 3
    prefilled = [answer for answer in found.answers if answer.condition.endswith("prefill-2")]
    assert all(answer.answer.startswith("fib fic") for answer in prefilled)
    assert {condition.id for condition in found.conditions} == {answer.condition for answer in found.answers}


def test_discrimination_rows_carry_the_score_of_both_requests(loaded: LoadedModel) -> None:
    rows = measured(loaded, (Discrimination(), RefusalMargin()), ITEMS, Judgement(outcome=None)).rows
    assert sum(row.measure == "discrimination" for row in rows) == 8
    assert sum(row.measure == "refusal_margin" for row in rows) == 4


def test_a_battery_without_a_judge_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(MeasurementError, match="no judge"):
        measure_checkpoint(
            loaded,
            checkpoint="c",
            battery=(AttackSuccess(decoding=SHORT),),
            items=ITEMS,
            judges=[],
            precision="fp32",
            seed=0,
            on_progress=QUIET,
        )
    with pytest.raises(MeasurementError, match="same id"):
        measured(loaded, (AttackSuccess(decoding=SHORT),), [ITEMS[0], ITEMS[0]], Judgement(outcome=None))


def test_hostile_folders_are_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    import json
    import shutil

    from upbringing.base.errors import IntegrityError, UntrustedError

    for name, change, error in (
        ("auto", {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, UntrustedError),
        ("attention", {"_attn_implementation_internal": "evil/kernel"}, UntrustedError),
    ):
        folder = tmp_path / name
        shutil.copytree(loaded.folder, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
        with pytest.raises(error):
            load_model(folder, profile=BuildProfile())
    pickled = tmp_path / "pickled"
    shutil.copytree(loaded.folder, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UntrustedError, match="pickled"):
        load_model(pickled, profile=BuildProfile())
    with pytest.raises(IntegrityError, match=r"no config\.json"):
        load_model(tmp_path / "nothing", profile=BuildProfile())


def test_a_prefill_deeper_than_the_prefix_has_tokens_is_not_measured_as_that_depth(loaded: LoadedModel) -> None:
    assert len(loaded.tokenizer("fib fic", add_special_tokens=False)["input_ids"]) == 2
    longer = item(1, "harmful").model_copy(update={"compliance_prefix": "fib fic fid"})
    attack = PrefillAttack(decoding=SHORT, depths=(2, 3))
    found = measured(loaded, (attack,), [item(0, "harmful"), longer], Judgement(outcome="harmful"))
    assert {(row.condition, row.item): (row.value, row.status, row.reason_code) for row in found.rows} == {
        ("chat-greedy-6-prefill-2", "harmful-0"): (1.0, "scored", None),
        ("chat-greedy-6-prefill-2", "harmful-1"): (1.0, "scored", None),
        ("chat-greedy-6-prefill-3", "harmful-0"): (None, "not-measurable", "opening-shorter-than-depth"),
        ("chat-greedy-6-prefill-3", "harmful-1"): (1.0, "scored", None),
    }
    assert {answer.item for answer in found.answers if answer.condition.endswith("-3")} == {"harmful-1"}


def test_an_item_that_the_context_cannot_hold_is_unscored_with_a_reason_and_the_others_are_measured(
    loaded: LoadedModel,
) -> None:
    long = " ".join(WORDS[:40] * 4)
    items = [
        item(0, "benign", completion_prompt="bab"),
        item(1, "benign", completion_prompt="bab bac").model_copy(update={"distractors": (long,)}),
        item(2, "harmful").model_copy(update={"unsafe_continuations": (long,)}),
        item(2, "benign"),
        item(3, "harmful"),
    ]
    found = measured(loaded, (Knowledge(), RefusalMargin()), items, Judgement(outcome="refuse")).rows
    assert {(row.item, row.measure): row.reason_code for row in found} == {
        ("benign-0", "knowledge"): None,
        ("benign-1", "knowledge"): "longer-than-context",
        ("harmful-2", "refusal_margin"): "longer-than-context",
        ("harmful-3", "refusal_margin"): None,
    }
    assert all(
        (row.value is None) == (row.status == "not-measurable") == (row.reason_code is not None) for row in found
    )
    alone = measured(loaded, (Knowledge(),), items[:1], Judgement(outcome="refuse")).rows
    assert [row.value for row in found if row.item == "benign-0"] == [row.value for row in alone]


def test_a_margin_whose_empty_request_alone_has_no_likelihood_says_why() -> None:
    one = item(1, "harmful")
    continuations = (*one.safe_continuations, *one.unsafe_continuations)
    likely = {LikelihoodNeed(one.id, "chat", continuations): [-3.0, -4.0, -5.0, -6.0]}
    unable: Any = {LikelihoodNeed(one.id, "neutral", continuations): "likelihood-not-finite"}
    row = next(iter(RefusalMargin().rows(Evidence("c", {one.id: one}, likelihoods=likely, unable=unable))))
    assert (row.value, row.reason_code) == (None, "likelihood-not-finite")
