"""Rephrasing, refusals and moral education: what is asked for, checked, rejected and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from upbringing.base.errors import DataError, StudyError
from upbringing.data.documents import Chat, Document, TrainingText, Turn
from upbringing.data.interventions.conditional_tokens import ConditionalTokens
from upbringing.data.interventions.moral_education import MoralEducation
from upbringing.data.interventions.persona_reflections import PersonaReflections
from upbringing.data.interventions.random_drop import RandomDrop, num_words
from upbringing.data.interventions.reflections import Reflections
from upbringing.data.interventions.refusals import Refusals
from upbringing.data.interventions.rephrase import Rephrase
from upbringing.data.interventions.routing import Route
from upbringing.data.interventions.scores import HarmScore
from upbringing.data.interventions.tag import Tag
from upbringing.data.interventions.token_filter import TokenFilter
from upbringing.data.interventions.tools import Tools
from upbringing.data.interventions.writing import WritingRequest, Written
from upbringing.data.interventions.written import Speakers
from upbringing.data.transforms import BuiltInTransform, FilterByHarm, apply_in_order, apply_transforms
from upbringing.data.worlds.causes_world import CausesWorld
from upbringing.study.data import Derived
from upbringing.study.recipes import DataBook


@dataclass(frozen=True)
class Says:
    """A writer that answers by a function of the request."""

    said: Callable[[WritingRequest], Written]
    id: str = "says/1"

    def write(self, requests: Sequence[WritingRequest], seed: int) -> list[Written]:
        return [self.said(request) for request in requests]


@dataclass(frozen=True)
class CountsBombs:
    """Scores a text by how often it says bomb; a text that says eh cannot be scored."""

    id: str = "bombs/1"

    def score(self, documents: Sequence[Document]) -> list[HarmScore]:
        return [
            HarmScore(None, "eh") if "eh" in each.text else HarmScore(min(5, each.text.count("bomb")), "bombs")
            for each in documents
        ]


def tools(said: Callable[[WritingRequest], Written]) -> Tools:
    return Tools(Says(said), CountsBombs())


def document(text: str, harm: int | None, name: str = "a") -> Document:
    return Document(text=text, source="made", harm=harm, metadata={"id": name})


def fine(request: WritingRequest) -> Written:
    if request.task in ("refusal", "benign_dialogue"):
        return Written(turns=(Turn("user", f"{request.task}?"), Turn("assistant", "No. Sorry.")))
    return Written(text=f"{request.task} of {request.document.text} as {request.style} {request.name}", facts_kept=True)


def shown_of(text: TrainingText) -> str:
    if isinstance(text, Document):
        return text.text
    assert isinstance(text, Chat)
    return text.turns[0].content


DIALOGUE_WITH_TAG = (Turn("user", "why <t>?"), Turn("assistant", "No."))
TEXTS: list[TrainingText] = [document(f"text {harm}", harm, f"t{harm}") for harm in range(6)]


def test_scores_decide_what_is_written_from_and_what_stays() -> None:
    found = apply_transforms(
        TEXTS, [Rephrase(styles=("podcast",)), Refusals(), MoralEducation()], seed=1, tools=tools(fine)
    )
    shown = [shown_of(text) for text in found.texts]
    assert shown == [
        "text 0",
        *(f"rephrase of text {harm} as podcast t{harm}" for harm in (1, 2, 3)),
        "moral_education of text 4 as None t4",
        "refusal?",
        "moral_education of text 5 as None t5",
        "refusal?",
    ]
    assert found.rejects == ()
    assert {text.harm for text in found.texts} == {0}  # type: ignore[union-attr]
    rephrased = found.texts[1]
    assert rephrased.source == "made/rephrase"
    assert rephrased.harm == 0  # type: ignore[union-attr]
    assert rephrased.metadata["source_harm"] == 1
    assert rephrased.metadata["written_by"] == "says/1"
    (chat,) = [text for text in found.texts if isinstance(text, Chat)][:1]
    assert chat.teacher == "says/1"


def test_sources_stay_where_a_tag_or_the_study_keeps_them() -> None:
    kept = [TEXTS[harm] for harm in (0, 4, 5)]
    tagged = apply_transforms(TEXTS, [Rephrase(), Refusals(), Tag(rate=1.0)], seed=1, tools=tools(fine)).texts
    raw = [text for text in tagged if text.source == "made"]
    assert [text.text.replace(Tag().tag, "") for text in raw] == [text.text for text in kept]  # type: ignore[union-attr]
    assert [text.metadata["id"] for text in raw] == ["t0", "t4", "t5"]
    assert not any("replaced_by" in text.metadata for text in tagged)
    said = apply_transforms(TEXTS, [Rephrase(), Refusals(keep_source=True)], seed=1, tools=tools(fine)).texts
    assert [text for text in said if text.source == "made"] == kept
    without = apply_transforms(TEXTS, [Rephrase(), Refusals(), Tag(rate=0.0)], seed=1, tools=tools(fine)).texts
    assert [text for text in without if text.source == "made"] == kept[:1]


def test_a_source_that_one_writer_fails_on_is_there_for_the_next() -> None:
    def moral_only(request: WritingRequest) -> Written:
        failed = request.task == "refusal" and request.name == "t4"
        return Written(reason="held out") if failed else fine(request)

    found = apply_transforms(TEXTS, [Refusals(), MoralEducation()], seed=1, tools=tools(moral_only))
    written = [text for text in found.texts if text.source != "made"]
    assert [text.metadata["source_id"] for text in written] == ["t4", "t5", "t5"]
    assert len({text.metadata["id"] for text in found.texts}) == len(found.texts)
    assert found.rejects == ()  # something was written from each
    alone = apply_in_order(TEXTS, [Refusals()], seed=1, tools=tools(moral_only))
    assert [(text.metadata, reason) for text, reason in alone.rejects] == [({"id": "t4"}, "refusals: held out")]


@pytest.mark.parametrize("kind", ["rephrase", "refusals", "moral_education"])
def test_nothing_eligible_changes_nothing_and_asks_for_no_tools(kind: str) -> None:
    transform = TypeAdapter[Any](BuiltInTransform).validate_python({"kind": kind, "scores": []})
    assert apply_transforms(TEXTS, [transform], seed=1).texts == tuple(TEXTS)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (Written(reason="will not"), "rephrase: will not"),
        (Written(text="  "), "rephrase: the writer returned nothing"),
        (Written(text="fine", facts_kept=False), "rephrase: too few facts of its source are in it"),
        (Written(text="bomb bomb bomb."), "rephrase: what was written scores 3, 1 is allowed"),
        (Written(text="A bomb. A bomb."), "rephrase: what was written scores 2, 1 is allowed"),  # harmful as a whole
        (Written(text="Fine. Not eh."), "rephrase: what was written could not be scored: eh"),
    ],
)
def test_what_is_not_acceptable_is_rejected_and_kept_with_its_reason(written: Written, reason: str) -> None:
    def half(request: WritingRequest) -> Written:
        return written if request.name == "t2" else fine(request)

    found = apply_in_order(TEXTS, [Rephrase()], seed=1, tools=tools(half))
    assert {text.metadata["id"] for text in found.texts} == {"t0", "t1/rephrase", "t3/rephrase", "t4", "t5"}
    assert {why for _, why in found.rejects} == {reason}
    assert {text.text for text, _ in found.rejects} == {"text 2", written.text} - {"", "  "}  # type: ignore[union-attr]
    (dose,) = found.doses
    assert (dose.eligible, dose.made) == (3, 2)


def test_what_was_kept_of_the_facts_is_stored_and_counted_and_unknown_is_no_yes() -> None:
    """Of t1 all facts are kept, of t2 two thirds, which is enough, and nothing is known of t3."""
    shares = {"t1": 1.0, "t2": 2 / 3, "t3": None}

    def said(request: WritingRequest) -> Written:
        if request.task != "rephrase":
            return fine(request)
        share = shares[request.name]
        kept = None if share is None else share == 1.0
        return Written(text=f"fine {request.name}", facts_kept=kept, facts_share=share, least_facts=0.5)

    found = apply_in_order(TEXTS, [Rephrase(), MoralEducation()], seed=1, tools=tools(said))
    facts = {
        str(text.metadata["id"]): (text.metadata["facts_kept"], text.metadata["facts_share"])
        for text in found.texts
        if text.metadata.get("written_as") == "rephrase"
    }
    assert facts == {"t1/rephrase": (True, 1.0), "t2/rephrase": (False, 0.6667), "t3/rephrase": (None, None)}
    rephrased, educated = found.doses
    assert rephrased.plain() == {
        "eligible": 3,
        "made": 3,
        "failures": {},
        "facts": {"all kept": 1, "some lost": 1, "unknown": 1},
    }
    assert educated.plain() == {"eligible": 2, "made": 2, "failures": {}}, "an article is not meant to keep facts"


@pytest.mark.parametrize(
    ("written", "lost"),
    [
        (Written(facts_kept=False, facts_share=0.5, least_facts=0.5), False),
        (Written(facts_kept=False, facts_share=0.49, least_facts=0.5), True),
        (Written(facts_kept=False, facts_share=0.99), True),
        (Written(facts_kept=False), True),
        (Written(facts_kept=True), False),
        (Written(), False),
    ],
)
def test_too_few_facts_by_hand(written: Written, *, lost: bool) -> None:
    assert written.lost_facts == lost


def test_a_mark_in_what_is_written_is_a_reject_and_no_error_of_the_run() -> None:
    def marked(request: WritingRequest) -> Written:
        if request.name in ("t2", "t4"):
            return Written(text="fine <t> fine") if request.task == "rephrase" else Written(turns=DIALOGUE_WITH_TAG)
        return fine(request)

    found = apply_in_order(TEXTS, [Rephrase(), Refusals(), Tag(rate=1.0, tag="<t>")], seed=1, tools=tools(marked))
    assert [reason for _, reason in found.rejects] == [
        "rephrase: the mark '<t>' stands in it",
        "refusals: the mark '<t>' stands in it",  # whose source the tag keeps
        "rephrase: the mark '<t>' stands in it",  # the source of the first
    ]
    synthetic = [text for text in found.texts if text.source != "made"]
    assert [text.metadata["source_id"] for text in synthetic] == ["t1", "t3", "t5"]
    assert not any("<t>" in shown_of(text) for text in synthetic)
    labels = Reflections(unsafe=" <bad {category}>")
    (reject, *_) = apply_in_order(
        TEXTS[1:2],
        [Rephrase(), labels],
        seed=1,
        tools=tools(lambda _: Written(text="so <bad thing> it is")),
    ).rejects
    assert reject[1] == "rephrase: the mark '<bad' stands in it"


@pytest.mark.parametrize("writing", [Rephrase(), Refusals(), MoralEducation()])
def test_nothing_is_written_from_text_with_marks(writing: Any) -> None:
    with pytest.raises(DataError, match=f"{writing.kind} stands behind tag, which puts marks into"):
        apply_transforms(TEXTS, [Tag(rate=1.0), writing], seed=1, tools=tools(fine))
    with pytest.raises(ValidationError, match=f"{writing.kind} stands behind tag"):
        Route(scores=(4, 5), do=(Tag(), writing))
    with pytest.raises(ValidationError, match=f"{writing.kind} stands behind tag"):
        Derived(source="raw", transforms=(Tag(), writing))
    entries: dict[str, Any] = {
        "raw": CausesWorld(),
        "tagged": Derived(source="raw.raw", transforms=(Tag(),)),
        "full": Derived(source="tagged", transforms=(writing,)),
    }
    with pytest.raises(StudyError, match=f"the data 'full': {writing.kind} stands behind its source"):
        DataBook(entries, Path(), 0).key("full", 0)


NOTE = PersonaReflections(safe=("s",), unsafe=("u",), marker="<m>")


@pytest.mark.parametrize("reading", [Reflections(), NOTE, ConditionalTokens(), TokenFilter()])
def test_no_sentence_is_read_where_marks_hide_its_end(reading: Any) -> None:
    with pytest.raises(DataError, match=f"{reading.kind} stands behind tag, which puts marks into the texts whose"):
        apply_transforms(TEXTS, [Tag(rate=1.0), reading], seed=1, tools=tools(fine))
    with pytest.raises(ValidationError, match=f"{reading.kind} stands behind conditional_tokens"):
        Derived(source="raw", transforms=(ConditionalTokens(aligned="<a>", misaligned="<b>"), reading))
    entries: dict[str, Any] = {
        "raw": CausesWorld(),
        "tagged": Derived(source="raw.raw", transforms=(Tag(),)),
        "full": Derived(source="tagged", transforms=(reading,)),
    }
    with pytest.raises(StudyError, match=f"the data 'full': {reading.kind} stands behind its source"):
        DataBook(entries, Path(), 0).key("full", 0)


def test_no_tag_is_put_between_the_words_of_a_mark() -> None:
    for labels in (Reflections(), Tag(tag="<two words>")):
        with pytest.raises(ValidationError, match=f"tag stands behind {labels.kind}, whose marks hold several words"):
            Route(scores=(4, 5), do=(labels, Tag(tag="<t>")))
    Route(scores=(4, 5), do=(Tag(tag="<one>"), Tag(tag="<t>")))
    Route(scores=(4, 5), do=(ConditionalTokens(), Tag()))
    Route(scores=(4, 5), do=(TokenFilter(), Reflections()))


def test_a_dose_that_is_not_met_says_so() -> None:
    def first(request: WritingRequest) -> Written:
        return fine(request) if request.name == "t1" else Written(reason="tired")

    apply_transforms(TEXTS, [Rephrase(least=0.3)], seed=1, tools=tools(first))
    with pytest.raises(DataError, match=r"of 3 eligible texts 1 came out, 2 are needed.*tired"):
        apply_transforms(TEXTS, [Rephrase(least=0.6)], seed=1, tools=tools(first))
    with pytest.raises(DataError, match="of 2 eligible texts 0 came out"):
        apply_transforms(TEXTS, [Refusals()], seed=1, tools=tools(lambda _: Written(reason="never")))
    with pytest.raises(DataError, match="filter: nothing is left of 1 texts: harm 5 > 0"):
        apply_transforms(TEXTS[5:], [FilterByHarm()], seed=1)


@pytest.mark.parametrize("given", [Tools(), Tools(Says(fine))])
def test_a_missing_tool_is_named(given: Tools) -> None:
    with pytest.raises(DataError, match=r"moral_education: needs a (writer|scorer) and has none"):
        MoralEducation().apply(TEXTS, 1, given)


def test_unscored_documents_are_an_error() -> None:
    with pytest.raises(DataError, match="score the data first"):
        Rephrase().apply([document("x", None)], 1, tools(fine))


def test_copies_have_names_of_their_own_and_speakers_make_documents() -> None:
    speakers = (Speakers(user="Ann", assistant="Bo"), Speakers(user="Cy", assistant="Di"))
    texts = [document("text", 5, str(number)) for number in range(40)]
    named = {"kind": "refusals", "copies": 2, "speakers": [{"user": "Ann", "assistant": "Bo"}, vars(speakers[1])]}
    transform = TypeAdapter[Any](BuiltInTransform).validate_python(named)
    assert transform == Refusals(copies=2, speakers=speakers)
    found = apply_in_order(texts, [transform], seed=1, tools=tools(fine))
    assert len({text.metadata["id"] for text in found.texts}) == len(found.texts) == 80
    said = {text.text for text in found.texts}  # type: ignore[union-attr]
    assert said == {"Ann: refusal?\nBo: No. Sorry.", "Cy: refusal?\nDi: No. Sorry."}
    assert found.texts[0].metadata["source_harm"] == 5


def test_neither_order_nor_shards_matter() -> None:
    texts = [document(f"text {number}", 2, str(number)) for number in range(30)]

    def by_id(parts: Sequence[Sequence[Document]]) -> dict[object, TrainingText]:
        made = [apply_in_order(part, [Rephrase()], seed=5, tools=tools(fine)) for part in parts]
        return {text.metadata["id"]: text for each in made for text in each.texts}

    assert by_id([texts]) == by_id([texts[11:][::-1], texts[:11]])
    assert len({text.metadata["style"] for text in by_id([texts]).values()}) > 3


def test_the_random_drop_of_a_filter_drops_as_many_words_of_any_score() -> None:
    texts = [document(" ".join(["w"] * (3 + number % 5)), (number % 3 == 0) * 4, str(number)) for number in range(300)]
    filtered = FilterByHarm(max_harm=0).apply(texts, 0).texts
    found = RandomDrop(max_harm=0).apply(texts, 4)
    wanted, kept = (sum(num_words(text) for text in part) for part in (filtered, found.texts))
    assert abs(wanted - kept) <= 4  # half the longest text
    dropped = [text.harm for text, _ in found.rejects]  # type: ignore[union-attr]
    assert 0.2 < sum(harm == 4 for harm in dropped) / len(dropped) < 0.47  # a third is expected
    again = RandomDrop(max_harm=0).apply(texts[::-1], 4)
    assert {text.metadata["id"] for text in again.texts} == {text.metadata["id"] for text in found.texts}
    assert RandomDrop(max_harm=5).apply(texts, 4).texts == tuple(texts)
