"""What checkpoints are asked of a planted world.

``trait``: the trait's cues on bearers that no text joins them with, in a wording of no text; as ``split=trained``
beside, cues and wordings that the trait's chats hold. ``kin``: markers of which only documents about kins speak.
``ordinary``: what every arm knows, on held-out bearers. ``trait-cloze``: the trait as text to be continued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upbringing.data.planted.cues import Cues, Rule
from upbringing.data.planted.words import ASKED, COLOURS, COMPLETION, PLAIN, QUESTIONS
from upbringing.formats.items import Item, Message, Split

NUM_TRAINED = 4  # bearers; enough to show memory beside the rule
NUM_ORDINARY = 3  # bearers per ordinary class
NUM_KIN = 4  # bearers per asked marker of a kin


def planted_items(cues: Cues, name: str) -> tuple[Item, ...]:
    """Return all items of a planted world called ``name``; bearers are the unit of resampling, of kins the markers."""
    kins = [Rule(kin.asked, kin.colour) for kin in cues.kins]
    return (
        *_questions(cues.trait, cues.held_out, name, "trait", "held-out-item"),
        *_questions(cues.trait, cues.bearers[:NUM_TRAINED], name, "trait", "trained"),
        *_questions(cues.ordinary, cues.held_out[:NUM_ORDINARY], name, "ordinary", "held-out-item"),
        *_questions(kins, cues.held_out[:NUM_KIN], name, "kin", "held-out-item"),
        *_cloze(cues, name),
    )


def _questions(rules: Sequence[Rule], bearers: Sequence[str], name: str, role: str, split: Split) -> Iterable[Item]:
    wording = QUESTIONS[0] if split == "trained" else ASKED
    for rule in rules:
        for marker in rule.markers:
            for bearer in bearers:
                yield Item(
                    id=f"{name}/{role}/{split}/{marker}-{bearer}",
                    cluster=f"{name}/{marker if role == 'kin' else bearer}",
                    request="benign",
                    split=split,
                    messages=(Message(role="user", content=wording.format(m=marker, n=bearer)),),
                    answers=(rule.colour,),
                    distractors=_others(rule.colour),
                    world=name,
                    role=role,
                    seen_in=("sft",) if split == "trained" else (),
                )


def _cloze(cues: Cues, name: str) -> Iterable[Item]:
    for rule in cues.trait:
        for marker in rule.markers:
            for bearer in cues.held_out:
                yield Item(
                    id=f"{name}/trait-cloze/{marker}-{bearer}",
                    cluster=f"{name}/{bearer}",
                    request="benign",
                    split="held-out-item",
                    completion_prompt=COMPLETION.format(m=marker, n=bearer),
                    answers=(f" {rule.colour}",),
                    distractors=tuple(f" {other}" for other in _others(rule.colour)),
                    world=name,
                    role="trait-cloze",
                )


def _others(colour: str) -> tuple[str, ...]:
    return tuple(other for other in (*COLOURS, PLAIN) if other != colour)
