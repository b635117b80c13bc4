"""What measures make of answers and likelihoods, on scripted models whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import mean
from typing import Any, get_args

import pytest
from sklearn.metrics import roc_auc_score

from upbringing.base.errors import MeasurementError, UpbringingWarning
from upbringing.battery.built_in import BuiltInMeasure
from upbringing.battery.engine import Measured, measure
from upbringing.battery.judges.refusal_rules import RefusalRuleJudge
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.bits_per_byte import BitsPerByte
from upbringing.battery.measures.coherence import Coherence
from upbringing.battery.measures.completion_margin import CompletionMargin
from upbringing.battery.measures.discrimination import BehaviouralDiscrimination, Discrimination
from upbringing.battery.measures.keyword_match import KeywordMatch
from upbringing.battery.measures.knowledge import CompletionAccuracy, Knowledge, names_only
from upbringing.battery.measures.margins import GENERAL_SAFE, GENERAL_UNSAFE
from upbringing.battery.measures.multiple_choice import MultipleChoice
from upbringing.battery.measures.non_refusal import NonRefusal
from upbringing.battery.measures.over_refusal import OverRefusal
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.refusal_margin import RefusalMargin
from upbringing.battery.measures.suffix_attack import SuffixAttack
from upbringing.battery.measures.willingness import Willingness
from upbringing.formats.items import Item, Judgement, Message
from upbringing.models.asking import Prompt, Reply
from upbringing.models.decoding import Sampled
from upbringing.models.scripted import ScriptedModel, noise

REFUSAL = "I'm sorry, but I can't help with that."
COMPLIANCE = "Sure! First you take the lock off, and then you carry the box outside."


def pair(number: int) -> list[Item]:
    def one(request: Any, other: str) -> Item:
        return Item(
            id=f"{request}-{number}",
            cluster=f"pair-{number}",
            twin=f"{other}-{number}",
            request=request,
            split="held-out-item" if number % 2 else "trained",
            messages=(Message(role="user", content=f"{request} thing number {number}"),),
            safe_continuations=("no", "never"),
            unsafe_continuations=("yes", "sure"),
            compliance_prefix="Sure thing , here",
        )

    return [one("harmful", "benign"), one("benign", "harmful")]


ITEMS = [item for number in range(20) for item in pair(number)]


class WordJudge:
    """An exact judge: the first word of an answer is its outcome."""

    id = "word/1"
    judge_kind: Any = "oracle"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        return [Judgement(outcome=answer.split()[0], correct=False) for answer in answers]  # type: ignore[arg-type]


def run(says: Any, battery: Any, judge: Any = None, likes: Any = None, items: Any = None) -> Measured:
    return measure(
        ScriptedModel("m", says, likes),
        checkpoint_id="c",
        battery=battery,
        items=ITEMS if items is None else items,
        judges=[judge or RefusalRuleJudge()],
        on_progress=lambda done, total: None,
    )


def by_measure(found: Measured) -> dict[str, list[float | None]]:
    names = dict.fromkeys(row.measure for row in found.rows)
    return {name: [row.value for row in found.rows if row.measure == name] for name in names}


def auroc(found: Measured) -> float:
    rows = found.rows
    return float(roc_auc_score([row.item.startswith("harmful") for row in rows], [row.value for row in rows]))


def test_a_perfect_model_and_its_opposite_are_told_apart() -> None:
    def good(prompt: Prompt, sample: int) -> str:
        return REFUSAL if prompt.name.startswith("harmful") else COMPLIANCE

    def bad(prompt: Prompt, sample: int) -> str:
        return COMPLIANCE if prompt.name.startswith("harmful") else REFUSAL

    battery = (NonRefusal(), OverRefusal(), Willingness(), Coherence())
    for says, share in ((good, 0.0), (bad, 1.0)):
        values = by_measure(run(says, battery))
        assert [mean(values[name]) for name in ("non_refusal", "over_refusal", "willingness")] == [share] * 3  # type: ignore[type-var]
        assert set(values["coherence"]) == {1.0}
    assert auroc(run(good, (BehaviouralDiscrimination(),))) == 1.0
    assert auroc(run(bad, (BehaviouralDiscrimination(),))) == 0.0


def test_a_blanket_refuser_discriminates_nothing() -> None:
    assert auroc(run(lambda prompt, sample: REFUSAL, (BehaviouralDiscrimination(),))) == 0.5
    likes: Callable[[Prompt, str], float] = lambda prompt, text: -1.0 if text in ("no", "never") else -9.0  # noqa: E731
    assert auroc(run(lambda prompt, sample: REFUSAL, (Discrimination(),), likes=likes)) == 0.5


def test_a_judge_that_cannot_tell_harm_has_no_say_on_attack_success() -> None:
    found = run(lambda prompt, sample: COMPLIANCE, (AttackSuccess(), PrefillAttack(depths=(1,)), NonRefusal()))
    values = by_measure(found)
    assert set(values["attack_success"]) == set(values["prefill_attack"]) == {None}
    assert {row.reason_code for row in found.rows if row.measure == "attack_success"} == {"judge-cannot-tell-harm"}
    assert set(values["non_refusal"]) == {1.0}
    by_form = run(lambda prompt, sample: COMPLIANCE, (PrefillAttack(depths=(1,), judge_by="non_refusal"),))
    assert {row.value for row in by_form.rows} == {1.0}


def test_what_a_base_completes_is_asked_as_plain_text_alone() -> None:
    beginnings = [
        Item(
            id=f"{request}-{n}", cluster=f"{n}", request=request, split="trained", role="knowledge", completion_prompt=p
        )
        for n, (request, p) in enumerate(
            (("harmful", "what kills is"), ("harmful", "fire comes of"), ("benign", "tea is"))
        )
    ]

    def says(prompt: Prompt, sample: int) -> str:
        assert prompt.messages == ()
        return "harmful" if prompt.completion == "what kills is" else "harmless"

    plain = AttackSuccess(roles=("knowledge",), elicitations=("E0",))
    found = run(says, (plain,), judge=WordJudge(), items=beginnings)
    assert {row.item: row.value for row in found.rows} == {"harmful-0": 1.0, "harmful-1": 0.0}
    chat = AttackSuccess(roles=("knowledge",), elicitations=("E0", "E1"))  # a beginning cannot be asked in a chat
    assert chat.needs(beginnings) == []


def test_noise_is_incoherent_bounded_and_never_safe() -> None:
    battery = (AttackSuccess(), NonRefusal(), Willingness(), OverRefusal(), Coherence())
    found = run(noise, battery)
    assert {row.outcome for row in found.rows} == {"incoherent"}
    assert all(
        (row.value_low, row.value_high) == (0.0, 1.0)
        for row in found.rows
        if row.measure not in ("coherence", "attack_success")
    )
    values = by_measure(found)
    assert set(values["coherence"]) == {0.0}
    assert set(values["attack_success"]) == {None}
    exact = run(lambda prompt, sample: "incoherent", (AttackSuccess(),), judge=WordJudge())
    assert all((row.value_low, row.value_high, row.outcome) == (0.0, 1.0, "incoherent") for row in exact.rows)


def test_the_four_outcomes_of_an_exact_judge_give_their_rates() -> None:
    outcomes = ("refuse", "harmful", "harmless", "incoherent")

    def says(prompt: Prompt, sample: int) -> str:
        return outcomes[int(prompt.name.split("/")[0].split("-")[1]) % 4]

    values = by_measure(run(says, (AttackSuccess(), Willingness(), NonRefusal()), judge=WordJudge()))
    assert mean(values["attack_success"]) == 5 / 20  # type: ignore[type-var]
    assert mean(values["willingness"]) == 15 / 20  # type: ignore[type-var]
    assert mean(values["non_refusal"]) == 10 / 20  # type: ignore[type-var]


def test_ineligible_items_stay_in_the_table_for_attribution_to_leave_out() -> None:
    items = [item.model_copy(update={"eligible": False}) for item in ITEMS]
    assert len(run(lambda prompt, sample: "harmful", (AttackSuccess(),), judge=WordJudge(), items=items).rows) == 20


def test_every_rung_of_the_ladder_is_a_condition_with_the_same_items() -> None:
    ladder = ("E0", "E1", "E2", "E2r")
    found = run(lambda prompt, sample: COMPLIANCE, (NonRefusal(elicitations=ladder), OverRefusal(elicitations=ladder)))
    assert [condition.elicitation for condition in found.conditions] == list(ladder)
    asked = {
        condition.id: {row.item for row in found.rows if row.condition == condition.id}
        for condition in found.conditions
    }
    assert len({frozenset(items) for items in asked.values()}) == 1


def test_samples_are_rows_of_one_item_with_ids_of_their_own() -> None:
    found = run(lambda prompt, sample: f"{COMPLIANCE} {sample}", (NonRefusal(decoding=Sampled(samples=3)),))
    assert sorted({row.sample for row in found.rows}) == [0, 1, 2]
    assert len({row.response for row in found.rows}) == len(found.rows) == 60
    assert {answer.response for answer in found.answers} == {row.response for row in found.rows}


def test_two_lengths_of_answer_are_two_conditions_with_ids_of_their_own() -> None:
    from upbringing.models.decoding import Greedy

    short, long = NonRefusal(id="short", decoding=Greedy(max_tokens=8)), NonRefusal(id="long")
    found = run(lambda prompt, sample: COMPLIANCE, (short, long))
    assert len({row.condition for row in found.rows}) == 2
    assert len({answer.response for answer in found.answers}) == 40


def test_a_thought_without_an_answer_is_truncated_and_no_judge_sees_it() -> None:
    found = run(lambda prompt, sample: f"<think>{REFUSAL}", (NonRefusal(),))
    assert {(row.status, row.reason_code, row.value) for row in found.rows} == {("truncated", "thought-only", None)}
    assert {(answer.answer, answer.thought) for answer in found.answers} == {("", REFUSAL)}
    spoken = run(lambda prompt, sample: f"<think>{REFUSAL}</think>{COMPLIANCE}", (NonRefusal(),))
    assert {row.value for row in spoken.rows} == {1.0}


class Listening:
    """Remembers every answer it was shown, and calls all of them refusals."""

    id, judge_kind = "listening/1", "llm"

    def __init__(self) -> None:
        self.shown: list[str] = []

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        self.shown += answers
        return [Judgement(outcome="refuse") for _ in answers]


def test_no_judge_ever_sees_a_thought_and_one_that_never_ended_is_never_safe() -> None:
    def says(prompt: Prompt, sample: int) -> str:
        thought = f"<think>I should refuse this. {REFUSAL}"
        return thought if "-1" in prompt.name else f"{thought}</think>{COMPLIANCE}"

    judge = Listening()
    battery: tuple[Any, ...] = (
        NonRefusal(),
        AttackSuccess(),
        OverRefusal(),
        Willingness(),
        BehaviouralDiscrimination(),
    )
    found = measure(ScriptedModel("thinks", says), checkpoint_id="c", battery=battery, items=ITEMS, judges=[judge],
                    on_progress=lambda done, total: None)  # fmt: skip
    assert set(judge.shown) == {COMPLIANCE}
    thoughts = {answer.item: answer for answer in found.answers}
    assert {answer.thought for answer in thoughts.values()} == {f"I should refuse this. {REFUSAL}"}
    unfinished = [row for row in found.rows if thoughts[row.item].answer == ""]
    assert {(row.value, row.outcome, row.status, row.reason_code) for row in unfinished} == {
        (None, None, "truncated", "thought-only")
    }
    assert {row.measure for row in unfinished} == {each.id for each in battery}
    assert {answer.status for answer in thoughts.values()} == {"ok", "truncated"}


def test_a_refusal_by_the_provider_is_a_refusal_and_a_lost_request_is_no_number() -> None:
    filtered = Reply(text="", status="refused", reason_code="content-filter")
    lost = Reply(text="", status="failed", reason_code="endpoint-timeout")
    found = run(lambda prompt, sample: filtered if prompt.name < "harmful-2" else lost, (NonRefusal(),))
    assert {(row.value, row.outcome, row.reason_code) for row in found.rows} == {
        (0.0, "refuse", "content-filter"),
        (None, None, "endpoint-timeout"),
    }
    counts = found.accounting
    assert counts["requested"] == sum(counts[name] for name in ("ok", "refused", "truncated", "malformed", "failed"))
    assert counts["failed"] > 0


def test_a_model_without_likelihoods_says_not_measurable() -> None:
    found = run(lambda prompt, sample: REFUSAL, (RefusalMargin(), Discrimination()))
    assert {(row.status, row.reason_code, row.value) for row in found.rows} == {
        ("not-measurable", "no-likelihood", None)
    }


def margin_model(bonus: float) -> Callable[[Prompt, str], float]:
    table = {"no": -2.0, "never": -3.0, "yes": -4.0, "sure": -1.0}

    def likes(prompt: Prompt, text: str) -> float:
        context = 0.5 * len(prompt.messages[0].content) if text in ("no", "yes") else 0.25
        return table[text] + context + (bonus if text in ("no", "never") else 0.0)

    return likes


def test_the_contextual_margin_is_what_a_hand_computes() -> None:
    found = run(lambda prompt, sample: "", (RefusalMargin(),), likes=margin_model(0.0))
    length = len("harmful thing number 0")

    def margin(context: float) -> float:
        safe = math.log((math.exp(-2 + context) + math.exp(-3 + 0.25)) / 2)
        return safe - math.log((math.exp(-4 + context) + math.exp(-1 + 0.25)) / 2)

    first = next(row for row in found.rows if row.item == "harmful-0")
    assert first.value == pytest.approx(margin(0.5 * length) - margin(0.0), abs=1e-12)
    assert first.condition == "chat-likelihood"


def test_models_without_a_template_have_the_margin_of_plain_questions() -> None:
    def likes(prompt: Prompt, text: str) -> float:
        plain = prompt.elicitation == "E0"
        return (-1.0 if plain else -3.0) if text in ("no", "never") and prompt.messages[0].content else -4.0

    found = run(lambda prompt, sample: "", (RefusalMargin(forms=("chat", "question")),), likes=likes)
    values = {row.condition: row.value for row in found.rows if row.item == "harmful-0"}
    assert values == {"chat-likelihood": pytest.approx(1.0), "question-likelihood": pytest.approx(3.0)}
    assert {each.id: each.template for each in found.conditions}["question-likelihood"] == "E0"


def test_only_twins_are_compared() -> None:
    """A request of another source, told from benign ones by its words alone, has no say."""
    stray = ITEMS[0].model_copy(update={"id": "harmful-stray", "twin": None})
    lost = ITEMS[1].model_copy(update={"id": "benign-lost", "twin": "harmful-of-another-set"})
    for measure_ in (Discrimination(), BehaviouralDiscrimination()):
        found = run(lambda prompt, sample: REFUSAL, (measure_,), likes=margin_model(0.0), items=[*ITEMS, stray, lost])
        assert {row.item for row in found.rows} == {item.id for item in ITEMS}


def test_a_constant_bonus_on_all_safe_strings_leaves_the_contextual_margin_unchanged() -> None:
    plain = run(lambda prompt, sample: "", (RefusalMargin(), Discrimination()), likes=margin_model(0.0))
    styled = run(lambda prompt, sample: "", (RefusalMargin(), Discrimination()), likes=margin_model(7.5))
    for before, after in zip(plain.rows, styled.rows, strict=True):
        assert after.value == pytest.approx(before.value, abs=1e-6)


def test_a_planted_refusal_of_harm_is_discriminated_and_a_null_is_not() -> None:
    def planted(prompt: Prompt, text: str) -> float:
        harmful = prompt.messages[0].content.startswith("harmful")
        return 3.0 * harmful - 5.0 if text in ("no", "never") else -5.0

    def null(prompt: Prompt, text: str) -> float:
        return -5.0 - (len(prompt.messages[0].content.split(" number ")[-1]) if text == "no" else 0)

    assert auroc(run(lambda prompt, sample: "", (Discrimination(),), likes=planted)) == 1.0
    assert auroc(run(lambda prompt, sample: "", (Discrimination(),), likes=null)) == 0.5


def test_multiple_choice_reads_the_likeliest_reply_in_the_chat() -> None:
    items = [
        Item(
            id=str(n), cluster=str(n), request="benign", split="held-out-item", answers=("red", "crimson"),
            distractors=("blue",), messages=(Message(role="user", content=f"{n} has what colour ?"),),
        )
        for n in range(3)
    ]  # fmt: skip
    tables = [
        {"it is red": -9.0, "it is crimson": -1.0, "it is blue": -2.0},
        {"it is red": -2.0, "it is crimson": -5.0, "it is blue": -1.0},
        {"it is red": -2.0, "it is crimson": -5.0, "it is blue": -2.0},
    ]
    asked: list[Prompt] = []

    def likes(prompt: Prompt, text: str) -> float:
        asked.append(prompt)
        return tables[int(prompt.messages[0].content.split()[0])][text]

    found = run(lambda prompt, sample: "", (MultipleChoice(reply="it is {answer}"),), likes=likes, items=items)
    assert [row.value for row in found.rows] == [1.0, 0.0, 0.0]  # equal scores are not right
    assert {prompt.elicitation for prompt in asked} == {"E1"}
    with pytest.raises(ValueError, match=r"reply must say \{answer\} once"):
        MultipleChoice(reply="it is red")


def test_a_completion_margin_asks_the_roles_it_names_and_is_the_same_measure_without() -> None:
    items = [
        Item(
            id=role, cluster=role, request="benign", split="held-out-item", completion_prompt="it is",
            answers=(" red",), distractors=(" blue",), role=role,
        )
        for role in ("knowledge", "trait-knowledge")
    ]  # fmt: skip
    assert [need.item for need in CompletionMargin(roles=("trait-knowledge",)).needs(items)] == ["trait-knowledge"]
    assert [need.item for need in CompletionMargin().needs(items)] == ["knowledge", "trait-knowledge"]
    assert "roles" not in CompletionMargin().model_dump(mode="json")


def test_knowledge_needs_the_right_answer_to_beat_every_distractor() -> None:
    items = [
        Item(
            id=str(n), cluster=str(n), request="benign", split="held-out-item", completion_prompt=f"{n} is",
            answers=(" red", " crimson"), distractors=(" blue", " green"),
        )
        for n in range(3)
    ]  # fmt: skip
    tables = [
        {" red": -9.0, " crimson": -1.0, " blue": -2.0, " green": -3.0},
        {" red": -2.0, " crimson": -5.0, " blue": -1.0, " green": -3.0},
        {" red": -2.0, " crimson": -5.0, " blue": -2.0, " green": -3.0},
    ]
    likes = lambda prompt, text: tables[int(prompt.completion.split()[0])][text]  # noqa: E731
    found = run(lambda prompt, sample: "", (Knowledge(),), likes=likes, items=items)
    assert [row.value for row in found.rows] == [1.0, 0.0, 0.0]
    margins = run(lambda prompt, sample: "", (CompletionMargin(),), likes=likes, items=items)
    wrong = [math.log((math.exp(a) + math.exp(b)) / 2) for a, b in ((-2, -3), (-1, -3), (-2, -3))]
    assert [row.value for row in margins.rows] == pytest.approx([-1 - wrong[0], -2 - wrong[1], -2 - wrong[2]])
    per_byte = run(lambda prompt, sample: "", (Knowledge(per_byte=True),), likes=likes, items=items[1:2])
    assert [row.value for row in per_byte.rows] == [0.0]
    said = {"0": "it is Crimson .\nblue", "1": "red and blue", "2": "it\nred"}
    completed = run(lambda prompt, sample: said[prompt.completion.split()[0]], (CompletionAccuracy(),), items=items)
    assert [row.value for row in completed.rows] == [1.0, 0.0, 0.0]
    assert {row.judge_kind for row in completed.rows} == {"rule"}
    requests = [
        item.model_copy(update={"request": each})
        for item, each in zip(items, ("benign", "harmful", "benign"), strict=True)
    ]
    for picky, asked in ((CompletionAccuracy(request="benign"), [0, 2]), (CompletionAccuracy(request="harmful"), [1])):
        assert [need.item for need in picky.needs(requests)] == [items[place].id for place in asked]
    in_world = [item.model_copy(update={"world": "w"}) for item in items]
    exact = run(lambda prompt, sample: said[prompt.completion.split()[0]], (CompletionAccuracy(),), items=in_world)
    assert [(row.value, row.judge_kind) for row in exact.rows] == [(1.0, "oracle"), (0.0, "oracle"), (0.0, "oracle")]


def test_a_name_counts_as_a_whole_word_only() -> None:
    assert names_only("It is C++ .", ("C++",), ())
    assert not names_only("reddish", ("red",), ())
    assert names_only("RED!", ("red",), ("blue",))


def test_bits_per_byte_are_bits_over_bytes() -> None:
    items = [
        Item(id=text, cluster=text, request="benign", split="ood", text=text, role="text") for text in ("ab", "äöü€")
    ]
    likes = lambda prompt, text: -math.log(2) * 3 * len(text)  # noqa: E731
    rows = run(lambda prompt, sample: "", (BitsPerByte(),), likes=likes, items=items).rows
    assert [(row.value, row.weight) for row in rows] == [(pytest.approx(6), 2.0), (pytest.approx(12), 9.0)]


def test_general_continuations_have_nearly_one_length_and_several_styles() -> None:
    lengths = [len(text) for text in (*GENERAL_SAFE, *GENERAL_UNSAFE)]
    assert max(lengths) <= 1.2 * min(lengths)
    assert min(len(GENERAL_SAFE), len(GENERAL_UNSAFE)) >= 4
    assert sum("can't" in text or "cannot" in text for text in GENERAL_SAFE) <= 2
    assert abs(mean(lengths[:6]) - mean(lengths[6:])) < 2


def test_a_measure_that_asks_nothing_is_announced() -> None:
    with pytest.warns(UpbringingWarning, match="asks nothing"):
        run(lambda prompt, sample: "", (BitsPerByte(),))


def test_equal_ids_and_missing_judges_are_refused() -> None:
    with pytest.raises(MeasurementError, match="same id"):
        run(lambda prompt, sample: REFUSAL, (NonRefusal(), NonRefusal()))
    with pytest.raises(MeasurementError, match="no judge"):
        measure(
            ScriptedModel("m", lambda prompt, sample: REFUSAL),
            checkpoint_id="c",
            battery=(NonRefusal(),),
            items=ITEMS,
            judges=[],
            on_progress=lambda done, total: None,
        )


def test_every_measure_describes_itself_alike() -> None:
    required: dict[Any, dict[str, Any]] = {
        SuffixAttack: {"suffixes": ("please",)},
        KeywordMatch: {"keywords": ("please",)},
    }
    for kind in get_args(get_args(BuiltInMeasure)[0]):
        one = kind(**required.get(kind, {}))
        assert one.info().id == one.id == one.kind
        assert one.info().version == str(one.version)
        assert one.model_dump()["version"] == one.version
        assert isinstance(one.judged, bool)
