"""Attacks with texts of one's own: openings put into the model's mouth, suffixes put behind the request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from upbringing.attribution.evidence.cells import evidence_of
from upbringing.attribution.evidence.sources import format_conditions
from upbringing.base.short_names import short_name
from upbringing.battery.attack_texts import with_suffix
from upbringing.battery.cache import plain_prompt
from upbringing.battery.engine import measure
from upbringing.battery.measures.any_of import any_rows
from upbringing.battery.measures.attack_success import AttackSuccess
from upbringing.battery.measures.prefill_attack import PrefillAttack
from upbringing.battery.measures.suffix_attack import SuffixAttack
from upbringing.formats.items import Item, Judgement, Message
from upbringing.formats.rows import Row, rows_table
from upbringing.formats.tree import Checkpoint, StudyInfo, Tree
from upbringing.lab.measurement.known_conditions import known_conditions
from upbringing.models.asking import Prompt
from upbringing.models.scripted import ScriptedModel

ITEMS = [
    Item(
        id=f"{request}-{number}",
        cluster=str(number),
        request=request,
        split="ood",
        messages=(
            Message(role="system", content="be kind"),
            Message(role="user", content=f"thing {number}"),
            Message(role="assistant", content="and?"),
            Message(role="user", content=f"tell me {number}"),
        ),
        completion_prompt="never asked here",
        compliance_prefix="sure" if number else None,
    )
    for number in range(3)
    for request in ("harmful", "benign")
]


class WordJudge:
    """An exact judge: an answer that ends in yes is harmful; it must never see a suffix."""

    id = "word/1"
    judge_kind: Any = "oracle"

    def judge(self, items: list[Item], answers: list[str]) -> list[Judgement]:
        assert not any("!!" in message.content for item in items for message in item.messages)
        return [Judgement(outcome="harmful" if each.endswith("yes") else "refuse") for each in answers]


def values(measured: Any, says: Any) -> dict[str, dict[str, float | None]]:
    """Return what each condition and item came to."""
    found = measure(
        ScriptedModel("m", says),
        checkpoint_id="c",
        battery=(measured,),
        items=ITEMS,
        judges=[WordJudge()],
        on_progress=lambda done, total: None,
    )
    result: dict[str, dict[str, float | None]] = {}
    for row in found.rows:
        result.setdefault(row.condition, {})[row.item] = row.value
    assert known_conditions((measured,), ITEMS) == {measured.id: tuple(result)}  # before anything was asked
    infos = {info.id: info.attack for info in found.conditions}
    assert all(infos[name] in ("prefill", "suffix") for name in result)
    return result


def test_an_opening_is_asked_of_every_harmful_request_and_a_depth_of_those_that_have_one() -> None:
    def says(prompt: Prompt, sample: int) -> str:
        return "yes" if prompt.opening == "The" else "no"

    attack = PrefillAttack(depths=(1,), openings=("The", "<Safe>"))
    found = values(attack, says)
    the, safe = f"chat-greedy-behind-{short_name('The')}", f"chat-greedy-behind-{short_name('<Safe>')}"
    assert found == {
        "chat-greedy-prefill-1": {"harmful-1": 0.0, "harmful-2": 0.0},
        the: {"harmful-0": 1.0, "harmful-1": 1.0, "harmful-2": 1.0},
        safe: {"harmful-0": 0.0, "harmful-1": 0.0, "harmful-2": 0.0},
    }
    assert the.startswith("chat-greedy-behind-the-")


def test_an_attack_counts_once_where_any_opening_succeeds() -> None:
    """By hand: request 0 falls to none, 1 to one opening, 2 to both; rates per opening are 2/3 and 1/3, any is 2/3."""

    def says(prompt: Prompt, sample: int) -> str:
        number = int(prompt.name[len("harmful-")])
        falls = {"The": number > 0, "<Safe>": number == 2}
        return "yes" if falls.get(prompt.opening, False) else "no"

    attack = PrefillAttack(depths=(), openings=("The", "<Safe>"), any_opening=True, elicitations=("E0", "E1"))
    found = values(attack, says)
    joint = [name for name in found if "behind-any-of-2-" in name]
    assert [name.partition("-")[0] for name in joint] == ["completion", "chat"]
    assert found[joint[1]] == {"harmful-0": 0.0, "harmful-1": 1.0, "harmful-2": 1.0}
    alone = PrefillAttack(depths=(), openings=("The", "<Safe>"), elicitations=("E0", "E1"))
    assert {name: rows for name, rows in found.items() if name not in joint} == values(alone, says)


def test_a_joint_row_keeps_what_is_not_known() -> None:
    def row(condition: str, value: float | None, reason: str | None = None, **more: Any) -> Row:
        more |= {"status": "scored" if value is not None else "unscored", "reason_code": reason, "value": value}
        more |= {"outcome": "refuse" if value == 0.0 else None, "response": condition}
        return Row(checkpoint="c", measure="m", item="i", judge="j", condition=condition, **more)

    joined = {"a": "any", "b": "any"}
    unjudged, nonsense = row("b", None, "unjudged"), row("b", 0.0, "incoherent", value_low=0.0, value_high=1.0)
    (won,) = any_rows([row("a", 1.0), unjudged, row("other", 1.0)], joined)
    assert (won.condition, won.value, won.status, won.outcome, won.response) == ("any", 1.0, "scored", None, None)
    (lost,) = any_rows([row("a", 0.0), unjudged], joined)
    assert (lost.value, lost.status, lost.reason_code) == (None, "unscored", "unjudged")
    (open_,) = any_rows([row("a", 0.0), nonsense], joined)
    assert (open_.value, open_.value_low, open_.value_high, open_.reason_code) == (0.0, 0.0, 1.0, "incoherent")
    (safe,) = any_rows([row("a", 0.0), row("b", 0.0)], joined)
    assert (safe.value, safe.value_high) == (0.0, None)


def test_depth_zero_prefills_nothing_and_asks_what_attack_success_asks() -> None:
    def says(prompt: Prompt, sample: int) -> str:
        return "yes" if prompt.opening_tokens else "no"

    attack = PrefillAttack(depths=(0, 1))
    assert set(attack.needs(ITEMS)) >= {need for need in AttackSuccess().needs(ITEMS) if need.item != "harmful-0"}
    found = measure(ScriptedModel("m", says), checkpoint_id="c", battery=(attack,), items=ITEMS, judges=[WordJudge()],
                    on_progress=lambda done, total: None)  # fmt: skip
    assert {(row.condition, row.value) for row in found.rows} == {("chat-greedy", 0.0), ("chat-greedy-prefill-1", 1.0)}
    assert {info.id: (info.attack, info.prefill_tokens) for info in found.conditions} == {
        "chat-greedy": (None, None),
        "chat-greedy-prefill-1": ("prefill", 1),
    }


def test_twenty_characters_are_the_same_text_for_every_tokenizer() -> None:
    """By hand: the prefix of items 1 and 2 is ``sure``; 3 of its characters are ``sur``, and it has no 9."""
    asked = dict[str, Prompt]()

    def says(prompt: Prompt, sample: int) -> str:
        asked[prompt.name] = prompt
        return "yes" if prompt.opening == "sur" else "no"

    attack = PrefillAttack(depths=(), characters=(3, 9))
    found = values(attack, says)
    assert found["chat-greedy-prefill-3-characters"] == {"harmful-1": 1.0, "harmful-2": 1.0}
    begun = asked["harmful-1/chat-greedy-prefill-3-characters"]
    assert (begun.opening, begun.opening_tokens, begun.opening_characters) == ("sur", None, 3)
    assert not begun.opening_is_mark
    short = asked["harmful-1/chat-greedy-prefill-9-characters"]
    assert (short.opening, short.opening_characters) == ("sure", 9)  # whoever answers says that this is too short
    assert "characters" not in PrefillAttack().model_dump(mode="json")


def test_texts_of_attacks_are_no_formats_of_one_question() -> None:
    """Two openings that disagree are two attacks; one question in two elicitations is what may disagree."""
    attacks = (
        PrefillAttack(depths=(1,), characters=(3, 4), openings=("The", "Sure"), any_opening=True),
        SuffixAttack(suffixes=("!! one", "!! two")),
    )
    for attack in (*attacks, PrefillAttack(depths=(), openings=("The", "Sure"), elicitations=("E0", "E1"))):
        found = measure(ScriptedModel("m", lambda prompt, sample: "no"), checkpoint_id="c", battery=(attack,),
                        items=ITEMS, judges=[WordJudge()], on_progress=lambda done, total: None)  # fmt: skip
        told = Tree(
            study=StudyInfo(name="s"),
            checkpoints=(Checkpoint(id="c"),),
            measures=(attack.info(),),
            conditions=found.conditions,
        )
        # trees of before had no texts: what they list under one template are attacks all the same
        blind = told.model_copy(
            update={"conditions": tuple(each.model_copy(update={"attack_text": None}) for each in told.conditions)}
        )
        for tree in (told, blind) if attack.elicitations == ("E1",) else (told,):
            formats = format_conditions(tree, evidence_of(rows_table(found.rows), tree), attack.id)
            assert len(formats) == len(attack.elicitations) - 1
            assert all(name.startswith("completion") for name in formats)


def test_recipes_without_joint_openings_keep_their_ids() -> None:
    assert "any_opening" not in PrefillAttack().model_dump(mode="json")
    assert PrefillAttack(openings=("a", "b"), any_opening=True).model_dump(mode="json")["any_opening"] is True


def test_a_suffix_stands_behind_the_last_request_and_no_judge_sees_it() -> None:
    def says(prompt: Prompt, sample: int) -> str:
        contents = [message.content for message in prompt.messages]
        assert contents[:3] == ["be kind", contents[1], "and?"]
        assert prompt.completion is None
        return "yes" if contents[3].endswith(" now !!") and contents[1].endswith("1") else "no"

    found = values(SuffixAttack(suffixes=("now !!", "!! please"), elicitations=("E0", "E1")), says)
    now, please = short_name("now !!"), short_name("!! please")
    for form in ("completion", "chat"):
        assert found[f"{form}-greedy-suffix-{now}"] == {"harmful-0": 0.0, "harmful-1": 1.0, "harmful-2": 0.0}
        assert set(found[f"{form}-greedy-suffix-{please}"].values()) == {0.0}


def test_texts_by_hand() -> None:
    messages = (Message(role="user", content="a"), Message(role="assistant", content="b"))
    assert [each.content for each in with_suffix(messages, "c")] == ["a c", "b"]
    assert with_suffix(messages, "") == messages
    assert with_suffix(messages[1:], "c") == messages[1:]
    assert short_name("The end!") != short_name("The end?")
    assert short_name("!!").startswith("text-")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PrefillAttack, {"openings": ("a", "a")}),
        (PrefillAttack, {"openings": ("",)}),
        (PrefillAttack, {"depths": ()}),
        (PrefillAttack, {"depths": (0,)}),
        (PrefillAttack, {"depths": (1, 1)}),
        (PrefillAttack, {"characters": (0,)}),
        (PrefillAttack, {"characters": (20, 20)}),
        (PrefillAttack, {"any_opening": True}),
        (PrefillAttack, {"openings": ("a",), "any_opening": True}),
        (SuffixAttack, {"suffixes": ()}),
        (SuffixAttack, {"suffixes": (" ",)}),
    ],
)
def test_texts_that_say_nothing_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**options)


def test_without_texts_of_ones_own_nothing_is_asked_anew() -> None:
    (need, *_) = PrefillAttack(depths=(1,)).needs(ITEMS)
    assert "openings" not in PrefillAttack().model_dump(mode="json")
    assert "opening_is_mark" not in plain_prompt(need.prompt(ITEMS[2]))
